import csv
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autoreid_deploy.errors import InputError
from autoreid_deploy.metrics import evaluate_records, heldout_split
from autoreid_deploy.records import Record
from search import checkpoint
from search.config import Source
from search.data import Crops
from search.genotype import load_genotype
from search.scoring import embed, score
from search.trainer import Trainer
from tests.conftest import draw_crop
from tests.search.conftest import SMALL

Make = Callable[..., Trainer]


def same(one: Any, other: Any) -> bool:
    """Bit for bit, through dicts and lists."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def remember_steps(trainer: Trainer, order: list[list[int]], stop_at: int = -1) -> None:
    """Note which crops each step sees, and ask the run to stop at one of them."""
    step = trainer.train_step

    def noted(indices: np.ndarray) -> tuple[float, float]:
        order.append(indices.tolist())
        if len(order) == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(indices)

    trainer.train_step = noted


def figures(people: range) -> Crops:
    """Plain figures in the colours of their clothes, by 3 cameras, 2 shots each."""
    keys = [(pid, camid, shot) for pid in people for camid in (1, 2, 3) for shot in (1, 2)]
    return Crops(
        images=np.stack([draw_crop(*key, 32, 16) for key in keys]),
        labels=np.array([people.index(pid) for pid, _, _ in keys]),
        records=tuple(Record(Path(f"{p}_{c}_{s}.jpg"), str(p), str(c)) for p, c, s in keys),
        origins=np.zeros(len(keys), np.int64),
    )


def test_training_learns_to_find_people_it_has_never_seen(tmp_path: Path):
    recipe = replace(SMALL.recipe, epochs=5, people=8, lr=0.05, val_every=5, erase=0.0)
    train, val = figures(range(1, 25)), figures(range(101, 113))
    cpu = torch.device("cpu")
    genotype = load_genotype("auto_reid_2019")
    trainer = Trainer(
        config=replace(SMALL, recipe=recipe),
        genotype=genotype,
        train=train,
        val=val,
        folder=tmp_path,
        device=cpu,
    )
    untrained = score(embed(trainer.average, val.images, cpu), val)
    assert trainer.run()
    first, last = trainer.history[0], trainer.history[-1]
    assert last["cross_entropy"] < 0.8 * first["cross_entropy"]
    assert last["triplet"] < 0.6 * first["triplet"]
    assert last["rank1"] > 0.6  # 4 matches among 70 crops: chance is 6 %
    assert last["mAP"] > untrained.mAP + 0.2
    assert last.keys() == {"epoch", "cross_entropy", "triplet", "lr", "rank1", "mAP", "mINP"}
    assert "rank1" not in first

    with (trainer.folder / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5]
    assert float(rows[-1]["mAP"]) == last["mAP"]
    assert (trainer.folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(item.name for item in trainer.folder.iterdir()) == ["curve.png", "last.pt", "log.csv"]


def test_a_run_stopped_in_an_epoch_and_resumed_is_the_run_that_never_stopped(make_trainer: Make):
    straight, orders = make_trainer("straight"), ([], [])
    remember_steps(straight, orders[0])
    assert straight.run()

    stopped = make_trainer("stopped")
    remember_steps(stopped, orders[1], stop_at=len(stopped.sampler) + 2)
    assert not stopped.run()
    assert (stopped.epoch, stopped.step) == (1, 2)

    resumed = make_trainer("stopped")
    resumed.restore(checkpoint.load(resumed.checkpoint_path))
    remember_steps(resumed, orders[1])
    assert resumed.run()
    assert orders[0] == orders[1]
    assert same(straight.state(), resumed.state())


def test_a_finished_run_resumed_changes_nothing(make_trainer: Make):
    trainer = make_trainer(epochs=1, val=False)
    assert trainer.run()
    again = make_trainer(epochs=1, val=False)
    again.restore(checkpoint.load(trainer.checkpoint_path))
    assert again.run()
    assert same(trainer.state(), again.state())


def test_a_signal_is_the_programs_own_again_after_a_run(make_trainer: Make):
    before = signal.getsignal(signal.SIGTERM)
    make_trainer(epochs=1, val=False).run()
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_configuration_or_other_crops_are_not_resumed(make_trainer: Make, crops: dict[str, Crops]):
    trainer = make_trainer(val=False)
    trainer.save()
    state = checkpoint.load(trainer.checkpoint_path)
    with pytest.raises(
        InputError, match="was trained with another recipe; resume with the same configuration"
    ):
        make_trainer(val=False, lr=0.01).restore(state)
    few = replace(crops["train"], origins=crops["train"].origins.copy())
    few.origins[0] = 1
    other = replace(trainer, train=few, config=trainer.config)
    with pytest.raises(InputError, match="was trained with another data"):
        other.restore(state)


def test_a_lost_loss_stops_the_run_and_keeps_the_checkpoint(make_trainer: Make):
    trainer = make_trainer(val=False)
    trainer.save()
    before = trainer.checkpoint_path.read_bytes()
    with torch.no_grad():
        trainer.network.bottleneck.weight.fill_(torch.nan)
    with pytest.raises(
        InputError, match=r"the loss is \[nan, .*\] in epoch 1; train anew with a lower recipe.lr"
    ):
        trainer.run()
    assert trainer.checkpoint_path.read_bytes() == before


def test_crops_that_cannot_be_scored_are_refused_before_training(make_trainer: Make, crops: dict[str, Crops]):
    one_camera = replace(crops["val"], records=tuple(replace(r, camid="1") for r in crops["val"].records))
    crops_before = dict(crops)
    crops["val"] = one_camera
    try:
        with pytest.raises(InputError, match="expected the same person, by another camera"):
            make_trainer()
    finally:
        crops.update(crops_before)


def test_validation_is_the_evaluation_of_reid_eval(crops: dict[str, Crops]):
    val = crops["val"]
    rows = np.random.default_rng(0).normal(size=(len(val.records), 5)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    query, gallery = heldout_split(val.records)
    expected = evaluate_records(
        rows[query], [val.records[i] for i in query], rows[gallery], [val.records[i] for i in gallery]
    )
    assert score(rows, val).mAP == expected.mAP
    assert score(rows, val).rank(1) == expected.rank(1)


def test_people_of_two_validation_sources_are_told_apart(crops: dict[str, Crops]):
    val = crops["val"]
    twice = Crops(
        images=np.concatenate([val.images] * 2),
        labels=np.concatenate([val.labels, val.labels + val.people]),
        records=val.records * 2,
        origins=np.repeat([0, 1], len(val.records)),
    )
    # Each source on a plane of its own: whoever mixed the people up would miss half of the matches.
    rows = np.zeros((len(twice.labels), 2 * val.people), np.float32)
    rows[np.arange(len(rows)), twice.labels] = 1
    assert score(rows, twice).mAP == 1


def test_a_checkpoint_tells_what_it_was_trained_on(make_trainer: Make, tmp_path: Path):
    trainer = make_trainer(val=False)
    trainer.save()
    state = checkpoint.load(trainer.checkpoint_path)
    assert state["data"] == [{"name": "train", "terms": "", "people": 8, "crops": 48}]
    assert state["people"] == 8
    assert state["genotype"]["name"] == "auto_reid_2019"


def test_sources_with_shares_and_heads_of_their_own_train_and_go_on(
    make_trainer: Make, crops: dict[str, Crops], monkeypatch: pytest.MonkeyPatch
):
    both = replace(crops["train"], origins=(crops["train"].labels >= 5).astype(np.int64))
    monkeypatch.setitem(crops, "train", both)
    shares = (Source(path="train"), Source(path="crowd", share=0.5))
    monkeypatch.setattr("tests.search.conftest.SMALL", replace(SMALL, train=shares))
    recipe = {"heads": "each", "across_cameras": True, "steps": 3, "grey": 0.2, "jpeg": 0.3, "hue": 9.0}
    straight, stopped = make_trainer("straight", **recipe), make_trainer("stopped", **recipe)
    assert straight.run()
    assert straight.images_in(0) == 3 * 8
    order: list[list[int]] = []
    remember_steps(stopped, order, stop_at=4)
    assert not stopped.run()
    for batch in order:
        assert sum(both.origins[i] for i in batch) == 4
    resumed = make_trainer("stopped", **recipe)
    resumed.restore(checkpoint.load(stopped.checkpoint_path))
    assert resumed.run()
    assert same(straight.state(), resumed.state())


def test_a_checkpoint_from_before_a_setting_came_goes_on(make_trainer: Make):
    trainer = make_trainer(val=False)
    trainer.save()
    state = checkpoint.load(trainer.checkpoint_path)
    del state["config"]["recipe"]["jpeg"], state["config"]["train"][0]["share"]
    make_trainer(val=False).restore(state)
    with pytest.raises(InputError, match="was trained with another recipe"):
        make_trainer(val=False, jpeg=0.1).restore(state)
