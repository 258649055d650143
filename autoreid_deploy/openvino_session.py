"""The other runtime for processors: OpenVINO, which computes in bf16 where the processor has instructions for it."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import MissingExtraError, ModelError
from autoreid_deploy.session import ModelSession, usable_cores

_ALIKE = 0.99  # cosine of a row of bf16 and one of float32; measured: above 0.999


def installed_version() -> str:
    """Name the installed version.

    Raises:
        MissingExtraError: OpenVINO is not installed.
    """
    return str(load_openvino().__version__)


class OpenVinoSession:
    """A model file in OpenVINO, checked against ONNX Runtime when it is opened.

    Several threads may call `run` at once; each batch takes one core, and as many run as there are cores.

    Args:
        path: the model file.

    Attributes:
        spec: what the file's metadata say.
        precision: "bf16" or "f32".

    Raises:
        MissingExtraError: OpenVINO or ONNX Runtime is not installed.
        ModelError: the file is no model, breaks the contract, or OpenVINO answers otherwise than ONNX Runtime.
    """

    def __init__(self, path: Path) -> None:
        reference = ModelSession(path, "cpu")
        self.spec = reference.spec
        core = load_openvino().Core()
        abilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision = "bf16" if "BF16" in abilities else "f32"
        cores = usable_cores()
        options = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": cores,
            "NUM_STREAMS": cores,  # one thread each
        }
        try:
            many = core.read_model(path)
            one = many.clone()
            one.reshape(
                [1, self.spec.height, self.spec.width, 3]
            )  # half as long as one in a batch of any size
            self._graphs = tuple(core.compile_model(graph, "CPU", options) for graph in (many, one))
        except RuntimeError as error:
            raise ModelError(
                f"{path}: OpenVINO can't load it: {str(error).strip().splitlines()[-1]}"
            ) from error
        self._own = threading.local()
        self._compare(reference, path)

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed one batch; see `ModelSession.run`."""
        if not hasattr(self._own, "requests"):
            self._own.requests = tuple(graph.create_infer_request() for graph in self._graphs)
        request = self._own.requests[len(images) == 1]
        rows: NDArray[np.float32] = np.array(
            request.infer({"images": images}, share_inputs=True)["embeddings"]
        )
        return rows

    def _compare(self, reference: ModelSession, path: Path) -> None:
        shape = (2, self.spec.height, self.spec.width, 3)
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        expected = reference.run(images)
        for came in (self.run(images), np.concatenate([self.run(images[:1]), self.run(images[1:])])):
            alike = float((came * expected).sum(axis=1).min())
            if not alike >= _ALIKE:
                raise ModelError(
                    f"{path}: OpenVINO's rows ({self.precision}) should point where ONNX Runtime's do, "
                    f"their cosine is {alike:.3f}; choose device 'cpu'"
                )


def load_openvino() -> Any:
    """Import OpenVINO.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("openvino", "openvino") from error
    return openvino
