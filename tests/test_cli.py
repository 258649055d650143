"""Laws of the command lines: no option needed, one line for each fault, the exit code tells."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import NamedTuple

import cv2
import pytest

from autoreid_deploy.calibration import Calibration
from autoreid_deploy.cli import common, doctor, index, query
from autoreid_deploy.gallery import Gallery
from autoreid_deploy.records import LAYOUTS

COMMANDS = {"reid-index": index.cli, "reid-query": query.cli}


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an empty working folder, as its entry point does."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("REID_INDEX", raising=False)

    def run(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        capsys.readouterr()
        return Result(common.run(COMMANDS[str(words[0])]), *capsys.readouterr())

    return run


@pytest.fixture
def built(run: Run, crop_folder: Path, tiny_model: Path) -> Run:
    """The same, with an index of the 16 crops in ./.reid."""
    assert run("reid-index", "build", crop_folder, "--model", tiny_model).code == 0
    return run


def test_a_built_index_answers_without_any_option(built: Run, crop_folder: Path) -> None:
    result = built("reid-query", crop_folder / "0002_c1s1_000001_00.jpg")
    lines = result.out.splitlines()
    assert result.code == 0
    assert lines[0].endswith("0002_c1s1_000001_00.jpg")
    assert lines[1].split() == ["rank", "distance", "person", "camera", "path"]
    assert lines[2].split()[:4] == ["1", "0.0000", "0002", "1"]
    assert len(lines) == 12
    columns = [re.search(r"/|path", line).start() for line in lines[1:]]  # type: ignore[union-attr]
    assert len(set(columns)) == 1


def test_building_again_embeds_nothing_and_needs_no_model_option(built: Run, crop_folder: Path) -> None:
    result = built("reid-index", "build", crop_folder)
    assert (result.code, result.out) == (0, "16 crops in .reid: 16 known already\n")


def test_every_gallery_image_finds_itself_first(built: Run, crop_folder: Path) -> None:
    paths = sorted(crop_folder.iterdir())
    answers = json.loads(built("reid-query", *paths, "-k", 1, "--json").out)
    assert [answer["query"] for answer in answers] == list(map(str, paths))
    for path, answer in zip(paths, answers, strict=True):
        [hit] = answer["hits"]
        assert hit["path"] == str(path)
        assert hit["distance"] < 1e-4
        assert (hit["pid"], hit["camid"]) == (answer["pid"], answer["camid"]) == (path.name[:4], path.name[6])


def test_a_camera_filter_answers_from_those_cameras_alone(built: Run, crop_folder: Path) -> None:
    image = crop_folder / "0002_c1s1_000001_00.jpg"
    [answer] = json.loads(built("reid-query", image, "--camera", 2, "-k", 99, "--json").out)
    assert [hit["camid"] for hit in answer["hits"]] == ["2"] * 8
    [answer] = json.loads(built("reid-query", image, "--camera", 2, "--camera", 1, "-k", 99, "--json").out)
    assert len(answer["hits"]) == 16


def test_an_unknown_camera_is_told_with_those_there_are(built: Run, crop_folder: Path) -> None:
    result = built("reid-query", crop_folder / "0002_c1s1_000001_00.jpg", "--camera", "9")
    assert result == (1, "", "error: no crop of the index is from camera '9'; known are 1, 2\n")


@pytest.mark.parametrize("option", ["--camera", "--not-camera"])
def test_an_unknown_camera_is_told_whichever_way_it_is_named(
    built: Run, crop_folder: Path, option: str
) -> None:
    result = built("reid-query", crop_folder / "0002_c1s1_000001_00.jpg", "--camera", "1", option, "9")
    assert result == (1, "", "error: no crop of the index is from camera '9'; known are 1, 2\n")


def test_each_filter_narrows_what_a_query_searches(run: Run, crop_folder: Path, tiny_model: Path) -> None:
    crops = sorted(crop_folder.iterdir())
    rows = [f"{crop},{crop.name[:4]},{crop.name[6]},{i},t{i % 4}" for i, crop in enumerate(crops[1:])]
    rows.append(f"{crops[0]},,,,")  # nothing is known about this one
    Path("crops.csv").write_text("\n".join(["path,pid,camid,time,tracklet", *rows]))
    assert run("reid-index", "build", "crops.csv", "--model", tiny_model).code == 0

    def found(*words: str) -> set[str]:
        [answer] = json.loads(run("reid-query", crops[0], "-k", 99, "--json", *words).out)
        return {Path(hit["path"]).name for hit in answer["hits"]}

    everything, unknown = {crop.name for crop in crops}, crops[0].name
    assert found() == everything
    assert found("--not-camera", "1") == {name for name in everything if name[6] == "2"} | {unknown}
    assert found("--person", "0002") == {name for name in everything if name[:4] == "0002"} - {unknown}
    assert found("--not-person", "0002") == everything - found("--person", "0002")
    assert found("--since", "1970-01-01T00:00:03", "--until", "5") == {crop.name for crop in crops[4:6]}
    assert found("--until", "2") == {crop.name for crop in crops[1:3]}
    assert found("--tracklet", "t0", "--tracklet", "t1") == {
        crop.name for i, crop in enumerate(crops[1:]) if i % 4 < 2
    }
    assert found("--path", "*/0002_c1*", "--path", str(crops[0])) == {
        name for name in everything if name[:7] == "0002_c1"
    } | {unknown}
    assert found("--path", "*/0002_c1*", "--not-camera", "1", "--since", "0") == set()


def test_two_pictures_of_one_person_are_one_question(built: Run, crop_folder: Path) -> None:
    pictures = [crop_folder / f"0002_c{camera}s1_000001_00.jpg" for camera in (1, 2)]
    for pool in ("mean", "max"):
        [answer] = json.loads(built("reid-query", *pictures, "--one-person", pool, "--json").out)
        assert {hit["path"] for hit in answer["hits"][:2]} == set(map(str, pictures))
    assert len(json.loads(built("reid-query", *pictures, "--json").out)) == 2


def test_a_tracklet_of_the_index_asks(run: Run, crop_folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    crops = sorted(crop_folder.glob("*.jpg"))
    lines = [f"{crop},{crop.name[:4]},{crop.name[6]},t{crop.name[:4]}c{crop.name[6]}" for crop in crops]
    (tmp_path / "crops.csv").write_text("\n".join(["path,pid,camid,tracklet", *lines]) + "\n")
    assert run("reid-index", "build", tmp_path / "crops.csv", "--model", tiny_model).code == 0
    told = run("reid-query", "--of-tracklet", "t0002c1", "--group", "person", "--json")
    [answer] = json.loads(told.out)
    assert all(hit["tracklet"] != "t0002c1" for hit in answer["hits"])
    people = [hit["pid"] for hit in answer["hits"]]
    assert len(people) == len(set(people)) == 4
    told = run("reid-query", "--of-tracklet", "nobody")
    assert (told.code, told.err) == (
        1,
        "error: no crop of the index is of tracklet 'nobody'; tracklets come from the column of a CSV, or "
        "from reid-index relabel\n",
    )


def test_a_query_is_of_pictures_or_of_a_tracklet(built: Run, crop_folder: Path) -> None:
    picture = crop_folder / "0002_c1s1_000001_00.jpg"
    for words in ([], [picture, "--of-tracklet", "t1"]):
        result = built("reid-query", *words)
        assert result.code == 2
        assert "say who is asked for: IMG... or --of-tracklet T" in result.err


def test_re_ranking_tells_its_distances(built: Run, crop_folder: Path) -> None:
    picture = crop_folder / "0002_c1s1_000001_00.jpg"
    [answer] = json.loads(built("reid-query", picture, "--rerank", 12, "--json").out)
    assert [hit["reranked"] for hit in answer["hits"]] == sorted(hit["reranked"] for hit in answer["hits"])
    assert answer["hits"][0]["path"] == str(picture)


def test_centring_by_camera_tells_its_distances(built: Run, crop_folder: Path) -> None:
    picture = crop_folder / "0002_c1s1_000001_00.jpg"
    [answer] = json.loads(built("reid-query", picture, "--centred", "--json").out)
    apart = [hit["centred"] for hit in answer["hits"]]
    assert apart == sorted(apart)
    assert answer["hits"][0]["path"] == str(picture)
    assert apart[0] == pytest.approx(0, abs=1e-3)  # its name says which camera took it
    [plain] = json.loads(built("reid-query", picture, "--json").out)
    assert "centred" not in plain["hits"][0]


def test_who_is_too_far_away_is_unknown_once_distances_mean_something(built: Run, crop_folder: Path) -> None:
    picture = crop_folder / "0002_c1s1_000001_00.jpg"
    refused = built("reid-query", picture, "--fpr", "0.1")
    assert refused.code == 1
    assert "neither model nor index has one; make one with: reid-index calibrate" in refused.err
    table = Calibration("logistic", "", 4, 9, 9, 0.5, (0.0, 1.0), (9.0, -9.0), (0.01, 0.5), (1e-4, 0.9))
    with Gallery.open(".reid") as gallery:
        gallery.calibration = table
    result = built("reid-query", picture, "--fpr", "0.01")
    first, *others = [line.split() for line in result.out.splitlines()[2:]]
    assert result.out.splitlines()[1].split() == [
        "rank",
        "distance",
        "probability",
        "person",
        "camera",
        "path",
    ]
    assert first[3] == "0002"
    assert {line[3] for line in others} == {"unknown"}
    chances = [float(line[2]) for line in (first, *others)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.9


def test_an_unreadable_query_is_named_and_the_others_are_answered(built: Run, crop_folder: Path) -> None:
    result = built("reid-query", "none.jpg", crop_folder / "0002_c1s1_000001_00.jpg", crop_folder)
    assert result.code == 1
    assert result.out.count("rank") == 1
    assert "0002_c1s1_000001_00.jpg" in result.out
    assert result.err.splitlines() == [
        "error: none.jpg: no such file or directory",
        f"error: {crop_folder}: is a directory",
    ]


def test_a_query_of_nothing_but_unreadable_pictures_is_one_line_each(built: Run) -> None:
    assert built("reid-query", "none.jpg") == (1, "", "error: none.jpg: no such file or directory\n")


def test_sheet_and_page_are_written(built: Run, crop_folder: Path) -> None:
    image = crop_folder / "0002_c1s1_000001_00.jpg"
    result = built("reid-query", image, "--sheet", "out.png", "--html", "out.html", "--json")
    assert result.code == 0
    assert json.loads(result.out)
    assert result.err == "wrote out.png\nwrote out.html\n"
    assert cv2.imread("out.png").shape[1] > 1000
    assert Path("out.html").read_text().count("<figure") == 11


def test_a_missing_index_says_how_to_make_one(run: Run) -> None:
    line = "error: there is no index at .reid; make one with: reid-index build FOLDER\n"
    for words in (["reid-query", "x.jpg"], ["reid-index", "info"], ["reid-index", "add", "x.jpg"]):
        assert run(*words) == (1, "", line)
    assert not Path(".reid").exists()


def test_an_empty_index_says_how_to_fill_it(built: Run, crop_folder: Path) -> None:
    assert built("reid-index", "remove", crop_folder).out == "16 crops removed, 0 left in .reid\n"
    result = built("reid-query", crop_folder / "0002_c1s1_000001_00.jpg")
    assert result == (1, "", "error: the index .reid is empty; fill it with: reid-index build FOLDER\n")


def test_another_model_is_refused_with_both_ids(built: Run, crop_folder: Path, other_model: Path) -> None:
    result = built("reid-index", "build", crop_folder, "--model", other_model)
    assert result.code == 1
    assert re.fullmatch(
        r"error: .reid: the index was built with tiny@\w{12}, this model is tiny@\w{12}, "
        r"and their embeddings can't be compared; take .* build another index with: .* --index NEW\n",
        result.err,
    )
    assert built("reid-index", "build", crop_folder, "--model", other_model, "--index", "NEW").code == 0


def test_a_model_that_is_gone_can_be_pointed_at(run: Run, crop_folder: Path, tiny_model: Path) -> None:
    here = Path("model.onnx")
    here.write_bytes(tiny_model.read_bytes())
    run("reid-index", "build", crop_folder, "--model", here)
    here.rename("elsewhere.onnx")
    image = crop_folder / "0002_c1s1_000001_00.jpg"
    result = run("reid-query", image)
    assert result.code == 1
    assert "which can't be loaded any more" in result.err
    assert "--model FILE" in result.err
    assert result.err.count("\n") == 1
    assert run("reid-query", image, "--model", "elsewhere.onnx").code == 0
    assert "16 of 4 known people" in run("reid-index", "info").out
    assert "--model FILE" in json.loads(run("reid-index", "info", "--json").out)["model_error"]


def test_unreadable_crops_are_listed_ten_at_most_and_counted(run: Run, crop_folder: Path, tiny_model: Path):
    for i in range(12):
        (crop_folder / f"z{i:02d}.jpg").write_text(f"no picture {i}")
    result = run("reid-index", "build", crop_folder, "--model", tiny_model)
    assert result.code == 0
    assert re.fullmatch(r"16 crops in .reid: 16 embedded, 12 unreadable \([\d,]+ crops/s\)\n", result.out), (
        result.out
    )
    lines = result.err.splitlines()
    assert lines[0] == f"unreadable: {crop_folder / 'z00.jpg'}: not a picture that can be decoded"
    assert lines[10] == "unreadable: and 2 more (--json lists them all)"
    assert len(lines) == 11
    told = json.loads(run("reid-index", "build", crop_folder, "--json").out)
    assert (told["unchanged"], len(told["unreadable"])) == (16, 12)


def test_strict_refuses_and_tells_what_is_kept(run: Run, crop_folder: Path, tiny_model: Path) -> None:
    (crop_folder / "z.jpg").write_bytes(b"")
    result = run("reid-index", "build", crop_folder, "--model", tiny_model, "--strict")
    path = crop_folder / "z.jpg"
    assert result.code == 1
    assert result.err == (
        f"error: {path}: the file is empty (0 bytes); --strict stops here, 16 crops are kept in .reid\n"
    )


def test_nothing_readable_is_an_error(run: Run, tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"")
    result = run("reid-index", "build", tmp_path / "bad", "--model", tiny_model)
    assert result.code == 1
    assert "error: none of the 1 crop could be read, the index .reid is empty" in result.err


@pytest.mark.parametrize("folder", ["empty", "nowhere", "file.txt"])
def test_a_folder_without_crops_makes_no_index(run: Run, tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    result = run("reid-index", "build", tmp_path / folder)
    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert not Path(".reid").exists()


def test_a_missing_model_makes_no_index(run: Run, crop_folder: Path) -> None:
    result = run("reid-index", "build", crop_folder, "--model", "none.onnx")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert not Path(".reid").exists()


def test_single_crops_and_folders_are_added(built: Run, crop_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    source = crop_folder / "0002_c1s1_000001_00.jpg"
    (tmp_path / "more" / "0005_c9s1_000001_00.jpg").write_bytes(source.read_bytes() + b"\0")
    (tmp_path / "0006_c9s1_000001_00.jpg").write_bytes(source.read_bytes() + b"\0\0")
    result = built("reid-index", "add", tmp_path / "0006_c9s1_000001_00.jpg", tmp_path / "more")
    assert result.out.startswith("18 crops in .reid: 2 embedded")
    assert json.loads(built("reid-index", "info", "--json").out)["cameras"] == {"1": 8, "2": 8, "9": 2}
    result = built("reid-index", "add", tmp_path / "nowhere.jpg")
    assert "no such file or directory" in result.err


def test_removing_takes_paths_people_and_what_is_gone(built: Run, crop_folder: Path) -> None:
    one = crop_folder / "0001_c1s1_000001_00.jpg"
    assert built("reid-index", "remove", one).out == "1 crop removed, 15 left in .reid\n"
    assert built("reid-index", "remove", "--pid", "0002", "--json").out.count('"removed": 4') == 1
    (crop_folder / "0003_c1s1_000001_00.jpg").unlink()
    result = built("reid-index", "build", crop_folder)
    assert "1 crop of the index no longer on disk; to drop: reid-index remove --missing" in result.out
    assert built("reid-index", "remove", "--missing").out == "1 crop removed, 15 left in .reid\n"
    assert one.exists()


def test_removing_what_is_not_there_removes_nothing(built: Run, crop_folder: Path) -> None:
    one = crop_folder / "0001_c1s1_000001_00.jpg"
    result = built("reid-index", "remove", one, "nowhere.jpg")
    assert result.code == 1
    assert result.err == (
        "error: the index has no crop of nowhere.jpg or anything below it; nothing was removed\n"
    )
    assert built("reid-index", "remove", "--pid", "77").code == 1
    assert json.loads(built("reid-index", "info", "--json").out)["crops"] == 16
    assert built("reid-index", "remove").code == 2


def test_info_tells_what_is_there(built: Run) -> None:
    result = built("reid-index", "info")
    assert "16 of 4 known people" in result.out
    assert "1: 8 crops, 2: 8 crops" in result.out
    assert "for tests only" in result.out
    assert "drawn" in result.out
    told = json.loads(built("reid-index", "info", "--json").out)
    assert (told["crops"], told["people"], told["dim"], told["schema"]) == (16, 4, 32, 2)
    assert (told["generation"], told["kind"], told["delta"], told["trouble"]) == (None, "exact", 16, None)
    assert told["bytes"] == told["database_bytes"] + told["index_bytes"] > 0
    assert told["terms"] == "for tests only"
    assert told["model_error"] is None


def test_the_index_lies_where_option_or_variable_say(
    built: Run, crop_folder: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = crop_folder / "0002_c1s1_000001_00.jpg"
    monkeypatch.setenv("REID_INDEX", "by variable")
    assert built("reid-query", image).code == 1
    assert built("reid-index", "build", crop_folder, "--model", tiny_model).code == 0
    assert Path("by variable/gallery.db").is_file()
    assert built("reid-query", image).code == 0
    assert built("reid-query", image, "--index", ".reid").code == 0
    built("reid-index", "remove", crop_folder)
    assert "build FOLDER --index 'by variable'" in built("reid-query", image).err


def test_names_that_are_no_text_are_shown_escaped(built: Run, crop_folder: Path) -> None:
    source = (crop_folder / "0002_c1s1_000001_00.jpg").read_bytes()
    name = b"line\nred\x1b[31m\xff.jpg"
    path = os.fsencode(crop_folder) + b"/" + name
    Path(os.fsdecode(path)).write_bytes(source)
    assert built("reid-index", "build", crop_folder).code == 0
    result = built("reid-query", os.fsdecode(path), "-k", 2)
    assert result.code == 0
    assert r"line\nred\x1b[31m\udcff.jpg" in result.out
    assert len(result.out.splitlines()) == 4
    [answer] = json.loads(built("reid-query", os.fsdecode(path), "-k", 2, "--json").out)
    assert os.fsencode(answer["query"]) == path


def test_layouts_offered_are_those_that_records_know() -> None:
    [names] = [option for option in index.build.params if option.name == "names"]
    assert tuple(names.type.choices) == LAYOUTS  # type: ignore[attr-defined]


def test_wrong_usage_exits_with_2(run: Run) -> None:
    for words in (
        ["reid-query"],
        ["reid-query", "x.jpg", "-k", 0],
        ["reid-index", "bild"],
        ["reid-index", "build"],
    ):
        result = run(*words)
        assert (result.code, result.out) == (2, ""), words
        assert "Usage:" in result.err


# The doctor.


def test_the_doctor_finds_this_installation_well_but_for_what_it_names(built: Run) -> None:
    result = built("reid-index", "doctor", "--json")
    told = json.loads(result.out)
    states = {finding["what"]: finding["state"] for finding in told["findings"]}
    assert states["ONNX Runtime"] == states["FAISS"] == states["device cpu"] == "ok"
    assert states["device openvino"] in ("ok", "note")  # an extra of its own
    assert states["index"] == states["index model"] == "ok"
    assert result.code == (0 if told["healthy"] else 1)


def test_the_doctor_names_two_builds_of_one_package_and_the_commands(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site" / "onnxruntime_gpu-1.27.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.27.0\n")
    assert PathDistribution(info).version == "1.27.0"
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    result = run("reid-index", "doctor")
    assert result.code == 1
    assert (
        "share one import name and break each other; keep one: pip uninstall -y onnxruntime onnxruntime-gpu "
        "&& pip install 'autoreid-deploy[gpu]'"
    ) in result.out


def test_the_doctor_sees_a_damaged_index(built: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("autoreid_deploy.gallery.store.Store.complaints", lambda self: ["row 3 missing"])
        result = built("reid-index", "doctor")
    assert result.code == 1
    assert re.search(r"wrong +index .*the index is damaged: row 3 missing", result.out)
    Path(".reid/gallery.db").write_bytes(b"x" * 9000)
    result = built("reid-index", "doctor")
    assert result.code == 1
    assert re.search(r"wrong +index .*the index is damaged; move its folder away", result.out)


def test_the_doctor_sees_that_the_index_lost_its_model(run: Run, crop_folder: Path, tiny_model: Path) -> None:
    Path("model.onnx").write_bytes(tiny_model.read_bytes())
    run("reid-index", "build", crop_folder, "--model", "model.onnx")
    Path("model.onnx").unlink()
    result = run("reid-index", "doctor")
    assert re.search(r"ok +index +16 sound crops", result.out)
    assert re.search(r"wrong +index model .*which can't be loaded any more", result.out)


def test_the_doctor_tells_a_provider_that_does_not_come_up() -> None:
    assert doctor._start("CPUExecutionProvider") is None
    assert doctor._start("CUDAExecutionProvider") or Path("/dev/nvidia0").exists()


def test_the_doctor_tries_a_model(tiny_model: Path) -> None:
    assert "self-test passed, for tests only" in doctor._try_model(str(tiny_model))


# The shell.


def start(program: str, *words: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    module = f"autoreid_deploy.cli.{program.removeprefix('reid-')}"
    code = f"import sys; sys.argv[0] = {program!r}; from {module} import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, **options
    )


@pytest.mark.parametrize(
    "words",
    [["reid-index"], ["reid-index", "build"], ["reid-index", "doctor"], ["reid-query"]],
    ids=" ".join,
)
def test_help_is_quick_and_shows_examples_line_by_line(words: list[str]) -> None:
    seconds = []
    for _ in range(3):
        # Processor time of the child: what a free machine takes, measured also on a busy one.
        before = os.times()
        result = start(*words, "--help")
        after = os.times()
        seconds.append(sum(after[2:4]) - sum(before[2:4]))
    assert result.returncode == 0
    assert re.search(r"Examples:\n( +reid-(index|query) .*\n)+", result.stdout)
    assert min(seconds) < 0.3


@pytest.mark.parametrize("program", ["reid-index", "reid-query"])
def test_help_imports_nothing_heavy(program: str) -> None:
    module = f"autoreid_deploy.cli.{program.removeprefix('reid-')}"
    code = (
        f"import sys, {module}; "
        "print([m for m in ('numpy', 'cv2', 'faiss', 'onnxruntime', 'sqlite3', 'tqdm') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_a_pipe_that_closes_early_is_quiet(built: Run, crop_folder: Path) -> None:
    code = "from autoreid_deploy.cli.query import main; main()"
    images = sorted(crop_folder.iterdir()) * 40
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, images), "-k", "16"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() in (0, 1)  # older versions of click say 1


def test_a_full_output_is_one_line(built: Run, crop_folder: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    code = "from autoreid_deploy.cli.query import main; main()"
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-c", code, str(next(crop_folder.iterdir()))],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert process.returncode == 1
    assert process.stderr == "error: the disk is full; free some space and run the same command again\n"
