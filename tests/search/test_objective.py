from math import log, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from search.genotype import ALL_EDGES, OPS
from search.objective import CentreMemory, LatencyTerm, retrieval_loss
from search.relaxation import KINDS, NONES, probabilities

CPU = torch.device("cpu")
LABELS = torch.tensor([0, 0, 1, 1])
# Unit rows (1, 0), (0, 1), (-1, 0) and (-0.6, 0.8), each of another length.
FEATURES = torch.tensor([[2.0, 0], [0, 5], [-0.1, 0], [-6, 8]])
# Anchors 1 and 3 are violated: their positives are sqrt(2) and sqrt(0.8) away, each is the other's nearest, sqrt(0.4).
TRIPLET = (0.3 + sqrt(2) - sqrt(0.4) + 0.3 + sqrt(0.8) - sqrt(0.4)) / 4


@pytest.mark.parametrize("balance", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_papers_sum_as_worked_by_hand(balance: float, smoothing: float):
    logits = torch.tensor([[log(3), 0.0]]).expand(4, 2)  # three quarters for person 0
    right, wrong = -(log(3 / 4) + log(1 / 4)) / 2, -(log(1 / 4) + log(3 / 4)) / 2
    cross_entropy = (1 - smoothing / 2) * right + smoothing / 2 * wrong
    losses = retrieval_loss(logits, FEATURES, LABELS, balance, 0.3, smoothing)
    assert float(losses.cross_entropy) == pytest.approx(cross_entropy)
    assert float(losses.triplet) == pytest.approx(TRIPLET, abs=1e-6)
    assert float(losses.total) == pytest.approx(balance * cross_entropy + (1 - balance) * TRIPLET, abs=1e-6)


def test_smoothing_takes_its_share_from_the_right_person():
    logits = torch.tensor([[log(9), 0.0]]).expand(2, 2)
    found = retrieval_loss(logits, FEATURES[:2], torch.tensor([0, 0]), 1.0, 0.3, 0.2).cross_entropy
    assert float(found) == pytest.approx(-(0.9 * log(0.9) + 0.1 * log(0.1)))


@settings(deadline=None, max_examples=25)
@given(scales=st.lists(st.floats(0.01, 100), min_size=4, max_size=4))
def test_the_scale_of_a_feature_changes_no_triplet(scales: list[float]):
    scaled = FEATURES * torch.tensor(scales)[:, None]
    losses = retrieval_loss(torch.zeros(4, 2), scaled, LABELS, 0.5, 0.3)
    assert float(losses.triplet) == pytest.approx(TRIPLET, abs=1e-5)


def met(momentum: float = 0.6) -> CentreMemory:
    """Three people, of whom the first was met at (1, 0) and (0, 1)."""
    memory = CentreMemory(3, 2, momentum, 0.5, CPU)
    memory.update(torch.tensor([[3.0, 0], [0, 2]]), torch.tensor([0, 0]))
    return memory


def test_a_first_centre_is_the_mean_direction_whatever_the_momentum():
    for momentum in (0.0, 0.6, 0.999):
        torch.testing.assert_close(met(momentum).centres[0], torch.tensor([sqrt(0.5), sqrt(0.5)]))


def test_a_centre_follows_by_momentum_and_stays_a_unit_row():
    memory = met()
    memory.update(torch.tensor([[0.0, 5], [-4, 0]]), torch.tensor([0, 2]))
    moved = np.array([0.6 * sqrt(0.5), 0.6 * sqrt(0.5) + 0.4])
    expected = [moved / np.linalg.norm(moved), [0, 0], [-1, 0]]
    np.testing.assert_allclose(memory.centres, expected, atol=1e-6)
    memory.update(torch.tensor([[0.0, -7]]), torch.tensor([2]))
    np.testing.assert_allclose(memory.centres[0], expected[0], atol=1e-6)  # who is not in a batch stays


def test_a_logit_is_the_cosine_over_the_temperature_and_zero_for_whom_nobody_met():
    logits = met().logits(torch.tensor([[10.0, 0], [0.3, 0.3], [-2, 2]]))
    np.testing.assert_allclose(logits, [[sqrt(0.5) / 0.5, 0, 0], [2, 0, 0], [0, 0, 0]], atol=1e-6)


def test_no_gradient_flows_into_centres():
    memory, features = met(), torch.tensor([[0.2, 1.0]], requires_grad=True)
    before = memory.centres.clone()
    logits = memory.logits(features)
    logits.sum().backward()
    assert features.grad.any()
    assert torch.equal(memory.centres, before)
    memory.update(features, torch.tensor([1]))
    assert not memory.centres.requires_grad
    assert memory.centres.grad is None


def made_term(budget: float = 1.0, weight: float = 1.0) -> LatencyTerm:
    rng = np.random.default_rng(0)
    costs = {kind: rng.uniform(0, 1, (len(ALL_EDGES), len(OPS))) for kind in KINDS}
    return LatencyTerm(2.0, costs, budget, weight)


def some_probabilities(none: str) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    alphas = {kind: torch.randn(len(ALL_EDGES), len(OPS), generator=generator) for kind in KINDS}
    return {kind: probabilities(rows, none, ["max_pool_3x3"]) for kind, rows in alphas.items()}


def sampled_ms(term: LatencyTerm, p: dict[str, Tensor], count: int) -> np.ndarray:
    """(count,) latencies of derived cells: two different edges a node, any two alike, each with one op by weight."""
    rng, total = np.random.default_rng(2), np.full(count, term.frame_ms)
    for kind in KINDS:
        for target in range(2, 6):
            kept = rng.random((count, target)).argsort(axis=1)[:, :2]
            for source in range(target):
                row = ALL_EDGES.index((source, target))
                weights = p[kind][row, 1:].double().numpy()
                ops = 1 + rng.choice(len(OPS) - 1, count, p=weights / weights.sum())
                total += np.where((kept == source).any(axis=1), term.costs[kind][row, ops], 0)
    return total


@pytest.mark.parametrize("none", NONES)
def test_the_expected_latency_is_the_mean_over_derived_cells(none: str):
    term, p = made_term(), some_probabilities(none)
    drawn = sampled_ms(term, p, 40_000)
    found = float(term.expected_ms(p))
    assert abs(found - drawn.mean()) < 4 * drawn.std() / sqrt(len(drawn))
    assert found == pytest.approx(drawn.mean(), rel=0.01)


def test_within_the_budget_there_is_no_penalty_and_no_gradient():
    alphas = torch.zeros(len(ALL_EDGES), len(OPS), requires_grad=True)
    term = made_term(budget=1e3)
    penalty = term.penalty(term.expected_ms(dict.fromkeys(KINDS, probabilities(alphas, "structural"))))
    penalty.backward()
    assert penalty.item() == 0
    assert not alphas.grad.any()


def test_over_the_budget_the_penalty_counts_the_excess():
    assert float(made_term(4.0, 3.0).penalty(torch.tensor(5.0))) == pytest.approx(3 * 0.25)
    assert float(made_term(4.0, 3.0).penalty(torch.tensor(4.0))) == 0


@pytest.mark.parametrize("none", NONES)
def test_over_the_budget_a_step_goes_from_dear_ops_to_cheap_ones(none: str):
    dear, cheap = OPS.index("sep_conv_3x3"), OPS.index("skip_connect")
    cost = np.full((len(ALL_EDGES), len(OPS)), 0.5)
    cost[:, dear], cost[:, cheap] = 1.0, 0.1
    term = LatencyTerm(0.1, dict.fromkeys(KINDS, cost), 1.0, 1.0)
    alphas = {kind: torch.zeros(len(ALL_EDGES), len(OPS), requires_grad=True) for kind in KINDS}
    p = {kind: probabilities(rows, none) for kind, rows in alphas.items()}
    before = term.expected_ms(p)
    term.penalty(before).backward()
    for kind, rows in alphas.items():
        after = probabilities(rows.detach() - rows.grad, none)
        assert (after[:, dear] < p[kind][:, dear]).all()
        assert (after[:, cheap] > p[kind][:, cheap]).all()
        p[kind] = after
    assert term.expected_ms(p) < before
