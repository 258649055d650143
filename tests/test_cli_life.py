"""Laws of the commands that look after an index: nothing by accident, one line each, exit codes that tell."""

import json
import re
import sys
import time
from pathlib import Path

import pytest

from autoreid_deploy.gallery import Gallery, proof
from autoreid_deploy.gallery import generation as generations
from tests.test_cli import Run, built, run

__all__ = ["built", "run"]  # fixtures


def crops(run: Run) -> int:
    return json.loads(run("reid-index", "info", "--json").out)["crops"]


def test_a_dry_run_names_the_pictures_and_changes_nothing(built: Run, crop_folder: Path) -> None:
    result = built("reid-index", "forget", "0002", "--camera", 1, "--dry-run")
    assert result.code == 0
    assert result.out.splitlines() == [
        *(str(path) for path in sorted(crop_folder.glob("0002_c1*"))),
        "2 crops of 16 would be forgotten; nothing was changed",
    ]
    told = json.loads(built("reid-index", "forget", "0002", "--dry-run", "--json").out)
    assert (told["forgotten"], told["would_forget"], len(told["paths"])) == (0, 4, 4)
    assert crops(built) == 16


def test_a_person_is_forgotten_without_a_question_to_a_script(built: Run) -> None:
    result = built("reid-index", "forget", "0002")
    assert (result.code, result.out) == (0, "4 crops forgotten, 12 left in .reid\n")
    assert "pictures are not deleted" in result.err
    assert built("reid-index", "verify").out == "12 sound crops\n"
    assert b"0002_c1s1" not in b"".join(
        file.read_bytes() for file in Path(".reid").rglob("*") if file.is_file()
    )
    assert re.fullmatch(r"[-\d]+ [\d:]+  forget: 4 crops\n", built("reid-index", "audit").out)
    [line] = json.loads(built("reid-index", "audit", "--json").out)
    assert line["line"] == "forget: 4 crops"


@pytest.mark.parametrize(("answer", "left"), [("y\n", 12), ("n\n", 16)])
def test_a_human_is_asked(built: Run, monkeypatch: pytest.MonkeyPatch, answer: str, left: int) -> None:
    from io import StringIO

    stdin = StringIO(answer)
    stdin.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", stdin)
    result = built("reid-index", "forget", "0002")
    assert "forget 4 crops for good?" in result.err
    assert result.code == (0 if left == 12 else 130)
    assert crops(built) == left


def test_an_unknown_person_is_one_line_and_nobody_is_forgotten(built: Run) -> None:
    line = "error: the index has no crop of person 77; nothing was forgotten\n"
    assert built("reid-index", "forget", "0002", "77") == (1, "", line)
    assert crops(built) == 16
    for words in ([], ["--dry-run"], ["--before", "yesterday"]):
        assert built("reid-index", "forget", *words).code == 2


def test_forgetting_nothing_is_no_fault(built: Run) -> None:
    assert built("reid-index", "forget", "--before", "2020-01-01").out.startswith(
        "0 crops forgotten, 16 left"
    )


def test_removed_crops_are_wiped(built: Run) -> None:
    built("reid-index", "compact")
    built("reid-index", "remove", "--pid", "0002")
    assert built("reid-index", "forget", "--removed").code == 0
    assert built("reid-index", "verify").code == 0
    told = json.loads(built("reid-index", "info", "--json").out)
    assert (told["generation"], told["tombstones"], told["delta"]) == (2, 0, 0)


def test_labels_are_corrected_for_good(built: Run, crop_folder: Path) -> None:
    one = crop_folder / "0001_c1s1_000001_00.jpg"
    assert built("reid-index", "relabel", one, "--to-person", "0009", "--to-camera", "7").out == (
        "1 crop relabelled in .reid\n"
    )
    assert built("reid-index", "relabel", "--person", "0002", "--camera", 2, "--to-person", "").code == 0
    assert built("reid-index", "build", crop_folder).code == 0
    with Gallery.open(".reid") as gallery:
        assert gallery.store.counts("pid") == {"0001": 3, "0002": 2, "0003": 4, "0004": 4, "0009": 1}
        assert gallery.known()[one].record.camid == "7"


def test_a_folder_means_all_below_it_and_a_filter_narrows_it(built: Run, crop_folder: Path) -> None:
    told = built("reid-index", "relabel", crop_folder, "--camera", 1, "--to-tracklet", "t", "--json").out
    assert json.loads(told)["changed"] == 8


def test_what_is_not_there_is_not_relabelled(built: Run, crop_folder: Path) -> None:
    one = crop_folder / "0001_c1s1_000001_00.jpg"
    result = built("reid-index", "relabel", one, "nowhere", "--to-person", "9")
    assert result.err == "error: the index has no crop of nowhere or anything below it; nothing was changed\n"
    assert built("reid-index", "relabel", one).code == 2
    assert built("reid-index", "relabel", "--to-person", "9").code == 2
    with Gallery.open(".reid") as gallery:
        assert "9" not in gallery.store.counts("pid")


def test_people_are_merged(built: Run) -> None:
    assert built("reid-index", "merge", "0001", "0002", "--into", "0001").out == (
        "4 crops now of person 0001 in .reid\n"
    )
    assert built("reid-index", "merge", "77", "--into", "0001").code == 1


def test_verify_exits_with_1_and_names_each_fault(built: Run) -> None:
    assert built("reid-index", "compact").code == 0
    assert built("reid-index", "verify").out == "16 sound crops\n"
    [file] = generations.files(Path(".reid"))
    data = bytearray(file.read_bytes())
    data[20] ^= 1
    file.write_bytes(data)
    result = built("reid-index", "verify")
    assert result.code == 1
    assert len(result.out.splitlines()) == 2
    assert result.out.endswith("1 fault in .reid\n")
    assert json.loads(built("reid-index", "verify", "--json").out)["sound"] is False
    assert "wrong " in built("reid-index", "info").out
    doctor = built("reid-index", "doctor")
    assert doctor.code == 1
    assert re.search(r"wrong +index file .*mend it with: reid-index compact", doctor.out)
    assert built("reid-index", "compact").code == 0
    assert built("reid-index", "verify").code == 0


def test_an_interrupted_forgetting_is_told_and_the_next_command_finishes_it(
    built: Run, crop_folder: Path
) -> None:
    with Gallery.open(".reid") as gallery:
        gallery.remove(pids=["0002"])
        gallery.store.tell("scrub", "due")
    assert proof.INTERRUPTED in built("reid-index", "verify").out
    assert "forgetting was interrupted" in built("reid-index", "info").out
    assert built("reid-index", "add", crop_folder / "0002_c1s1_000001_00.jpg").code == 0
    assert built("reid-index", "verify").code == 0


def test_compact_tells_the_index_and_keeps_the_recall(built: Run) -> None:
    told = json.loads(built("reid-index", "compact", "--recall", 0.9, "--json").out)
    assert (told["generation"], told["kind"], told["target"], told["crops"]) == (1, "exact", 0.9, 16)
    assert json.loads(built("reid-index", "compact", "--json").out)["target"] == 0.9
    assert "generation 3 of .reid: exact, recall 1.000" in built("reid-index", "compact").out
    assert "exact, " in built("reid-index", "info").out
    for words in (["--recall", 0], ["--recall", 2], ["--kind", "hnsw"], ["--keep-days", "x"]):
        assert built("reid-index", "compact", *words).code == 2


def write_csv(crop_folder: Path) -> Path:
    """One crop of now, one of ten days ago, one without a time."""
    paths = sorted(crop_folder.iterdir())[:3]
    times = [time.time(), time.time() - 10 * 86_400, ""]
    rows = [f"{path},7,1,{moment}" for path, moment in zip(paths, times, strict=True)]
    (crop_folder / "crops.csv").write_text("\n".join(["path,pid,camid,time", *rows]) + "\n")
    return crop_folder / "crops.csv"


def test_what_is_too_old_goes_and_is_not_taken_in_again(
    run: Run, crop_folder: Path, tiny_model: Path
) -> None:
    table = write_csv(crop_folder)
    assert run("reid-index", "build", table, "--model", tiny_model).code == 0
    assert crops(run) == 3
    result = run("reid-index", "compact", "--keep-days", 5)
    assert result.out.startswith("1 crop forgotten: seen longer ago than is kept\n2 crops in generation")
    assert "5 days; 1 crop without a time stay" in run("reid-index", "info").out
    result = run("reid-index", "build", table)
    assert (result.code, result.out) == (0, "2 crops in .reid: 2 known already, 1 older than is kept\n")
    assert run("reid-index", "verify").code == 0
    result = run("reid-index", "build", table, "--keep-days", "off")
    assert result.out.startswith("3 crops in .reid: 1 embedded, 2 known already")
    told = json.loads(run("reid-index", "build", table, "--keep-days", 5, "--json").out)
    assert (told["too_old"], told["expired"], told["crops"]) == (1, 1, 2)


def test_an_index_goes_out_and_comes_back(built: Run) -> None:
    assert built("reid-index", "export", "out").out == "16 crops of .reid in out\n"
    assert built("reid-index", "export", "out.parquet", "--person", "0002").out == (
        "4 crops of .reid in out.parquet\n"
    )
    assert built("reid-index", "export", "out").code == 1
    assert built("reid-index", "import", "out", "--index", "NEW").out == "16 crops taken in, 16 in NEW\n"
    told = json.loads(built("reid-index", "import", "out.parquet", "--index", "NEW", "--json").out)
    assert (told["imported"], told["crops"]) == (4, 16)
    assert built("reid-index", "verify", "--index", "NEW").code == 0


def test_a_source_that_is_none_makes_no_index(run: Run) -> None:
    result = run("reid-index", "import", "nowhere", "--index", "NEW")
    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert not Path("NEW").exists()


@pytest.mark.parametrize(
    "name", ["forget", "relabel", "merge", "verify", "compact", "audit", "export", "import"]
)
def test_help_shows_examples(run: Run, name: str) -> None:
    assert re.search(rf"Examples:\n( +reid-index {name}.*\n)+", run("reid-index", name, "--help").out)
