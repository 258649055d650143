"""Laws of `reid-index calibrate`: it keeps what it learnt, says what that is worth, and refuses in one line."""

import json
import re
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from autoreid_deploy.calibration import Calibration
from autoreid_deploy.errors import InputError
from autoreid_deploy.fitting import fit
from autoreid_deploy.gallery import Gallery
from tests.conftest import draw_crop
from tests.test_cli import Run, run

__all__ = ["run"]  # a fixture


@pytest.fixture
def reid_index(run: Run) -> Run:
    """Run `reid-index` in an empty working folder."""
    return partial(run, "reid-index")


def draw(folder: Path, people: int) -> Path:
    """Draw two crops of each person by each of two cameras, in Market naming."""
    folder.mkdir()
    for pid in range(1, people + 1):
        for camid in (1, 2):
            for shot in (1, 2):
                image = cv2.cvtColor(draw_crop(pid, camid, shot), cv2.COLOR_RGB2BGR)
                cv2.imwrite(str(folder / f"{pid:04d}_c{camid}s1_{shot:06d}_00.jpg"), image)
    return folder


@pytest.fixture
def built(reid_index: Run, tmp_path: Path, tiny_model: Path) -> Run:
    """The same, with an index of 20 people in ./.reid."""
    assert reid_index("build", draw(tmp_path / "crops", 20), "--model", tiny_model).code == 0
    return reid_index


def test_what_is_kept_is_a_fit_on_all_people(built: Run) -> None:
    assert built("calibrate").code == 0
    with Gallery.open(".reid") as gallery:
        rows = gallery.store.embeddings()[1]
        records = [row.record for row in gallery.store.stored()]
        labels = [record.pid for record in records], [record.camid for record in records]
        assert gallery.calibration == fit(rows, *labels, source="the index's own crops")


def test_a_second_run_replaces_the_first(built: Run) -> None:
    for method in ("isotonic", "logistic"):
        assert built("calibrate", "--method", method).code == 0
        with Gallery.open(".reid") as gallery:
            table = gallery.calibration
        assert isinstance(table, Calibration) and table.method == method


def test_the_report_tells_pairs_errors_and_thresholds(built: Run) -> None:
    lines = built("calibrate").out.splitlines()
    assert lines[0] == "calibrated on 20 people: 80 pairs of one person, 3,040 pairs of two (isotonic)"
    assert re.fullmatch(
        r"held out: 10 people, Brier score 0\.\d{4}, calibration error 0\.\d{4}; "
        r"of best hits 0\.\d{4} and 0\.\d{4}",
        lines[1],
    )
    assert lines[3] == ("false positives  threshold  false positives  true positives  strangers with a hit")
    # 720 pairs of the ten people fitted on cannot tell 1 %, all 3,040 can.
    assert re.fullmatch(r" +1 %     0\.\d{4} +- +- +-", lines[4])
    assert [line.split() for line in lines[5:7]] == [["0.1", "%", *"----"], ["0.01", "%", *"----"]]
    assert lines[7] == "-: cannot be told; the smallest rate that so many pairs tell is 0.0033"


def test_json_tells_the_same_in_numbers(built: Run) -> None:
    told = json.loads(built("calibrate", "--json", "--fpr", 0.05, "--fpr", 1e-9).out)
    assert (told["people"], told["genuine"], told["impostors"]) == (20, 80, 3040)
    assert (told["prior"], told["warning"], told["held_out_error"]) == (1 / 40, None, None)
    with Gallery.open(".reid") as gallery:
        table = gallery.calibration
    assert table is not None
    assert told["thresholds"] == [
        {"fpr": 0.05, "threshold": table.threshold(0.05)},
        {"fpr": 1e-9, "threshold": None},
    ]
    held_out = told["held_out"]
    assert held_out["people"] == 10 and 0 <= held_out["ece"] < 0.5
    assert [rate["fpr"] for rate in held_out["rates"]] == [0.05, 1e-9]
    assert 0 < held_out["rates"][0]["tpr"] <= 1


def test_few_people_are_calibrated_but_nothing_is_measured(
    reid_index: Run, tmp_path: Path, tiny_model: Path
) -> None:
    reid_index("build", draw(tmp_path / "few", 8), "--model", tiny_model)
    result = reid_index("calibrate")
    assert result.code == 0
    assert result.out.splitlines()[1].startswith("nothing measured: too few people to hold half of them out")
    with Gallery.open(".reid") as gallery:
        assert gallery.calibration is not None


def test_too_few_people_are_refused_in_one_line_and_nothing_is_kept(
    reid_index: Run, tmp_path: Path, tiny_model: Path
) -> None:
    reid_index("build", draw(tmp_path / "few", 4), "--model", tiny_model)
    line = "error: expected at least 5 people seen by two cameras, got 4; label more crops and index them again\n"
    assert reid_index("calibrate") == (1, "", line)
    with Gallery.open(".reid") as gallery:
        assert gallery.calibration is None


def test_a_missing_index_says_how_to_make_one(reid_index: Run) -> None:
    line = "error: there is no index at .reid; make one with: reid-index build FOLDER\n"
    assert reid_index("calibrate") == (1, "", line)


def test_a_missing_scikit_learn_is_one_line_with_the_command(
    built: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.isotonic", None)
    line = "error: scikit-learn is not installed; install it with: pip install 'autoreid-deploy[calibrate]'\n"
    assert built("calibrate") == (1, "", line)


def test_collapsed_distances_are_a_warning(reid_index: Run) -> None:
    rows = 1 + 0.1 * np.random.default_rng(0).normal(size=(80, 32))
    rows += 0.1 * np.repeat(np.random.default_rng(1).normal(size=(20, 32)), 4, axis=0)
    with Gallery.create(".reid", model_id="m@1", dim=32) as gallery:
        from autoreid_deploy import Record

        names = [f"{i // 4 + 1:04d}_c{i % 2 + 1}_{i:06d}.jpg" for i in range(80)]
        gallery.add([Record(Path(name), name[:4], name[6]) for name in names], rows)
    result = reid_index("calibrate")
    assert result.code == 0
    assert re.fullmatch(r"warning: the distances have collapsed: .*\n", result.err)
    assert "collapsed" in json.loads(reid_index("calibrate", "--json").out)["warning"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"method": 3}'])
def test_a_damaged_calibration_is_one_line(text: str, built: Run) -> None:
    with Gallery.open(".reid") as gallery:
        gallery.store.tell("calibration", text)
        with pytest.raises(InputError, match=r"^\.reid: .* make .*with: reid-index calibrate$"):
            gallery.calibration  # noqa: B018


def test_a_rate_that_is_none_is_wrong_usage(built: Run) -> None:
    for rate in (0, 1, "x"):
        assert built("calibrate", "--fpr", rate).code == 2
