"""The bench that tells whether a pupil sees who is alike as its teacher does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autoreid_deploy.errors import InputError
from autoreid_deploy.records import read_ids
from benchmarks import agreement
from tests.conftest import TINY, write_tiny_model
from tests.people import draw_people


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_a_turned_space_agrees_and_another_one_does_not() -> None:
    rng = np.random.default_rng(0)
    teacher = unit(rng.normal(size=(64, 16)))
    turn = np.linalg.qr(rng.normal(size=(16, 16)))[0].astype(np.float32)
    assert agreement.agreement(teacher @ turn, teacher) == pytest.approx(1, abs=1e-5)
    assert abs(agreement.agreement(unit(rng.normal(size=(64, 16))), teacher)) < 0.2
    near = agreement.agreement(unit(teacher + 0.2 * rng.normal(size=(64, 16))), teacher)
    assert 0.3 < near < 0.9


def test_models_are_compared_with_the_teacher_on_the_people_that_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crops = tmp_path / "crops"
    draw_people(crops, people=6, cameras=2)
    (tmp_path / "ids.txt").write_text("0001\n0002\n0003\n")
    models = []
    for name in ("teacher", "pupil"):
        metadata = replace(TINY, name=name).to_metadata()
        models.append(str(write_tiny_model(tmp_path / f"{name}.onnx", metadata=metadata)))
    ids = read_ids(tmp_path / "ids.txt")
    assert len(agreement.draw_crops(f"{crops}:{tmp_path / 'ids.txt'}", 512)) == sum(
        path.name[:4] in ids for path in crops.iterdir()
    )
    assert len(agreement.draw_crops(str(crops), 5)) == 5
    told = [f"all={crops}", f"some={crops}:{tmp_path / 'ids.txt'}"]
    with pytest.raises(SystemExit):
        agreement.main(["--models", *models, "--teacher", "nobody", "--crops", *told])
    agreement.main(["--models", *models, "--teacher", "teacher", "--crops", *told])
    assert capsys.readouterr().out.splitlines() == [
        "| | all | some |",
        "|---|---:|---:|",
        "| pupil | 1.00 | 1.00 |",
    ]
    with pytest.raises(InputError, match="expected 3 or more crops, got 0"):
        (tmp_path / "nobody.txt").write_text("9999\n")
        agreement.draw_crops(f"{crops}:{tmp_path / 'nobody.txt'}", 5)
