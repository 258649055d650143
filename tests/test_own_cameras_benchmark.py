"""The bench behind docs/own-cameras.md, on rows made by hand and a clip of two frames."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import own_cameras
from benchmarks.own_cameras import Tracklet, arms, cut, reassociate, write_lists
from search.config import Source, load_config
from search.data import list_crops


def unit(*angles: float) -> np.ndarray:
    return np.array([[np.cos(angle), np.sin(angle)] for angle in angles], np.float32)


def test_who_comes_back_is_looked_for_among_tracklets_that_had_ended():
    person = {1: 1, 2: 2, 3: 1, 4: 2, 5: 3}
    tracklets = [
        Tracklet(1, 0, 9, unit(0.0)),
        Tracklet(2, 0, 30, unit(1.0)),  # still there when 3 comes
        Tracklet(3, 20, 40, unit(0.1, 0.9)),  # only 1 has ended
        Tracklet(4, 50, 60, unit(0.95, 0.2, 0.3)),  # by its mean nearer to 3, one crop of it to 2
        Tracklet(5, 50, 60, unit(2.0)),  # new: nobody to find
    ]
    found = reassociate(tracklets, 10, person)
    assert found["returns"] == 2
    assert found["tracklet"] == 0.5
    assert found["crops"] == 5
    assert found["crop"] == pytest.approx(3 / 5)
    assert found["crop_by_person"] == pytest.approx((1 + 1 / 3) / 2)
    assert reassociate(tracklets, 40, person)["returns"] == 1  # 3 comes before the split


def test_the_lists_tell_what_each_row_may_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(own_cameras, "EVERY", 1)
    video = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 7, (64, 64))
    for _ in range(3):
        video.write(np.full((64, 64, 3), 90, np.uint8))
    video.release()
    rows = ["1,14,5,5,20,40,1", "1,7,-8,5,20,40,1", "2,15,5,5,20,40,1", "3,8,5,5,20,40,1"]
    (tmp_path / "truth.txt").write_text("\n".join(row + ",-1,-1,-1" for row in rows) + "\n")
    crops = tmp_path / "crops"
    cut(tmp_path / "clip.avi", tmp_path / "truth.txt", crops)
    assert sorted(path.relative_to(crops).as_posix() for path in crops.rglob("*.png")) == [
        "14/000001.png",
        "15/000002.png",
        "7/000001.png",
        "8/000003.png",
    ]
    assert cv2.imread(str(crops / "7" / "000001.png")).shape == (40, 12, 3)  # cut at the picture's edge
    write_lists(crops, 2)
    told = arms(load_config(own_cameras.CONFIG))
    listed = {name: list_crops(config.train, crops, crops) for name, config in told.items()}
    assert {name: len({crop.person for crop in some}) for name, some in listed.items()} == {
        "tracklets": 3,
        "tracklets, no times": 3,
        "people by name": 2,  # 14 and 15 are one person
    }
    assert {crop.record.time is None for crop in listed["tracklets, no times"]} == {True}
    assert len(list_crops([Source(path="all.csv")], crops, crops)) == 4
