"""What many tests share: a real model file built without torch, and a folder of drawn crops."""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from autoreid_deploy.model import ModelSpec

HEIGHT, WIDTH, DIM = 128, 64, 32
TINY = ModelSpec(
    name="tiny",
    height=HEIGHT,
    width=WIDTH,
    dim=DIM,
    genotype={"normal": [["sep_conv_3x3", 0]]},
    training={"data": [{"name": "drawn", "people": 0, "crops": 0, "terms": "free"}], "recipe": {}},
    terms="for tests only",
    metrics={},
    calibration={},
)


def write_tiny_model(
    path: Path,
    *,
    metadata: dict[str, str] | None = None,
    input_type: int = TensorProto.UINT8,
    input_name: str = "images",
    output_name: str = "embeddings",
    dim: int = DIM,
    batch: int | str = "batch",
    unit_rows: bool = True,
    open_sizes: bool = False,
    seed: int = 0,
) -> Path:
    """Write a model of the contract: colours averaged over an 8 x 4 grid, mixed by a fixed matrix, unit rows.

    Most keywords break the contract on purpose; `seed` makes another model of the same kind.
    """
    mix = np.random.default_rng(seed).normal(size=(96, dim)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", [input_name], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["grid"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Flatten", ["grid"], ["flat"]),
        helper.make_node("Sub", ["flat", "middle"], ["centred"]),
        helper.make_node("MatMul", ["centred", "mix"], ["mixed"]),
    ]
    if unit_rows:
        nodes.append(helper.make_node("ReduceL2", ["mixed"], ["length"], axes=[1], keepdims=1))
        nodes.append(helper.make_node("Div", ["mixed", "length"], [output_name]))
    else:
        nodes.append(helper.make_node("Identity", ["mixed"], [output_name]))
    sizes = ["height", "width", "dim"] if open_sizes else [HEIGHT, WIDTH, dim]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input_name, input_type, [batch, *sizes[:2], 3])],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, [batch, sizes[2]])],
        # 110.3 is no mean that a plain picture can have exactly, so that no row has the length 0.
        [numpy_helper.from_array(np.float32(110.3), "middle"), numpy_helper.from_array(mix, "mix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata or replace(TINY, dim=dim).to_metadata())
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def tiny_spec() -> ModelSpec:
    """What the metadata of `tiny_model` say."""
    return TINY


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ONNX file that keeps the contract (128x64 in, 32 out); different crops get different rows."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second model like `tiny_model`, with other weights and therefore another id."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "other.onnx", seed=1)


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a tiny model with one thing wrong; see `write_tiny_model`."""

    def make(**changes: Any) -> Path:
        return write_tiny_model(tmp_path / "made.onnx", **changes)

    return make


def draw_crop(pid: int, camid: int, shot: int, height: int = 128, width: int = 64) -> np.ndarray:
    """Draw a coloured figure: head, shirt and trousers by person, background by camera, place by shot.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    colours = np.random.default_rng(1000 + pid).integers(0, 256, (2, 3))
    backgrounds = np.random.default_rng(2000 + camid).integers(90, 150, 3)
    image = np.empty((128, 64, 3), np.uint8)
    image[:] = backgrounds
    left = 18 + shot % 3
    cv2.circle(image, (left + 14, 16), 10, (224, 180, 150), -1)
    cv2.rectangle(image, (left, 28), (left + 28, 70), colours[0].tolist(), -1)
    cv2.rectangle(image, (left + 3, 71), (left + 25, 124), colours[1].tolist(), -1)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="session")
def drawn_crops() -> np.ndarray:
    """(12, 128, 64, 3) uint8, RGB: people 1 to 6 seen by cameras 1 and 2."""
    return np.stack([draw_crop(pid, camid, shot=1) for pid in range(1, 7) for camid in (1, 2)])


@pytest.fixture
def without_rights() -> Iterator[None]:
    """Take root's rights away, so that a file of mode 0 can't be read even where the tests run as root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def crop_folder(tmp_path: Path) -> Path:
    """A folder of 16 drawn JPEGs in Market naming: people 0001 to 0004, cameras 1 and 2, two shots each."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for pid in range(1, 5):
        for camid in (1, 2):
            for shot in (1, 2):
                image = cv2.cvtColor(draw_crop(pid, camid, shot), cv2.COLOR_RGB2BGR)
                data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
                (folder / f"{pid:04d}_c{camid}s1_{shot:06d}_00.jpg").write_bytes(data.tobytes())
    return folder
