"""The benches behind docs/models.md, on drawn people, small peers without OpenVINO, and a clip of three people."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from autoreid_deploy import Embedder
from autoreid_deploy.errors import InputError, MissingExtraError
from autoreid_deploy.model import ModelSpec
from autoreid_deploy.protocols import half_draws
from autoreid_deploy.records import read_ids, scan
from benchmarks import contestants, models, peers, robustness, visits
from benchmarks.contestants import (
    SPLITS,
    Contestant,
    has_not_seen_market_heldout,
    load_contestants,
    median_ms,
    require_market_test_unseen,
)
from benchmarks.peers import find_peers
from benchmarks.visits import Tracklet, embed_tracklets, read_tracklets, reassociate
from benchmarks.weights import weigh
from tests.conftest import draw_crop, write_tiny_model
from tests.people import draw_people

ROOT = Path(__file__).parents[1]
HEIGHT, WIDTH, DIM = 64, 32, 24


def write_peer(path: Path, *, boxes: bool = False) -> Path:
    """Write a network as torchreid's are fed, whose rows have any length; with `boxes`, one that detects."""
    rng = np.random.default_rng(3)
    kernel = rng.normal(size=(6, 3, 8, 8)).astype(np.float32)
    mix = rng.normal(size=(6 * 32, DIM)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["data", "kernel"], ["map"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["map"], ["flat"]),
        helper.make_node("MatMul", ["flat", "mix"], ["rows"]),
    ]
    given = ["batch", DIM]
    if boxes:
        nodes.append(helper.make_node("Unsqueeze", ["rows", "axis"], ["boxes"]))
        given = ["batch", DIM, 1]
    graph = helper.make_graph(
        nodes,
        "peer",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["batch", 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("boxes" if boxes else "rows", TensorProto.FLOAT, given)],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(mix, "mix"),
            numpy_helper.from_array(np.array([2], np.int64), "axis"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


@pytest.fixture
def peer_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "peers"
    folder.mkdir()
    write_peer(folder / "osnet.onnx")
    write_peer(folder / "yolox.onnx", boxes=True)
    (folder / "README.md").write_text("not a network")
    return folder


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn people under the numbers of market-heldout's `val`, and one who is not of it."""
    folder = tmp_path_factory.mktemp("market")
    draw_people(folder, people=8, cameras=3, shots=2, seed=5)
    ids = sorted(read_ids(SPLITS / "market1501_val_ids.txt"))
    for path in sorted(folder.iterdir()):
        number = int(path.name[:4])
        pid = ids[number - 1] if number < 8 else min(read_ids(SPLITS / "market1501_test_ids.txt"))
        path.rename(folder / f"{pid}{path.name[4:]}")
    return folder


@pytest.fixture(scope="module")
def cuhk01(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("campus")
    for pid in range(10):
        for number, camid in ((1, 1), (2, 1), (3, 2), (4, 2)):
            data = cv2.imencode(".png", draw_crop(pid, camid, number)[..., ::-1])[1]
            (folder / f"{pid:04d}00{number}.png").write_bytes(data.tobytes())
    return folder


CLIP_PEOPLE = {1: 1, 2: 2, 3: 1, 4: 3}  # visit -> person; 1 comes back as 3


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 frames: visits 1 and 2 in the first half, 3 and 4 in the second, each at one side."""
    folder = tmp_path_factory.mktemp("clip")
    video = cv2.VideoWriter(str(folder / "vtest.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 160))
    lines = []
    for number in range(1, 121):
        frame = np.full((160, 320, 3), 120, np.uint8)
        for side, visit in enumerate((1, 2) if number <= 60 else (3, 4)):
            left = 40 + 140 * side
            frame[16:144, left : left + 64] = draw_crop(CLIP_PEOPLE[visit], side, number)[..., ::-1]
            lines.append(f"{number},{visit},{left}.0,16.0,64.0,128.0,1,-1,-1,-1")
        video.write(frame)
    video.release()
    (folder / "vtest_gt.txt").write_text("\n".join(reversed(lines)) + "\n")
    return folder


def ours(path: Path) -> Contestant:
    (found,) = load_contestants([str(path)], None)
    return found


# Peers.


def test_a_peer_is_fed_normalised_rgb_planes_and_its_rows_get_length_one(peer_folder: Path):
    (peer,), _ = find_peers(peer_folder)
    images = np.random.default_rng(0).integers(0, 256, (5, HEIGHT, WIDTH, 3), np.uint8)
    held = {t.name: numpy_helper.to_array(t) for t in onnx.load(peer.path).graph.initializer}
    planes = (images.astype(np.float64) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    blocks = planes.transpose(0, 3, 1, 2).reshape(5, 3, 8, 8, 4, 8)
    expected = np.einsum("nchiwj,ocij->nohw", blocks, held["kernel"]).reshape(5, -1) @ held["mix"]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(peer.run(images), expected, atol=1e-5)


def test_an_open_model_zoo_network_gets_blue_first_and_bytes_as_they_are():
    images = np.arange(2 * 4 * 2 * 3, dtype=np.uint8).reshape(2, 4, 2, 3)
    planes = peers.zoo_planes(images)
    assert planes.shape == (2, 3, 4, 2) and planes.dtype == np.float32 and planes.flags.c_contiguous
    assert planes[1, 0, 3, 1] == images[1, 3, 1, 2] and planes[1, 2, 3, 1] == images[1, 3, 1, 0]


def test_what_gives_no_row_a_crop_is_left_out_and_named(peer_folder: Path):
    found, others = find_peers(peer_folder)
    assert [peer.spec.name for peer in found] == ["osnet"]
    assert others == ["yolox.onnx"]
    assert (found[0].spec.height, found[0].spec.width, found[0].spec.dim) == (HEIGHT, WIDTH, DIM)


def test_a_folder_without_peers_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="expected networks for re-identification"):
        find_peers(tmp_path)


def test_an_ir_without_openvino_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    (tmp_path / "zoo.xml").write_text("<net/>")
    with pytest.raises(MissingExtraError, match=r"pip install 'autoreid-deploy\[openvino\]'"):
        find_peers(tmp_path)


def test_an_ir_and_an_onnx_file_agree_in_openvino(tmp_path: Path):
    """The same network in both formats: the same weight; rows differ by their preprocessing alone."""
    openvino = pytest.importorskip("openvino")
    path = write_peer(tmp_path / "peer.onnx")
    openvino.save_model(openvino.Core().read_model(path), tmp_path / "peer.xml", compress_to_fp16=False)
    by_name = {peer.path.suffix: peer for peer in find_peers(tmp_path)[0]}
    ir, graph = weigh(tmp_path / "peer.xml"), weigh(path)
    assert (ir.parameters, ir.macs) == (graph.parameters, graph.macs)
    images = np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH, 3), np.uint8)
    planes = peers.torchreid_planes(images)
    np.testing.assert_allclose(by_name[".xml"].network(planes), by_name[".onnx"].network(planes), atol=1e-3)
    assert not np.allclose(by_name[".xml"].run(images), by_name[".onnx"].run(images), atol=1e-2)
    calls = load_contestants([], tmp_path)[-1].calls(2)
    assert "float32 openvino" in calls and all(call() is not None for call in calls.values())


# Weights and times.


def test_parameters_and_products_are_counted_by_hand(tmp_path: Path):
    found = weigh(write_peer(tmp_path / "peer.onnx"))
    kernel, mix = 6 * 3 * 8 * 8, 6 * 32 * DIM
    assert found.parameters == kernel + mix  # the axis of a reshape is no parameter
    assert found.macs == 32 * kernel + mix
    assert found.bytes == (tmp_path / "peer.onnx").stat().st_size


def test_the_bundled_model_weighs_what_its_card_says():
    path = contestants.find_model("autoreid-s")
    found, card = weigh(path), path.with_suffix(".md").read_text(encoding="utf-8")
    assert f"{found.parameters / 1e6:.2f} M parameters, {found.macs / 1e6:.0f} M multiply-accumulates" in card


def test_all_calls_take_turns_and_the_median_counts():
    order: list[str] = []

    def spin(name: str, steps: int) -> Callable[[], object]:
        return lambda: (order.append(name), sum(range(steps)))

    short, long = median_ms([spin("a", 2_000), spin("b", 400_000)], rounds=3, repeat=2)
    assert 0 < short < long
    assert "".join(order) == "aaabbb" + "bbbaaa" + "aaabbb"


# Who has seen whom.


def told(training: dict) -> Contestant:
    spec = ModelSpec("told", 8, 4, 2, {}, training, "free", {}, {})
    session = peers.Peer(Path("told.onnx"), spec, peers.zoo_planes, lambda planes: planes)
    return Contestant(Path("told.onnx"), True, session, peers.zoo_planes)


@pytest.mark.parametrize(
    ("training", "unseen"),
    [
        ({"data": [{"name": "Market-1501, 451 of the 751", "people": 451}]}, True),
        ({"data": [{"name": "CUHK03", "people": 843}]}, True),
        ({"data": [{"name": "Market-1501", "people": 751}]}, False),
        ({"data": [{"name": "CUHK03", "people": 843}], "teacher": {"name": "0277"}}, False),
        ({}, False),
    ],
)
def test_only_who_tells_it_has_not_seen_the_heldout_people(training: dict, unseen: bool):
    assert has_not_seen_market_heldout(told(training)) is unseen


def test_the_open_model_has_not_seen_them_and_a_peer_may_have(peer_folder: Path):
    found = load_contestants(["autoreid-s-open"], peer_folder)
    assert [has_not_seen_market_heldout(contestant) for contestant in found] == [True, False]


def test_people_who_were_learnt_from_are_not_held_out():
    market = {"name": "Market-1501, train", "people": 451}
    require_market_test_unseen(told({"data": [market, {"name": "CUHK03", "people": 843}]}).spec)
    both = {"data": [market, {"name": "Market-1501, test", "people": 200}]}
    with pytest.raises(InputError, match=r"has learnt from 200 people .* use `val`"):
        require_market_test_unseen(told(both).spec)


# Visits.


def test_tracklets_are_parts_of_a_visit_in_order(clip: Path):
    found = read_tracklets(clip / "vtest_gt.txt")
    assert [tracklet.track for tracklet in found] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert found[0].frames.tolist() == [1, 6, 11, 16, 21, 26]
    assert found[1].frames[0] == 31 and found[4].frames[0] == 61
    assert found[2].boxes[0].tolist() == [180, 16, 244, 144]


def test_a_tracklets_row_is_the_mean_of_its_crops_at_length_one(clip: Path, tiny_model: Path):
    tracklets = read_tracklets(clip / "vtest_gt.txt")
    with ours(tiny_model).embedder() as embedder:
        rows = embed_tracklets(embedder, clip / "vtest.avi", tracklets)
        video = cv2.VideoCapture(str(clip / "vtest.avi"))
        frames = [video.read()[1] for _ in range(60)]
        crops = [frames[n - 1][16:144, 180:244] for n in tracklets[2].frames]
        mean = embedder.embed(crops, color="bgr").mean(axis=0)
    np.testing.assert_allclose(rows[2], mean / np.linalg.norm(mean), atol=1e-6)


def test_a_clip_that_ends_before_its_ground_truth_is_refused(clip: Path, tiny_model: Path):
    late = Tracklet(1, np.array([121]), np.array([[0.0, 0.0, 9.0, 9.0]]))
    with ours(tiny_model).embedder() as embedder, pytest.raises(InputError, match="ends after 120"):
        embed_tracklets(embedder, clip / "vtest.avi", [late])


@pytest.mark.parametrize("text", ["", "1,2,3\n", "frame,track\n"])
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_what_is_no_ground_truth_is_refused(text: str, tmp_path: Path):
    (tmp_path / "gt.txt").write_text(text)
    with pytest.raises(InputError, match="expected"):
        read_tracklets(tmp_path / "gt.txt")


def test_only_other_visits_of_the_person_are_matches():
    """Worked by hand: visits 1 and 3 are one person, 2 another; a tracklet's own visit is junk."""
    tracklets = [Tracklet(track, np.array([1]), np.zeros((1, 4))) for track in (1, 1, 2, 3)]
    angles = np.radians([0, 5, 30, 50])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = reassociate(rows, tracklets, {3: 1})
    # 1a and 1b: 2 is closer than 3, so 1/2 each. 3: 2 is closer, then 1b and 1a: mean of 1/2 and 2/3.
    assert (found.queries, found.skipped) == (3, 1)
    assert found.rank(1) == 0
    assert found.mAP == pytest.approx((0.5 + 0.5 + (1 / 2 + 2 / 3) / 2) / 3)


def test_a_third_visit_is_of_the_first_ones_person():
    assert [visits._first(track, {18: 14, 14: 15}) for track in (15, 14, 18, 2)] == [15, 15, 15, 2]


def test_the_returns_of_vtest_chain_visits_that_follow_each_other():
    assert len(visits.RETURNS) == len(set(visits.RETURNS.values())) == 9
    assert {visits._first(track, visits.RETURNS) for track in visits.RETURNS} == {9, 10, 11, 12, 13, 15, 19}


# The table.


def test_one_run_fills_every_column_and_a_second_measures_times_alone(
    tmp_path: Path,
    peer_folder: Path,
    market: Path,
    cuhk01: Path,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(visits.reassociate, "__defaults__", ({3: 1},))
    result, plot = tmp_path / "models.json", tmp_path / "images" / "models.png"
    command = ["--models", "autoreid-s-open", "--peers", peer_folder, "--rounds", "1", "--cuhk01", cuhk01]
    command += ["--market", market, "--clip", clip, "--json", result, "--plot", plot]
    models.main(list(map(str, command)))
    found = json.loads(result.read_text())
    own, peer = (found["models"][name] for name in ("autoreid-s-open", "osnet"))
    assert set(own["scores"]) == {"cuhk01", "market-heldout val", "vtest"}
    assert set(peer["scores"]) == {"cuhk01", "vtest"}
    assert own["scores"]["vtest"]["queries"] == 4
    assert all(ms["1"] > 0 and ms["8"] > 0 for ms in (*own["ms"].values(), *peer["ms"].values()))
    assert found["machine"]["load"] >= 0 and found["machine"]["rounds"] == 1
    assert str(tmp_path) not in result.read_text()
    assert cv2.imread(str(plot)) is not None
    assert "left out, since they don't give a row a crop: yolox.onnx" in capsys.readouterr().out

    monkeypatch.setattr(models, "score_cuhk01", lambda *_: pytest.fail("scored again"))
    models.main(list(map(str, command)))
    again = json.loads(result.read_text())
    assert [m["scores"] for m in again["models"].values()] == [m["scores"] for m in found["models"].values()]
    models.main(["--table", "--json", str(result)])
    assert capsys.readouterr().out.rstrip().endswith(models.table(again["models"]))


def test_another_file_of_the_same_name_is_scored_anew(tmp_path: Path, cuhk01: Path):
    result = tmp_path / "models.json"
    sets = models.Sets(models.read_cuhk01(cuhk01), None, None)
    scores = []
    for seed in (0, 1):
        path = write_tiny_model(tmp_path / "tiny.onnx", seed=seed)
        models.score_all([ours(path)], sets, result)
        scores.append(json.loads(result.read_text())["models"]["tiny"]["id"])
    assert scores[0] != scores[1]


def test_cuhk01_asks_001_of_003_and_halves_are_the_papers(cuhk01: Path, tiny_model: Path):
    pictures = models.read_cuhk01(cuhk01)
    assert [record.path.stem[-3:] for record in pictures.records] == ["001"] * 10 + ["003"] * 10
    with Embedder.load(tiny_model) as embedder:
        found = models.score_cuhk01(embedder, pictures)
        rows = embedder.embed(pictures.images, color="rgb")
    likeness = rows[:10] @ rows[10:].T
    assert found["rank1"] == pytest.approx((likeness.argmax(1) == range(10)).mean())
    halves = [(likeness[half][:, half].argmax(1) == range(5)).mean() for half in half_draws(10)]
    assert found["rank1_halves"] == pytest.approx(np.mean(halves))


def test_market_is_val_alone(market: Path):
    val = read_ids(SPLITS / "market1501_val_ids.txt")
    found = models.read_market(market)
    assert {record.pid for record in scan(market)} - val
    assert {record.pid for record in found.records} < val


def test_the_faster_runtime_counts_within_a_precision():
    model = {
        "ms": {
            "float32 onnxruntime": {"1": 3.0},
            "float32 openvino": {"1": 2.0},
            "bfloat16 openvino": {"1": 1},
        }
    }
    assert models.best_ms(model, "float32", 1) == 2
    assert models.best_ms(model, "bfloat16", 1) == 1
    assert models.best_ms({"ms": {}}, "float32", 1) is None


def test_the_ratio_is_to_the_default_model():
    plain = {"ours": False, "input": [4, 2], "parameters": 1, "macs": 1, "bytes": 1, "scores": {}}
    row = {"ms": {"float32 onnxruntime": {"1": 3.0, "8": 2.5}}}
    own = {"ms": {"float32 onnxruntime": {"1": 1.0, "8": 0.5}, "bfloat16 openvino": {"1": 0.5, "8": 0.25}}}
    lines = models.table({"peer": plain | row, "autoreid-s": plain | own | {"ours": True}}).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[6:11]] == ["3.00", "2.50", "3.0", "", ""]
    assert [cell.strip() for cell in lines[3].split("|")[6:11]] == ["1.00", "0.50", "1.0", "0.50", "0.25"]
    assert all(line.count("|") == lines[0].count("|") for line in lines)


# Robustness.


def test_each_damage_does_what_it_is_called():
    image = noise()
    spoilt = {name: damage(image, 0) for name, damage in robustness.DAMAGES.items()}
    assert all(picture.shape == image.shape and picture.dtype == np.uint8 for picture in spoilt.values())
    assert np.array_equal(spoilt.pop("none"), image)

    def roughness(picture: np.ndarray) -> float:
        return float(np.abs(np.diff(picture.astype(float), axis=0)).mean())

    fine = [roughness(spoilt[f"{rows} rows"]) for rows in (64, 48, 32)]
    assert roughness(image) > fine[0] > fine[1] > fine[2]
    assert roughness(spoilt["blur"]) < 0.8 * roughness(image)
    np.testing.assert_allclose(spoilt["dark"], image * 0.3886, atol=0.51)
    drawn = draw_crop(1, 1, 1)
    assert 1 < np.abs(robustness.DAMAGES["JPEG 20"](drawn, 0).astype(int) - drawn).mean() < 12


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (128, 64, 3), np.uint8)


def test_the_lower_left_and_right_third_are_covered_in_turn():
    image = noise()
    for number, place in ((3, np.s_[-42:]), (4, np.s_[:, :21]), (5, np.s_[:, -21:])):
        covered = robustness.cover(image, number)
        assert len(np.unique(covered[place].reshape(-1, 3), axis=0)) == 1
        changed = (covered != image).any(axis=2)
        assert changed.sum() <= changed[place].size and changed.mean() > 0.3


def test_a_small_crop_keeps_its_rows():
    image = noise()[:40]
    assert np.array_equal(robustness.DAMAGES["48 rows"](image, 0), image)
    assert not np.array_equal(robustness.DAMAGES["32 rows"](image, 0), image)


def test_undamaged_queries_against_other_cameras_are_the_protocol(market: Path):
    pictures = models.read_market(market)
    with Embedder.load("autoreid-s") as embedder:
        found = robustness.score(embedder, pictures)
        expected = models.score_market(embedder, pictures)
    assert set(found) == set(robustness.DAMAGES)
    assert {key: found["none"][key] for key in expected} == pytest.approx(expected)


def test_against_its_own_camera_a_query_finds_its_own_cameras_crops_alone():
    """By hand: two people, two cameras, two shots each; a camera's colour outweighs the person."""
    records, rows = [], []
    for pid in ("1", "2"):
        for camid in ("1", "2"):
            for shot in range(2):
                records.append(scan_record(pid, camid, shot))
                angle = {"1": 0.0, "2": 2.0}[camid] + {"1": 0.0, "2": 0.5}[pid] + 0.01 * shot
                rows.append([np.cos(angle), np.sin(angle)])
    pictures = models.Pictures(records, [])
    unit, query = np.array(rows, np.float32), [0, 2, 4, 6]
    assert robustness.own_camera(unit[query], unit, pictures, query) == {"own_rank1": 1.0, "own_mAP": 1.0}
    other = robustness.other_cameras(unit[query], unit, pictures, query)
    assert other["rank1"] < 1
    # A damaged query that looks like the other person of its camera finds its own last, and never itself.
    worse = robustness.own_camera(unit[[4, 2, 4, 6]], unit, pictures, query)
    assert worse == {"own_rank1": 0.75, "own_mAP": pytest.approx((1 / 3 + 3) / 4)}


def scan_record(pid: str, camid: str, shot: int) -> models.Record:
    return models.Record(Path(f"{pid}_{camid}_{shot}.jpg"), pid, camid)


def test_the_robustness_table_says_who_may_know_the_people(
    tmp_path: Path, market: Path, peer_folder: Path, capsys: pytest.CaptureFixture[str]
):
    result = tmp_path / "robustness.json"
    command = ["--models", "autoreid-s-open", "--peers", str(peer_folder), "--market", str(market)]
    robustness.main([*command, "--json", str(result)])
    capsys.readouterr()
    robustness.main(["--table", "--json", str(result)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"| model | {' | '.join(robustness.DAMAGES)} |"
    assert lines[2].startswith("| **autoreid-s-open** |") and lines[3].startswith("| osnet (may know them) |")
    assert "| a third covered |" in "\n".join(lines)


# The pages.


def test_the_page_holds_the_figures_that_are_kept():
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert models.table(models.read(models.RESULTS)["models"]) in page
    assert robustness.table(models.read(robustness.RESULTS)["models"]) in page


def test_every_card_holds_its_robustness():
    for name, model in models.read(robustness.RESULTS)["models"].items():
        if model["ours"]:
            card = contestants.find_model(name).with_suffix(".md").read_text(encoding="utf-8")
            assert robustness.card(model) in card
