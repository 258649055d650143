"""Distillation: rows find their crops, the loss is what its equation says, and no pupil's map is shipped."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autoreid_deploy import Embedder
from autoreid_deploy.errors import InputError
from autoreid_deploy.records import Record
from export.to_onnx import read_checkpoint
from search import checkpoint
from search.config import Teacher
from search.data import Crops, Labelled
from search.genotype import load_genotype
from search.network import build_network
from search.scoring import score_people
from search.teacher import Pupil, TeacherRows, corrected, crop_name, judge, rows_of, taught
from search.trainer import Trainer
from tests.search.conftest import SMALL
from tests.search.test_trainer import remember_steps, same

Search = Callable[..., int]


def unit(count: int, dim: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def test_the_loss_is_a_loop_over_all_pairs():
    torch.manual_seed(0)
    pupil, x, t = (
        Pupil(4, 3, cosine=0.7, similarity=2.0),
        torch.randn(5, 4),
        torch.from_numpy(unit(5, 3)).float(),
    )

    def cos(a: torch.Tensor, b: torch.Tensor) -> float:
        return (a @ b / a.norm() / b.norm()).item()

    apart = sum(1 - cos(pupil.project.weight @ x[i], t[i]) for i in range(5)) / 5
    unlike = sum((cos(x[i], x[j]) - cos(t[i], t[j])) ** 2 for i in range(5) for j in range(5)) / 25
    assert pupil(x, t).item() == pytest.approx(0.7 * apart + 2.0 * unlike, abs=1e-5)


def test_who_sees_as_the_teacher_does_loses_nothing():
    t = torch.from_numpy(unit(6, 3)).float()
    pupil = Pupil(3, 3, 1.0, 1.0)
    torch.nn.init.eye_(pupil.project.weight)
    assert pupil(5 * t, t).item() == pytest.approx(0, abs=1e-6)  # length plays no part


def test_rows_find_their_crops_whatever_the_order_and_the_rest(tmp_path: Path):
    rows = unit(4, 3)
    TeacherRows("big@1", ("a/0.jpg", "a/1.jpg", "a/2.jpg", "b/0.jpg"), rows).save(tmp_path / "rows.npz")
    records = [Record(tmp_path / name) for name in ("b/0.jpg", "a/1.jpg")]
    np.testing.assert_array_equal(rows_of(records, [tmp_path / "rows.npz"], tmp_path), rows[[3, 1]])
    assert crop_name(tmp_path / "a" / "0.jpg", tmp_path) == "a/0.jpg"
    assert crop_name(tmp_path / "a.jpg", tmp_path / "root") == "../a.jpg"
    records.append(Record(tmp_path / "c" / "9.jpg"))
    with pytest.raises(
        InputError, match=r"rows\.npz: 1 of 3 crops have no row, the first c/9\.jpg; go on with"
    ):
        rows_of(records, [tmp_path / "rows.npz"], tmp_path)


def test_two_teachers_agree_as_the_mean_of_their_cosines(tmp_path: Path):
    one, two = unit(3, 4, seed=1), unit(3, 6, seed=2)
    records = [Record(tmp_path / f"{i}.jpg") for i in range(3)]
    for name, rows in (("one", one), ("two", two)):
        TeacherRows(name, ("0.jpg", "1.jpg", "2.jpg"), rows).save(tmp_path / f"{name}.npz")
    both = rows_of(records, [tmp_path / "one.npz", tmp_path / "two.npz"], tmp_path).astype(np.float32)
    mean = (one.astype(np.float32) @ one.T + two.astype(np.float32) @ two.T) / 2
    np.testing.assert_allclose(both @ both.T, mean, atol=3e-3)


def two_cameras(people: int = 20, dim: int = 16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of people before two cameras whose light says more than the people do, cameras, people."""
    rng = np.random.default_rng(3)
    cameras, who = np.repeat([0, 1], people), np.tile(np.arange(people), 2)
    x = rng.normal(size=(people, dim))[who] + 4 * rng.normal(size=(2, dim))[cameras]
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16), cameras, who


def found_first(rows: np.ndarray, cameras: np.ndarray, people: np.ndarray) -> float:
    """Share of the crops to which one of their person by another camera is nearer than all other people."""
    alike = rows.astype(np.float64) @ rows.T.astype(np.float64)
    np.fill_diagonal(alike, -2)
    return float(np.mean(people[alike.argmax(1)] == people))


def test_rows_that_are_centred_show_people_and_not_cameras():
    rows, cameras, people = two_cameras()
    assert found_first(rows, cameras, people) < 0.5
    level = corrected(rows, cameras, people, centred=True, gathered=0)
    assert found_first(level, cameras, people) > 0.9
    assert level.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(level.astype(np.float64), axis=1), 1, atol=1e-3)


def test_rows_are_drawn_to_the_mean_of_their_person_by_so_much():
    rows, cameras, people = two_cameras()
    for share in (0.0, 0.3, 1.0):
        found = corrected(rows, cameras, people, centred=False, gathered=share)
        for i in range(len(rows)):
            mean = rows[people == people[i]].astype(np.float64).mean(0)
            expected = (1 - share) * rows[i] + share * mean / np.linalg.norm(mean)
            np.testing.assert_allclose(found[i], expected / np.linalg.norm(expected), atol=2e-3)


def test_a_person_whose_rows_cancel_out_keeps_what_it_has():
    rows = np.array([[1, 0], [-1, 0], [0, 1]], np.float16)
    found = corrected(rows, np.zeros(3, np.int64), np.array([0, 0, 1]), centred=False, gathered=0.5)
    np.testing.assert_array_equal(found, rows)


def test_a_teacher_is_asked_who_is_who_source_by_source(tmp_path: Path):
    rows, cameras, people = two_cameras()
    names = tuple(f"{i}.jpg" for i in range(len(rows)))
    teacher = TeacherRows("big@1", names, rows)
    known = [
        Labelled(0, tmp_path / "street", Record(tmp_path / name, pid=str(who), camid=int(camera)))
        for name, who, camera in zip(names, people, cameras, strict=True)
    ]
    alone = [replace(crop, source=1, record=replace(crop.record, camid=1)) for crop in known]  # of one camera
    tracked = [replace(crop, source=2, tracked=True) for crop in known]
    unasked = Labelled(0, tmp_path / "street", Record(tmp_path / "new.jpg", pid="new", camid=1))
    (judgement,) = judge([*known, unasked, *alone, *tracked], teacher, tmp_path)
    assert judgement.source == tmp_path / "street"
    assert judgement.people == 20
    assert judgement.plain.rank(1) < judgement.centred.rank(1) == 1.0
    labels = people.astype(np.int64)
    whole = score_people(rows.astype(np.float32), [crop.record for crop in known], labels)
    assert judgement.plain.mAP == whole.mAP


def test_a_teacher_is_set_right_camera_by_camera_of_each_source(tmp_path: Path):
    rows = unit(8, 5)
    names = tuple(f"{i}.jpg" for i in range(8))
    TeacherRows("big@1", names, rows).save(tmp_path / "rows.npz")
    cameras = [1, 1, 2, 2, 1, 1, 2, 2]  # the other source has a camera 1 and a camera 2 of its own
    crops = Crops(
        images=np.zeros((8, 4, 2, 3), np.uint8),
        labels=np.array([0, 1, 0, 1, 2, 3, 2, 3]),
        records=tuple(Record(tmp_path / n, camid=c) for n, c in zip(names, cameras, strict=True)),
        origins=np.array([0, 0, 0, 0, 1, 1, 1, 1]),
    )
    assert taught(Teacher(), crops, tmp_path) is None
    plain = taught(Teacher(rows=("rows.npz",)), crops, tmp_path)
    assert plain is not None
    np.testing.assert_array_equal(plain, rows)
    found = taught(Teacher(rows=("rows.npz",), centred=True, gathered=0.4), crops, tmp_path)
    own = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(found, corrected(rows, own, crops.labels, centred=True, gathered=0.4))


def test_a_file_of_rows_that_is_none_gets_one_line(tmp_path: Path):
    with pytest.raises(InputError, match="no such file; make it with: python -m search teach"):
        TeacherRows.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "pickle.npz", rows=np.zeros((1, 2)), crops=np.array([{}], object), teacher="x")
    for name in ("text.npz", "other.npz", "array.npy", "pickle.npz"):
        with pytest.raises(InputError, match="expected rows of python -m search teach"):
            TeacherRows.load(tmp_path / name)


@pytest.fixture
def make_pupil(crops: dict[str, Crops], tmp_path: Path) -> Callable[[str], Trainer]:
    """A function that starts a run with a teacher who tells people apart."""
    people = unit(crops["train"].people, 12)

    def make(folder: str) -> Trainer:
        (tmp_path / folder).mkdir(exist_ok=True)
        return Trainer(
            config=replace(SMALL, teacher=Teacher(rows=("rows.npz",), name="big")),
            genotype=load_genotype(SMALL.genotype),
            train=crops["train"],
            val=None,
            taught=people[crops["train"].labels],
            folder=tmp_path / folder,
            device=torch.device("cpu"),
        )

    return make


def test_a_pupil_comes_nearer_to_its_teacher_and_goes_on_where_it_stopped(
    make_pupil: Callable[[str], Trainer],
):
    straight, stopped = make_pupil("straight"), make_pupil("stopped")
    assert straight.run()
    first, last = straight.history
    assert 0 < last["teacher"] < first["teacher"]
    assert "teacher" in (straight.folder / "log.csv").read_text().splitlines()[0]
    remember_steps(stopped, [], stop_at=len(stopped.sampler) + 1)
    assert not stopped.run()
    resumed = make_pupil("stopped")
    resumed.restore(checkpoint.load(resumed.checkpoint_path))
    assert resumed.run()
    assert same(straight.state(), resumed.state())


def test_the_map_to_the_teacher_is_no_part_of_what_is_exported(make_pupil: Callable[[str], Trainer]):
    trainer = make_pupil("run")
    assert trainer.run()
    state = checkpoint.load(trainer.checkpoint_path)
    assert state["pupil"]["project.weight"].shape == (12, SMALL.network.dim)
    plain = build_network(load_genotype(SMALL.genotype), SMALL.network, trainer.train.people)
    assert state["average"].keys() == plain.state_dict().keys()
    spec = read_checkpoint(trainer.checkpoint_path).spec
    assert spec.training["teacher"] == {"name": "big", "terms": ""}


def test_the_same_training_without_a_teacher_has_none(make_trainer: Callable[..., Trainer]):
    trainer = make_trainer(val=False, epochs=1)
    assert trainer.run()
    state = checkpoint.load(trainer.checkpoint_path)
    assert "pupil" not in state
    assert "teacher" not in trainer.history[0]
    assert "teacher" not in read_checkpoint(trainer.checkpoint_path).spec.training


def test_teach_asks_about_every_crop_once_and_retrain_learns_from_it(
    search: Search,
    drawn: Path,
    config_file: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    data = tmp_path / "data"
    data.mkdir()
    for side in ("train", "val"):
        (data / side).symlink_to(drawn / side)
    arguments = ["teach", config_file, "--data", data, "--teacher", tiny_model, "-o", data / "rows.npz"]
    monkeypatch.setattr("search.commands.teach.BATCH", 20)
    asked: list[int] = []

    def interrupt(size: int) -> None:
        asked.append(size)
        if len(asked) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        from search.teachers import _Ours

        whole = _Ours.__call__

        def call(self: _Ours, images: np.ndarray) -> np.ndarray:
            interrupt(len(images))
            return whole(self, images)

        patch.setattr(_Ours, "__call__", call)
        assert search(*arguments) == 130
        assert "stopped; 20 of 48 rows are safe" in capsys.readouterr().err
        assert search(*arguments) == 0
    assert asked == [20, 20, 20, 8]
    assert re.search(
        r"\n  \S+train: rank-1 .+ %, mAP .+ %; centred by camera rank-1 .+ % \(\d+ people\)\n",
        capsys.readouterr().out,
    )
    taught = TeacherRows.load(data / "rows.npz")
    assert taught.teacher.startswith("tiny@")
    assert len(set(taught.crops)) == 48
    with Embedder.load(tiny_model) as embedder:
        rows = embedder.embed([data / name for name in taught.crops])
    np.testing.assert_allclose(taught.rows, rows, atol=1e-3)

    config_file.write_text(config_file.read_text() + '[teacher]\nrows = ["rows.npz"]\n')
    assert search("retrain", config_file, "--data", data, "--out", tmp_path / "run") == 0
    assert "teacher" in checkpoint.load(tmp_path / "run" / "last.pt")["history"][0]


def test_what_cannot_teach_gets_one_line(
    search: Search,
    drawn: Path,
    config_file: Path,
    tiny_model: Path,
    other_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    out = tmp_path / "rows.npz"
    told = ["teach", config_file, "--data", drawn, "-o", out]
    assert search(*told, "--teacher", tiny_model) == 0
    (tmp_path / "x.xml").write_text("<net/>")
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    for teacher, place, message in (
        (other_model, out, r"holds rows of tiny@"),
        (tmp_path / "x.xml", tmp_path / "y.npz", "openvino is not installed; install it with: pip install"),
        (config_file, tmp_path / "y.npz", "expected a teacher that ends in .xml"),
    ):
        capsys.readouterr()
        assert search(*told[:-1], place, "--teacher", teacher) == 1
        assert message in capsys.readouterr().err.splitlines()[-1]
