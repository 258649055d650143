"""A search on drawn people: who learns from whom, what moves when, and that nothing is lost."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autoreid_deploy.errors import InputError
from search import checkpoint
from search.genotype import ALL_EDGES, OPS, load_genotype
from search.latency import LatencyTable, Place, places
from search.relaxation import KINDS
from search.searcher import Searcher, describe_alphas
from tests.search.test_trainer import same

Make = Callable[..., Searcher]


def first_batches(searcher: Searcher) -> tuple[np.ndarray, np.ndarray]:
    searcher.epoch = searcher.frozen_epochs
    return searcher.sampler.epoch(searcher.epoch)[0], searcher._alpha_batches(searcher.epoch)[0]


def test_weights_alphas_and_scores_belong_to_three_sets_of_people(make_searcher: Make):
    searcher = make_searcher()
    sides = (searcher.train, searcher.alphas_crops, searcher.val)
    people = [{record.path.parent / str(record.pid) for record in side.records} for side in sides]
    assert [len(side) for side in people] == [4, 4, 6]
    assert not (people[0] & people[1] or people[0] & people[2] or people[1] & people[2])
    assert searcher.network.classifier.out_features == 4  # no classifier over the alphas' people


def test_a_step_of_the_weights_leaves_the_alphas_and_the_other_way_round(make_searcher: Make):
    searcher = make_searcher()
    batch, alpha_batch = first_batches(searcher)
    weights = [p.detach().clone() for p in searcher.network.parameters()]
    alphas = copy.deepcopy(searcher.alphas.state_dict())

    searcher.alpha_step(alpha_batch)
    assert all(torch.equal(a, b) for a, b in zip(weights, searcher.network.parameters(), strict=True))
    assert not same(alphas, searcher.alphas.state_dict())
    assert all(p.grad is None for p in searcher.network.parameters())

    alphas = copy.deepcopy(searcher.alphas.state_dict())
    searcher.weight_step(batch)
    assert same(alphas, searcher.alphas.state_dict())
    assert not all(torch.equal(a, b) for a, b in zip(weights, searcher.network.parameters(), strict=True))


def test_the_alphas_wait_for_the_warm_up(make_searcher: Make):
    searcher = make_searcher()
    assert searcher.frozen_epochs == 1
    before = copy.deepcopy(searcher.alphas.state_dict())
    for take_step in searcher.steps_of(0):
        take_step()
        searcher.step += 1
    assert same(before, searcher.alphas.state_dict())
    assert searcher.images_in(1) == 2 * searcher.images_in(0)


@pytest.mark.parametrize("relaxation", ["gumbel", "softmax"])
def test_a_search_ends_in_cells_a_log_and_a_score(make_searcher: Make, relaxation: str):
    searcher = make_searcher(relaxation=relaxation)
    assert searcher.run()
    folder = searcher.folder
    found = load_genotype(folder / "genotype.json")
    assert found == searcher.derived()
    assert "mAP" in searcher.history[-1] and 0 < searcher.history[-1]["mAP"] <= 1
    assert (folder / "log.csv").read_text().count("\n") == 4
    assert len(searcher.curves) == 3
    for kind in KINDS:
        assert np.array(searcher.curves[-1][kind]).shape == (len(ALL_EDGES), len(OPS))


@pytest.mark.parametrize("changes", [{}, {"none": "learned"}], ids=str)
def test_an_interrupted_search_goes_on_to_the_same_alphas(make_searcher: Make, changes: dict[str, str]):
    straight = make_searcher("straight", **changes)
    assert straight.run()

    broken = make_searcher("broken", **changes)
    for take_step in list(broken.steps_of(0)):
        take_step()
        broken.step += 1
    broken.finish_epoch()
    for take_step in list(broken.steps_of(1))[:1]:
        take_step()
        broken.step += 1
    broken.save()
    resumed = make_searcher("broken", **changes)
    resumed.restore(checkpoint.load(broken.checkpoint_path, checkpoint.SEARCH))
    assert resumed.step == 1
    assert resumed.run()
    one, other = (s.state() for s in (straight, resumed))
    assert same(one, other)


def test_another_search_is_not_resumed(make_searcher: Make):
    searcher = make_searcher()
    searcher.save()
    with pytest.raises(InputError, match="another search; resume with the same configuration"):
        make_searcher(balance=0.9).restore(checkpoint.load(searcher.checkpoint_path, checkpoint.SEARCH))


def test_all_losses_reach_the_alphas(make_searcher: Make):
    """Cross-entropy alone and triplet alone move them to different places."""
    moved = []
    for balance in (0.0, 1.0):
        searcher = make_searcher(balance=balance, centre_momentum=0.0)
        batch = first_batches(searcher)[1]
        searcher.alpha_step(batch)  # the memory meets the people
        searcher.alpha_step(batch)
        moved.append(torch.cat([p.detach().flatten() for p in searcher.alphas.values()]))
    assert not torch.allclose(moved[0], moved[1])


def made_up_table(searcher: Searcher) -> LatencyTable:
    """Every op free but the separable convolution, 1 ms a time."""
    network = searcher.config.network
    cost = {place: float(place.op == "sep_conv_3x3") for place in places(network)}
    cost |= {Place("none", *place[1:]): 0.0 for place in cost}
    return LatencyTable(network, 1, "none", "none", "0", "2026-11-24", 1.0, 1.0, cost)


def test_a_budget_turns_the_alphas_away_from_slow_ops(make_searcher: Make):
    plain = make_searcher("plain", alpha_lr=0.1)
    table = made_up_table(plain)
    frugal = make_searcher("frugal", table, alpha_lr=0.1, latency_budget=1.5, latency_weight=100.0)
    sep = OPS.index("sep_conv_3x3")
    for searcher in (plain, frugal):
        batch = first_batches(searcher)[1]
        for _ in range(5):
            searcher.alpha_step(batch)
    shares = [sum(p[:, sep].sum() for p in s.weights().values()) for s in (plain, frugal)]
    assert shares[1] < 0.95 * shares[0]
    assert frugal.fits(frugal.derived())


def test_the_log_raises_an_alarm_where_a_known_failure_shows(make_searcher: Make):
    searcher = make_searcher(none="learned")
    with torch.no_grad():
        for alpha in searcher.alphas.values():
            alpha[:, OPS.index("none")] = 5.0
            alpha[:, OPS.index("skip_connect")] = 4.0
    row = describe_alphas(searcher.probabilities(), searcher.derived(), frozen=False)
    assert "16 of 16 ops have no weights" in row["alarm"]
    assert "none holds more than half of the weight" in row["alarm"]
    assert describe_alphas(searcher.probabilities(), searcher.derived(), frozen=True)["alarm"] == ""


def test_the_scorer_sees_a_derived_path_in_evaluation_mode(make_searcher: Make):
    """Two scores of one path agree, and the score changes with the path."""
    searcher = make_searcher()
    searcher.run()
    found = searcher.derived()
    once, again = searcher.scorer.genotype(found), searcher.scorer.genotype(found)
    assert once.mAP == again.mAP
    kind, (node, position, edge) = "normal", found.edges("normal")[0]
    op = "part_aware" if edge.op != "part_aware" else "sep_conv_3x3"
    other = found.with_edge(kind, node, position, replace(edge, op=op))
    assert searcher.scorer.genotype(other).mAP != once.mAP


def test_an_uncut_batch_is_asked_for(make_searcher: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("search.distributed.world_size", lambda: 3)
    monkeypatch.setattr("search.distributed.rank", lambda: 0)
    with pytest.raises(InputError, match="a batch of 8 cannot be cut into 3 slices"):
        make_searcher()


def test_a_run_folder_holds_nothing_half_written(make_searcher: Make, tmp_path: Path):
    searcher = make_searcher()
    searcher.run()
    assert sorted(path.name for path in searcher.folder.iterdir()) == [
        "genotype.json",
        "last.pt",
        "log.csv",
    ]
