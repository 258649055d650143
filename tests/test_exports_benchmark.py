import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from autoreid_deploy.model import find_model
from autoreid_deploy.records import read_ids
from autoreid_deploy.session import ModelSession
from benchmarks import exports
from tests.people import draw_people


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn people under the numbers of market-heldout's `val` and `train`."""
    folder = tmp_path_factory.mktemp("market")
    draw_people(folder, people=8, cameras=3, shots=2, seed=5)
    val, train = (
        sorted(read_ids(exports.SPLITS / f"market1501_{name}_ids.txt"))[:4] for name in ("val", "train")
    )
    for path in sorted(folder.iterdir()):
        path.rename(folder / f"{[*val, *train][int(path.name[:4]) - 1]}{path.name[4:]}")
    return folder


def test_only_training_people_teach_the_ranges(market: Path):
    images = exports.training_crops(market, 100, (128, 64))
    assert images.shape == (24, 128, 64, 3) and images.dtype == np.uint8
    assert len(exports.training_crops(market, 10, (128, 64))) == 10


def test_eight_bits_answer_alike_from_half_the_bytes(market: Path, tmp_path: Path):
    path, small = find_model("autoreid-s-open"), tmp_path / "small.onnx"
    images = exports.training_crops(market, 24, (128, 64))
    exports.quantise(path, images, small)
    whole, eight = ModelSession(path, "cpu"), ModelSession(small, "cpu")
    assert eight.spec == whole.spec
    assert (whole.run(images) * eight.run(images)).sum(axis=1).min() > 0.9
    assert small.stat().st_size < 0.75 * path.stat().st_size
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(small).graph.node}


def test_the_table_has_a_row_a_format(market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    result = tmp_path / "exports.json"
    command = ["autoreid-s", "--market", str(market), "--crops", "16", "--json", str(result)]
    exports.main(command)
    found = json.loads(result.read_text(encoding="utf-8"))
    assert found["id"].startswith("autoreid-s@")
    assert {"float32", "int8"} <= set(found["formats"])
    for row in found["formats"].values():
        assert row["ms"]["1"] > 0 < row["ms"]["8"] and 0 < row["mAP"] <= 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[4].startswith("| float32 |") and "| 1.00 | 1.00 |" in lines[4]
    assert lines[-1].startswith("| int8 |")
