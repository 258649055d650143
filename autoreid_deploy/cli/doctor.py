"""`reid-index doctor`: is everything installed, does it run, and what is to be done where it does not."""

import base64
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoreid_deploy.cli.common import index_option, json_option, load_model, plural, print_json, shown
from autoreid_deploy.errors import GalleryError, ReidError

if TYPE_CHECKING:
    from autoreid_deploy.gallery import Gallery

# Builds of one package share an import name: with two of them installed, whichever came last is loaded, and
# removing either breaks the other.
_BUILDS = {
    "ONNX Runtime": (
        "onnxruntime",
        "onnxruntime-gpu",
        "onnxruntime-openvino",
        "onnxruntime-directml",
        "onnxruntime-rocm",
        "onnxruntime-training",
    ),
    "FAISS": ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs", "faiss-gpu-cu11", "faiss-gpu-cu12"),
}
_PLAIN = ("numpy", "opencv-python-headless", "opencv-python", "click", "tqdm", "imagesize")
# The smallest model: y = Relu(x) of one number, as `onnx.helper.make_model` writes it.
_RELU = "CAg6MwoMCgF4EgF5IgRSZWx1EgFnWg8KAXgSCgoICAESBAoCCAFiDwoBeRIKCggIARIECgIIAUIECgAQEQ=="


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `state` is ok, note (nothing to do) or wrong."""

    state: str
    what: str
    text: str


@click.command(
    epilog="""\b
Examples:
  reid-index doctor
  reid-index doctor --json
The exit code is 1 if something is wrong."""
)
@index_option
@json_option
def doctor(index: Path, as_json: bool) -> int:
    """Check packages, devices, models and the index, and say what to do where something is wrong."""
    findings = [*_packages(), *_devices(), *_models(), *_index(index)]
    wrong = sum(finding.state == "wrong" for finding in findings)
    if as_json:
        print_json({"healthy": not wrong, "findings": [asdict(finding) for finding in findings]})
    else:
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            click.echo(f"{finding.state:<6} {finding.what:<{width}}  {shown(finding.text)}")
        click.echo(f"{plural(wrong, 'problem')} found" if wrong else "all is well")
    return 1 if wrong else 0


def _packages() -> Iterator[Finding]:
    import autoreid_deploy

    yield Finding("ok", "autoreid-deploy", autoreid_deploy.__version__)
    yield Finding("ok", "Python", f"{platform.python_version()} on {platform.platform()}")
    present = {name: version for name in _PLAIN if (version := _version(name))}
    yield Finding("ok", "packages", ", ".join(f"{name} {version}" for name, version in present.items()))
    for package, builds in _BUILDS.items():
        yield _one_build(package, {name: version for name in builds if (version := _version(name))})


def _version(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _one_build(package: str, present: dict[str, str]) -> Finding:
    """Judge the builds of one package: there must be exactly one."""
    told = ", ".join(f"{name} {version}" for name, version in present.items())
    if len(present) == 1:
        return Finding("ok", package, told)
    if not present:
        return Finding("wrong", package, "not installed; run: pip install 'autoreid-deploy[cpu]'")
    extra = "gpu" if any("gpu" in name for name in present) else "cpu"
    return Finding(
        "wrong",
        package,
        f"{told} share one import name and break each other; keep one: "
        f"pip uninstall -y {' '.join(present)} && pip install 'autoreid-deploy[{extra}]'",
    )


def _devices() -> Iterator[Finding]:
    from autoreid_deploy.session import PROVIDERS, available_devices

    try:
        devices = available_devices()
    except ReidError as error:
        yield Finding("wrong", "devices", str(error))
        return
    for device in devices:
        trouble = _start(PROVIDERS[device])
        if not trouble:
            yield Finding("ok", f"device {device}", f"{PROVIDERS[device]} runs")
            continue
        # The GPU build offers CUDA and TensorRT everywhere. It is a fault only where there is a GPU to use.
        missed = device == "cpu" or (device == "cuda" and Path("/dev/nvidia0").exists())
        text = f"offered by ONNX Runtime, but does not come up here: {trouble}"
        yield Finding("wrong" if missed else "note", f"device {device}", text)
    yield _openvino()


def _openvino() -> Finding:
    from autoreid_deploy.openvino_session import installed_version

    try:
        return Finding("ok", "device openvino", f"OpenVINO {installed_version()}")
    except ReidError as error:
        return Finding("note", "device openvino", str(error))


def _start(provider: str) -> str | None:
    """Run the smallest model on a provider; says what went wrong, or None."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4  # what fails is told below, in one line
    try:
        session: Any = ort.InferenceSession(base64.b64decode(_RELU), options, providers=[provider])
        session.run(None, {"x": np.ones(1, np.float32)})
    except Exception as error:  # ONNX Runtime's errors have no common base below Exception
        return str(error).strip().partition("\n")[0]
    came = session.get_providers()[0]
    return None if came == provider else f"ONNX Runtime fell back to {came}"


def _models() -> Iterator[Finding]:
    from autoreid_deploy.model import bundled_models

    models = bundled_models()
    if not models:
        yield Finding("wrong", "models", "none is bundled; install the package again, or pass --model FILE")
    for name in models:
        try:
            yield Finding("ok", f"model {name}", _try_model(name))
        except ReidError as error:
            yield Finding("wrong", f"model {name}", str(error))


def _try_model(name: str) -> str:
    """Embed two pictures alone and together, and describe the model."""
    import numpy as np

    from autoreid_deploy.embedder import Embedder
    from autoreid_deploy.errors import ModelError

    with Embedder.load(name, workers=1) as embedder:
        spec = embedder.spec
        ramp = np.linspace(0, 255, spec.height * spec.width * 3).reshape(spec.height, spec.width, 3)
        pictures = [ramp.astype(np.uint8), 255 - ramp.astype(np.uint8)]
        together = embedder.embed(pictures, color="rgb")
        alone = np.concatenate([embedder.embed([picture], color="rgb") for picture in pictures])
        distance = 1 - float(together[0] @ together[1])
        if not np.allclose(together, alone, atol=1e-4) or distance < 1e-3:
            raise ModelError("gives wrong rows in its self-test; install onnxruntime again")
        terms = f", {spec.terms}" if spec.terms else ""
        return f"{embedder.id}, {spec.height}x{spec.width} -> {spec.dim}, self-test passed{terms}"


def _index(folder: Path) -> Iterator[Finding]:
    from autoreid_deploy.gallery import Gallery

    if not Gallery.exists(folder):
        yield Finding("note", "index", f"none at {folder} yet; make one with: reid-index build FOLDER")
        return
    try:
        with Gallery.open(folder) as gallery:
            complaints = gallery.store.complaints()
            if complaints:
                raise GalleryError(f"{folder}: the index is damaged: {complaints[0]}; build it anew")
            rows = gallery.store.embeddings()[1]
            if len(rows):
                gallery.query(rows[0], 1)
            yield Finding("ok", "index", f"{plural(len(rows), 'sound crop')} in {folder}")
            yield _index_file(gallery)
            if warning := gallery.warning():
                yield Finding("wrong", "index distances", warning)
            yield _index_model(gallery)
    except ReidError as error:
        yield Finding("wrong", "index", str(error))


def _index_file(gallery: "Gallery") -> Finding:
    facts = gallery.info()
    if facts.trouble:
        return Finding("wrong", "index file", facts.trouble)
    if facts.generation is None:
        return Finding("ok", "index file", "none needed yet: all rows are scanned")
    return Finding(
        "ok", "index file", f"generation {facts.generation}, {facts.kind}, recall {facts.recall:.3f}"
    )


def _index_model(gallery: "Gallery") -> Finding:
    try:
        load_model(gallery, None, "cpu").close()
    except ReidError as error:
        return Finding("wrong", "index model", str(error))
    return Finding("ok", "index model", gallery.model_id)
