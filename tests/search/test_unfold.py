"""Weights read back out of an exported model: the same embeddings, and batch norms that can learn."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from autoreid_deploy.errors import InputError
from autoreid_deploy.model import find_model
from autoreid_deploy.session import ModelSession
from search.augment import normalise
from search.config import Source
from search.data import list_crops, load_crops
from search.network import Network
from search.start import Start
from search.unfold import read_onnx, reopen
from tests.people import draw_people

MODEL = find_model("autoreid-s")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """(72, 128, 64, 3) drawn people."""
    folder = tmp_path_factory.mktemp("people")
    draw_people(folder / "them", people=12, seed=3)
    return load_crops(list_crops([Source(path="them")], folder, folder), (128, 64)).images[:]


@pytest.fixture(scope="module")
def shape() -> Start:
    return Start.load("autoreid-s")


def embedded(network: Network, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network.embed(normalise(torch.from_numpy(images)), mirrored=True).numpy()


def drift(network: Network, images: np.ndarray) -> float:
    """How far the stem's maps are from those of evaluation, once its norms look at the batch."""
    maps = []
    for training in (False, True):
        with torch.no_grad():
            maps.append(network.train(training).backbone.stem(normalise(torch.from_numpy(images))))
    return float((maps[1] - maps[0]).abs().mean() / maps[0].abs().mean())


def test_a_network_read_back_embeds_as_its_file_and_so_does_one_whose_norms_are_open(
    shape: Start, images: np.ndarray
):
    network = read_onnx(MODEL, shape.genotype, shape.config, mirrored=True)
    expected = ModelSession(MODEL, "cpu").run(images)
    np.testing.assert_allclose(embedded(network, images), expected, atol=2e-6)
    reopen(network, images)
    np.testing.assert_allclose(embedded(network, images), expected, atol=2e-6)


def test_an_open_norm_does_in_training_what_it_does_in_evaluation(shape: Start, images: np.ndarray):
    network = read_onnx(MODEL, shape.genotype, shape.config, mirrored=True)
    folded = drift(network, images)
    network = read_onnx(MODEL, shape.genotype, shape.config, mirrored=True)  # its statistics have moved
    reopen(network, images)
    assert drift(network, images) < 1e-3 < 0.05 < folded


def test_filters_before_a_norm_have_the_length_1(shape: Start):
    network = read_onnx(MODEL, shape.genotype, shape.config, mirrored=True)
    for layer in (network.bottleneck, network.backbone.stem[0], network.backbone.cells[1].older.odd):
        torch.testing.assert_close(layer.weight.flatten(1).norm(dim=1), torch.ones(len(layer.weight)))
    assert not network.neck.bias.any()


def spoilt(spoil: Callable[[onnx.ModelProto], None], folder: Path) -> Path:
    model = onnx.load(MODEL)
    spoil(model)
    onnx.save(model, folder / "spoilt.onnx")
    return folder / "spoilt.onnx"


def rename(model: onnx.ModelProto) -> None:
    """Weights under another name, as other software writes them."""
    for node in model.graph.node:
        node.input[:] = ["w" if name == "network.backbone.stem.0.weight" else name for name in node.input]
    next(t for t in model.graph.initializer if t.name == "network.backbone.stem.0.weight").name = "w"


def turn(model: onnx.ModelProto) -> None:
    """The mean is added: the weights are all there, and the file embeds in another way."""
    node = next(node for node in model.graph.node if node.op_type == "Sub")
    node.op_type = "Add"


def narrow(model: onnx.ModelProto) -> None:
    """One tensor of a smaller type, converted back in the graph."""
    name = "network.backbone.stem.0.weight"
    held = next(t for t in model.graph.initializer if t.name == name)
    held.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(held).astype(np.float16), name))
    for node in model.graph.node:
        node.input[:] = ["wide" if given == name else given for given in node.input]
    model.graph.node.insert(0, onnx.helper.make_node("Cast", [name], ["wide"], to=onnx.TensorProto.FLOAT))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (rename, "no weights backbone.stem.0.weight; take the checkpoint it came from"),
        (turn, "its weights, read back, embed in another way"),
        (narrow, r"expected backbone.stem.0.weight as float32 \[32, 3, 3, 3\], got float16 \[32, 3, 3, 3\]"),
    ],
)
def test_a_file_that_cannot_be_read_back_is_refused(
    spoil: Callable[[onnx.ModelProto], None], message: str, tmp_path: Path
):
    with pytest.raises(InputError, match=message):
        Start.load(spoilt(spoil, tmp_path))
