"""Whom the losses may push apart: an oracle by hand, and gradients that are not there."""

from pathlib import Path

import numpy as np
import pytest
import torch

from autoreid_deploy.records import Record
from search.config import Source
from search.data import Crops
from search.losses import Heads, batch_hard_triplet, contrastive
from search.recipe import Recipe
from search.rivals import Rivals
from search.sampler import sampler_of

CPU = torch.device("cpu")
# Source, camera and times of each identity: 0 to 4 are tracklets, 5 and 6 are people.
TRACKS = [
    (0, "a", (0, 9)),
    (0, "a", (5, 14)),  # with 0
    (0, "a", (20, 29)),  # after both: perhaps one of them
    (0, "b", (0, 9)),  # elsewhere
    (0, "a", (None, None)),  # counts as there all the time
    (1, "a", (0, 9)),
    (1, "b", (None, None)),
]
SOURCES = (Source(path="tracks", tracklets=True), Source(path="people"))
PAIRS = {(0, 1), (0, 4), (1, 4), (2, 4), (5, 6), *((t, p) for t in range(5) for p in (5, 6))}


def crops(shots: int = 2) -> Crops:
    rows = [(i, *track) for i, track in enumerate(TRACKS) for _ in range(shots)]
    return Crops(
        images=np.zeros((len(rows), 8, 4, 3), np.uint8),
        labels=np.array([row[0] for row in rows]),
        records=tuple(
            Record(Path(f"{at}.png"), None, camera, times[at % 2], str(identity))
            for at, (identity, _, camera, times) in enumerate(rows)
        ),
        origins=np.array([row[1] for row in rows]),
    )


def table(rivals: Rivals) -> set[tuple[int, int]]:
    every = torch.arange(len(TRACKS))
    return set(map(tuple, torch.nonzero(rivals(every, every)).tolist()))


def rivals_of(*sources: Source) -> Rivals:
    found = Rivals.of(crops(), sources, CPU)
    assert found is not None
    return found


def test_tracklets_are_two_people_only_where_one_camera_saw_both_at_once():
    assert table(rivals_of(*SOURCES)) == PAIRS | {(j, i) for i, j in PAIRS}
    assert rivals_of(*SOURCES).of_one(2).tolist() == [4, 5, 6]


def test_named_people_may_be_those_of_tracklets_where_the_sources_say_so():
    named = tuple(Source(path=s.path, tracklets=s.tracklets, people="shop") for s in SOURCES)
    within = {pair for pair in PAIRS if pair[0] >= 5 or pair[1] < 5}
    assert table(rivals_of(*named)) == within | {(j, i) for i, j in within}


def test_where_everybody_is_named_there_is_no_question():
    assert Rivals.of(crops(), (Source(path="a"), Source(path="b")), CPU) is None


def test_no_loss_moves_who_may_be_the_same_person():
    rivals, labels = rivals_of(*SOURCES), torch.tensor([2, 2, 0, 0, 3, 3])
    features = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    # Nobody here is surely another person than anybody: nothing is to be pushed.
    assert batch_hard_triplet(features, labels, 0.3).item() > 0
    loss = batch_hard_triplet(features, labels, 0.3, rivals)
    assert loss.item() == 0
    (gradient,) = torch.autograd.grad(loss, features)
    assert not gradient.any()

    assert contrastive(features, labels, 0.1).item() > 0
    loss = contrastive(features, labels, 0.1, rivals)
    (gradient,) = torch.autograd.grad(loss, features)
    assert loss.item() == 0
    assert gradient.isfinite().all() and not gradient.any()

    logits = torch.randn(6, 7, generator=torch.Generator().manual_seed(1)).requires_grad_()
    heads = Heads([], 7, CPU, rivals)
    (gradient,) = torch.autograd.grad(heads(logits, labels, 0.1), logits)
    for row, label in zip(gradient, labels.tolist(), strict=True):
        competing = {label, *rivals.of_one(label).tolist()}
        assert set(torch.nonzero(row).squeeze(1).tolist()) == competing


def test_the_cross_entropy_is_that_among_rivals():
    rivals, labels = rivals_of(*SOURCES), torch.tensor([0, 2, 6])
    logits = torch.randn(3, 7, generator=torch.Generator().manual_seed(1))
    expected = []
    for row, label in zip(logits, labels.tolist(), strict=True):
        among = [label, *rivals.of_one(label).tolist()]
        one = torch.nn.functional.cross_entropy(row[among][None], torch.tensor([0]), label_smoothing=0.1)
        expected.append(one)
    torch.testing.assert_close(Heads([], 7, CPU, rivals)(logits, labels, 0.1), torch.stack(expected).mean())


def test_a_tracklet_that_is_alone_loses_nothing_and_stays_finite():
    one = Rivals(*(torch.tensor([value]) for value in (0, 0, 0.0, 1.0)))
    logits = torch.tensor([[3.0]], requires_grad=True)
    loss = Heads([], 1, CPU, one)(logits, torch.tensor([0]), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_brings_tracklets_together_with_those_that_were_there(seed: int):
    # Of 40 tracklets of one camera, every two in succession overlap.
    records = [
        Record(Path(f"{i}_{k}.png"), None, "a", 10.0 * (i // 2) + k, str(i))
        for i in range(40)
        for k in (0, 1)
    ]
    many = Crops(
        images=np.zeros((80, 8, 4, 3), np.uint8),
        labels=np.repeat(np.arange(40), 2),
        records=tuple(records),
        origins=np.zeros(80, np.int64),
    )
    sources = (Source(path="tracks", tracklets=True),)
    rivals = Rivals.of(many, sources, CPU)
    assert rivals is not None
    recipe = Recipe(people=4, shots=2, steps=10)
    sampler = sampler_of(many, sources, recipe, seed, rivals.of_one)
    for batch in sampler.epoch(0):
        people = many.labels[batch][::2]
        assert len(set(people.tolist())) == 4
        assert sum(bool(set(rivals.of_one(i)) & set(people)) for i in people) >= 2
    seen = np.concatenate([many.labels[batch] for batch in sampler.epoch(1)])
    assert len(set(seen.tolist())) == 40
    assert sampler.epoch(2).tolist() == sampler.epoch(2).tolist()
