"""The reliability plot: people of one half never meet the table that was fitted on them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from autoreid_deploy.fitting import reliability
from autoreid_deploy.records import Record, read_ids
from benchmarks import calibration
from tests.people import draw_people


def crowd(people: int, seed: int, noise: float) -> tuple[np.ndarray, list[Record]]:
    """People by two cameras, three shots each, at random places of a sphere."""
    rng = np.random.default_rng(seed)
    rows, records = [], []
    for pid in range(people):
        centre = rng.normal(size=16)
        for camid in ("1", "2"):
            for shot in range(3):
                row = centre + noise * rng.normal(size=16)
                rows.append(row / np.linalg.norm(row))
                records.append(Record(Path(f"{pid}_{camid}_{shot}.jpg"), f"{pid + 1:04d}", camid))
    return np.array(rows, np.float32), records


def test_a_bin_holds_its_mean_its_share_and_its_weight():
    found = reliability([0.05, 0.15, 0.1, 1.0], [0, 1, 0, 1], [1, 1, 2, 4])
    assert [(b.predicted, b.observed, b.weight) for b in found] == [
        (pytest.approx(0.05), 0, 0.125),
        (pytest.approx((0.15 + 0.2) / 3), pytest.approx(1 / 3), 0.375),
        (1, 1, 0.5),
    ]


def test_people_of_one_distribution_are_told_rightly():
    found = calibration.held_out(*crowd(200, 0, 1.0))
    pairs = found["pairs, prior 1:1"]
    assert sum(b.weight for b in pairs) == pytest.approx(1)
    assert sum(b.weight * abs(b.predicted - b.observed) for b in pairs) < 0.03
    assert len(pairs) == 10


def test_nobody_is_held_against_a_table_that_knows_them(monkeypatch: pytest.MonkeyPatch):
    rows, records = crowd(20, 1, 0.5)
    known: list[set[str]] = []
    seen: list[set[str]] = []
    fit, sample = calibration.fit, calibration.LabelledRows
    monkeypatch.setattr(
        calibration, "fit", lambda r, pids, c, **k: (known.append(set(pids)), fit(r, pids, c, **k))[1]
    )
    monkeypatch.setattr(
        calibration, "LabelledRows", lambda r, p, c: (seen.append(set(p)), sample(r, p, c))[1]
    )
    calibration.held_out(rows, records)
    assert len(known) == len(seen) == 2
    assert all(not fitted & held for fitted, held in zip(known, seen, strict=True))
    assert seen[0] | seen[1] == {record.pid for record in records}


def test_the_plot_reads_val_and_no_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    draw_people(tmp_path / "market", people=14, cameras=2, shots=3)
    ids = sorted(read_ids(calibration.SPLITS / "market1501_val_ids.txt"))
    for path in sorted((tmp_path / "market").iterdir()):
        path.rename(path.with_name(f"{ids[int(path.name[:4])]}{path.name[4:]}"))
    asked: list[str] = []
    monkeypatch.setattr(calibration, "read_ids", lambda path: (asked.append(path.name), read_ids(path))[1])
    plot = tmp_path / "images" / "reliability.png"
    calibration.main(["autoreid-s", "--market", str(tmp_path / "market"), "--plot", str(plot)])
    assert asked == ["market1501_val_ids.txt"]
    assert cv2.imread(str(plot)) is not None
