import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from autoreid_deploy.centring import CameraMeans
from autoreid_deploy.cli.eval import cli
from autoreid_deploy.distances import distance_matrix
from autoreid_deploy.embedder import Embedder
from autoreid_deploy.errors import CropError, InputError
from autoreid_deploy.metrics import evaluate, evaluate_records
from autoreid_deploy.records import scan
from autoreid_deploy.rerank import rerank_distances

PROGRAM = "from autoreid_deploy.cli.eval import main; main()"


@pytest.fixture
def run(tiny_model):
    """Run reid-eval with the tiny model and give its result; our errors are raised."""

    def invoke(*arguments):
        result = CliRunner().invoke(cli, [*map(str, arguments), "--model", str(tiny_model)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def report(run):
    """Run reid-eval --json and give what it says."""
    return lambda *arguments: json.loads(run(*arguments, "--json").stdout)


@pytest.fixture
def sides(crop_folder, tmp_path):
    """The drawn crops in two folders: the first shot of each person by each camera asks."""
    for crop in sorted(crop_folder.iterdir()):
        side = tmp_path / ("query" if "_000001_" in crop.name else "gallery")
        side.mkdir(exist_ok=True)
        shutil.copy(crop, side)
    return tmp_path / "query", tmp_path / "gallery"


@pytest.fixture
def confused(sides):
    """The same two folders with wrong people in the gallery, so that the right ones are hard to find."""
    for crop in sorted(sides[1].iterdir()):
        pid = 1 + (int(crop.name[:4]) + int(crop.name[6])) % 4
        crop.rename(crop.with_name(f"{pid:04d}{crop.name[4:-4]}_was{crop.name[:4]}.jpg"))
    return sides


def start(*arguments):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=60
    )


def test_a_query_and_a_gallery_score_as_the_metrics_say(report, sides, tiny_model):
    query, gallery = map(scan, sides)
    with Embedder.load(tiny_model) as embedder:
        rows = [embedder.embed([record.path for record in side]) for side in (query, gallery)]
        model_id = embedder.id
    expected = evaluate_records(rows[0], query, rows[1], gallery)
    said = report(*sides)
    assert [said[f"rank{r}"] for r in (1, 5, 10)] == [expected.rank(r) for r in (1, 5, 10)]
    assert (said["mAP"], said["mINP"]) == (expected.mAP, expected.mINP)
    assert said["cmc"] == expected.cmc.tolist()
    counts = {"queries": 8, "skipped": 0, "gallery": 8, "people": 4}
    assert {key: said[key] for key in counts} == counts
    assert said["model"] == model_id
    assert said["unreadable"] == []


def test_one_folder_asks_with_the_first_crop_of_each_person_and_camera(report, crop_folder):
    said = report(crop_folder)
    assert (said["queries"], said["gallery"], said["people"]) == (8, 16, 4)
    assert said["protocol"].startswith("heldout: the first crop by name")


def test_an_id_list_restricts_the_people(report, crop_folder, tmp_path):
    ids = tmp_path / "ids.txt"
    ids.write_text("0001\n0003\n")
    said = report(crop_folder, "--split", ids)
    assert (said["queries"], said["gallery"], said["people"]) == (4, 8, 2)


def test_listed_people_who_are_not_there_are_told(run, crop_folder, tmp_path):
    ids = tmp_path / "ids.txt"
    ids.write_text("0001\n0002\n0777\n")
    assert "1 of 3 people are not in" in run(crop_folder, "--split", ids).stderr
    ids.write_text("777\n")
    with pytest.raises(InputError, match=r"1 of 1 people .* such as 777; people there are written like 0001"):
        run(crop_folder, "--split", ids)


def test_the_table_shows_percent_and_one_line_of_protocol(run, report, crop_folder):
    said = report(crop_folder)
    table = run(crop_folder).stdout.splitlines()
    assert table[0].split() == ["percent", "rank-1", "rank-5", "rank-10", "mAP", "mINP"]
    figures = [said[key] for key in ("rank1", "rank5", "rank10", "mAP", "mINP")]
    assert table[1].split() == ["all", "4", "people", *(f"{100 * figure:.2f}" for figure in figures)]
    assert table[2].startswith("8 queries against 16 gallery crops; tiny@")
    assert "heldout" in table[2]
    assert len(table) == 3


def test_a_short_curve_shows_only_the_ranks_it_has(run, report, crop_folder):
    assert "rank10" not in report(crop_folder, "--max-rank", 5)
    assert run(crop_folder, "--max-rank", 5).stdout.split()[:4] == ["percent", "rank-1", "rank-5", "mAP"]


def test_rerank_adds_the_figures_of_the_published_algorithm(report, confused, tiny_model):
    query, gallery = map(scan, confused)
    with Embedder.load(tiny_model) as embedder:
        rows = [embedder.embed([record.path for record in side]) for side in (query, gallery)]
    distance = rerank_distances(*rows, k1=20, k2=6, lambda_value=0.3)
    labels = [[getattr(r, name) for r in side] for name in ("pid", "camid") for side in (query, gallery)]
    expected = evaluate(distance, *labels)
    plain, said = report(*confused), report(*confused, "--rerank")
    assert [said["reranked"][f"rank{r}"] for r in (1, 5, 10)] == [expected.rank(r) for r in (1, 5, 10)]
    assert (said["reranked"]["mAP"], said["reranked"]["mINP"]) == (expected.mAP, expected.mINP)
    assert said["reranked"]["cmc"] == expected.cmc.tolist()
    assert said["reranked"]["mAP"] != plain["mAP"]
    assert said["protocol"].startswith(plain["protocol"] + "; re-ranked: k-reciprocal encoding")
    assert "k1=20, k2=6, lambda=0.3" in said["reranked"]["rule"]
    # All else is as without it.
    del said["reranked"]
    assert {**said, "protocol": ""} == {**plain, "protocol": ""}


def test_rerank_has_a_row_of_its_own(run, report, confused):
    said = report(*confused, "--rerank")["reranked"]
    table = run(*confused, "--rerank").stdout.splitlines()
    figures = [said[key] for key in ("rank1", "rank5", "rank10", "mAP", "mINP")]
    assert table[1].startswith("all 4 people")
    assert table[2].split() == ["re-ranked", *(f"{100 * figure:.2f}" for figure in figures)]
    assert table[3].endswith("k1=20, k2=6, lambda=0.3")


def test_centring_gives_the_figures_of_centred_rows(run, report, confused, tiny_model):
    query, gallery = map(scan, confused)
    with Embedder.load(tiny_model) as embedder:
        rows = [embedder.embed([record.path for record in side]) for side in (query, gallery)]
    means = CameraMeans.of(rows[1], [record.camid for record in gallery])
    centred = [
        means.centred(x, [record.camid for record in side])
        for x, side in zip(rows, (query, gallery), strict=True)
    ]
    expected = evaluate_records(centred[0], query, centred[1], gallery)
    plain, said = report(*confused), report(*confused, "--centred")
    assert (said["centred"]["rank1"], said["centred"]["mAP"]) == (expected.rank(1), expected.mAP)
    assert said["centred"]["mAP"] != plain["mAP"]
    assert said["protocol"].startswith(plain["protocol"] + "; centred: rows without the mean of their camera")
    table = run(*confused, "--rerank", "--centred").stdout.splitlines()
    assert [line.split()[0] for line in table[1:4]] == ["all", "re-ranked", "centred"]
    assert table[3].split()[-2:] == [f"{100 * said['centred'][key]:.2f}" for key in ("mAP", "mINP")]
    # All else is as without it.
    del said["centred"]
    assert {**said, "protocol": ""} == {**plain, "protocol": ""}


def test_centring_takes_the_same_means_for_each_draw(run, report, crop_folder, tmp_path):
    folder = as_cuhk01(crop_folder, tmp_path / "campus")
    said = report(folder, "--protocol", "single-shot", "--centred")["centred"]
    assert said["draws"]["count"] == 10
    assert "centred, mean of 10 draws of 2" in run(folder, "--protocol", "single-shot", "--centred").stdout


def test_rerank_ranks_each_draw_of_half_of_the_people_by_itself(
    report, run, crop_folder, tmp_path, monkeypatch
):
    crowds = []

    def farthest_first(query, gallery, *, chunk):
        crowds.append((len(query), len(gallery)))
        yield -distance_matrix(query, gallery)

    monkeypatch.setattr("autoreid_deploy.rerank.rerank_blocks", farthest_first)
    folder = as_cuhk01(crop_folder, tmp_path / "campus")
    said = report(folder, "--protocol", "single-shot", "--rerank")
    assert crowds == [(4, 4)] + [(2, 2)] * 10
    # Each of two people is found first by distance, and last by the opposite.
    assert (said["draws"]["mAP"], said["reranked"]["draws"]["mAP"]) == (1, 0.5)
    table = run(folder, "--protocol", "single-shot", "--rerank").stdout.splitlines()
    assert [line[:32].rstrip() for line in table[1:5]] == [
        "all 4 people",
        "re-ranked",
        "mean of 10 draws of 2",
        "re-ranked, mean of 10 draws of 2",
    ]


def as_cuhk01(crop_folder, folder):
    """Copy the crops under CUHK01's names: shots 001 and 002 by camera 1, 003 and 004 by camera 2."""
    folder.mkdir()
    for index, crop in enumerate(sorted(crop_folder.iterdir())):
        shutil.copy(crop, folder / f"{1 + index // 4:04d}00{1 + index % 4}.jpg")
    return folder


def test_cuhk01_single_shot_asks_with_001_answers_with_003_and_averages_ten_draws(
    report, crop_folder, tmp_path, tiny_model
):
    folder = as_cuhk01(crop_folder, tmp_path / "campus")
    said = report(folder, "--names", "cuhk01", "--protocol", "single-shot")
    records = scan(folder, names="cuhk01")
    query = [record for record in records if record.path.stem.endswith("001")]
    gallery = [record for record in records if record.path.stem.endswith("003")]
    with Embedder.load(tiny_model) as embedder:
        rows = [embedder.embed([record.path for record in side]) for side in (query, gallery)]
    assert said["mAP"] == evaluate_records(rows[0], query, rows[1], gallery).mAP
    assert (said["queries"], said["gallery"], said["people"]) == (4, 4, 4)
    halves = []
    for seed in range(10):
        half = np.random.RandomState(seed).permutation(4)[:2]
        asking, answering = ([side[i] for i in half] for side in (query, gallery))
        halves.append(evaluate_records(rows[0][half], asking, rows[1][half], answering))
    assert (said["draws"]["count"], said["draws"]["people"]) == (10, 2)
    assert said["draws"]["rank1"] == pytest.approx(np.mean([half.rank(1) for half in halves]))
    assert said["draws"]["mAP"] == pytest.approx(np.mean([half.mAP for half in halves]))


def test_the_draws_have_a_row_of_their_own(run, crop_folder, tmp_path):
    folder = as_cuhk01(crop_folder, tmp_path / "campus")
    table = run(folder, "--protocol", "single-shot").stdout.splitlines()
    assert table[2].startswith("mean of 10 draws of 2 ")
    assert len(table[1]) == len(table[2])


def test_unreadable_crops_are_named_and_left_out_on_either_side(report, run, sides):
    query, gallery = sides
    (query / "0001_c1s1_000001_00.jpg").write_bytes(b"")
    (gallery / "0002_c1s1_000002_00.jpg").write_text("no picture")
    said = report(*sides)
    # The gallery has lost camera 1's crop of 0002, so camera 2's query has no match left.
    assert (said["queries"], said["skipped"], said["gallery"]) == (6, 1, 7)
    names = [item["path"].rsplit("/")[-1] for item in said["unreadable"]]
    assert names == ["0001_c1s1_000001_00.jpg", "0002_c1s1_000002_00.jpg"]
    result = run(*sides)
    assert "left out " in result.stderr
    assert "0001_c1s1_000001_00.jpg: the file is empty" in result.stderr
    assert "6 queries (1 more had no match) against 7 gallery crops, 2 unreadable left out" in result.stdout


def test_the_next_crop_asks_where_the_first_cannot_be_read(report, crop_folder):
    (crop_folder / "0001_c1s1_000001_00.jpg").write_bytes(b"")
    said = report(crop_folder)
    assert (said["queries"], said["gallery"]) == (8, 15)


def test_strict_stops_at_an_unreadable_crop(run, crop_folder):
    (crop_folder / "0003_c2s1_000001_00.jpg").write_bytes(b"")
    with pytest.raises(CropError, match="0003_c2s1_000001_00"):
        run(crop_folder, "--strict")


def test_a_folder_of_nothing_readable_is_refused(run, crop_folder):
    for crop in crop_folder.iterdir():
        crop.write_bytes(b"")
    with pytest.raises(InputError, match="none of the 16 crops can be read"):
        run(crop_folder)


def test_crops_without_camera_are_told_in_the_protocol(report, crop_folder, tmp_path):
    rows = [f"{crop},{crop.name[:4]}" for crop in sorted(crop_folder.iterdir())]
    table = tmp_path / "crops.csv"
    table.write_text("\n".join(["path,pid", *rows]))
    said = report(table)
    assert (said["queries"], said["gallery"]) == (4, 16)
    assert said["protocol"].endswith("without a camera only the query itself is left out")
    assert "without a camera" not in report(crop_folder)["protocol"]


def test_crops_of_unknown_people_are_refused_before_the_work(run, crop_folder, monkeypatch):
    shutil.copy(next(crop_folder.iterdir()), crop_folder / "holiday.jpg")
    monkeypatch.delattr("autoreid_deploy.embedder.Embedder.load")
    with pytest.raises(InputError, match=r"holiday\.jpg: nothing tells which person"):
        run(crop_folder)


@pytest.mark.parametrize("option", [("--split", "ids.txt"), ("--protocol", "heldout")])
def test_options_for_one_folder_are_refused_with_two(run, sides, option):
    result = run(*sides, *option)
    assert result.exit_code == 2
    assert "for one folder" in result.stderr


def test_the_program_prints_one_line_for_an_error_and_exits_with_1(tmp_path):
    done = start(str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path}: expected a folder of pictures, found none in it\n"


def test_the_program_runs_from_start_to_end(crop_folder, tiny_model):
    done = start(str(crop_folder), "--model", str(tiny_model), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["queries"] == 8


def test_help_has_examples_and_loads_nothing_heavy():
    watch = (
        "import sys, click; from autoreid_deploy.cli.eval import cli; cli(['--help'], standalone_mode=False)"
    )
    heavy = "; print({'numpy', 'cv2', 'faiss', 'onnxruntime', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", watch + heavy], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "set()"
    assert "reid-eval query/ gallery/" in done.stdout
