import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from search.genotype import ALL_EDGES, CHOSEN_OPS, OPS
from search.relaxation import NONE, NONES, gumbel, mixture, probabilities, relax, temperature

EDGES = len(ALL_EDGES)
LEFT_OUT = torch.tensor([1 - 2 / target for _, target in ALL_EDGES], dtype=torch.float64)


def some_alphas(seed: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(EDGES, len(OPS), generator=generator, dtype=torch.float64)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def samples(probability: Tensor, none: str, count: int) -> Tensor:
    """(count, E) ops that were sampled."""
    noise = seeded(1)
    return torch.tensor([gumbel(probability, none, 1.0, noise).chosen for _ in range(count)])


def surprise(counts: Tensor, expected: Tensor) -> Tensor:
    """Chi-square of each row over what five standard deviations above its mean would be: 1 or less is usual."""
    open_cells = expected > 0
    terms = torch.where(open_cells, (counts - expected).square() / expected.clamp_min(1e-12), 0)
    freedom = (open_cells.sum(1) - 1).clamp_min(1)
    return terms.sum(1) / (freedom + 5 * (2 * freedom).sqrt())


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    scale=st.floats(0, 30),
    none=st.sampled_from(NONES),
    closed=st.sets(st.sampled_from(CHOSEN_OPS), max_size=len(CHOSEN_OPS) - 2),
)
def test_the_ops_of_an_edge_share_one_and_closed_ones_get_nothing(
    seed: int, scale: float, none: str, closed: set[str]
):
    p = probabilities(some_alphas(seed, scale), none, sorted(closed))
    assert p.min() >= 0
    torch.testing.assert_close(p.sum(1), torch.ones(EDGES, dtype=p.dtype))
    assert not p[:, [OPS.index(op) for op in closed]].any()


def test_open_ops_divide_their_share_as_a_softmax_over_them_does():
    alphas, keep = some_alphas(0), [1, 2, 4, 5, 6]
    p = probabilities(alphas, "structural", ["avg_pool_3x3"])
    expected = torch.softmax(alphas[:, keep], dim=1) * (1 - LEFT_OUT)[:, None]
    torch.testing.assert_close(p[:, keep], expected)
    torch.testing.assert_close(probabilities(alphas, "learned"), torch.softmax(alphas, dim=1))


def test_a_structural_none_holds_the_share_of_the_edges_that_a_derived_node_leaves_out_and_learns_nothing():
    alphas = some_alphas(0).requires_grad_()
    p = probabilities(alphas, "structural")
    # In double precision the share is that of float32, which the table of shares is kept in.
    torch.testing.assert_close(p[:, NONE], LEFT_OUT, atol=1e-7, rtol=0)
    (from_none,) = torch.autograd.grad(p[:, NONE].sum(), alphas, retain_graph=True)
    assert not from_none.any()
    (from_all,) = torch.autograd.grad((p * some_alphas(1)).sum(), alphas)
    assert not from_all[:, NONE].any()
    assert from_all[:, 1:].any()


@pytest.mark.parametrize("none", NONES)
def test_gumbel_samples_an_op_as_often_as_its_probability_says(none: str):
    p = probabilities(some_alphas(3), none, ["avg_pool_3x3"])
    count = 2000
    counts = F.one_hot(samples(p, none, count), len(OPS)).sum(0)
    assert not counts[p == 0].any()
    assert surprise(counts, count * p).max() < 1


def test_a_structural_path_runs_two_edges_a_node_and_every_pair_of_them_alike_often():
    count = 2000
    runs = samples(probabilities(some_alphas(3, 4.0), "structural"), "structural", count) != NONE
    first = 0
    for target in range(2, 6):
        own = runs[:, first : first + target].double()
        assert (own.sum(1) == 2).all()
        pairs = (own.T @ own)[tuple(torch.triu_indices(target, target, 1))][None]
        assert surprise(pairs, torch.full_like(pairs, count / pairs.shape[1])).max() < 1
        first += target


@pytest.mark.parametrize("none", NONES)
@pytest.mark.parametrize("tau", [0.5, 5.0])
def test_a_sample_is_hard_forward_and_has_the_gradient_of_the_softened_one(none: str, tau: float):
    alphas = some_alphas(5).requires_grad_()
    c = some_alphas(6)
    p = probabilities(alphas, none, ["max_pool_3x3"])
    paths = gumbel(p, none, tau, seeded(7))
    torch.testing.assert_close(paths.weights, F.one_hot(torch.tensor(paths.chosen), len(OPS)).double())
    (found,) = torch.autograd.grad((c * paths.weights).sum(), alphas)

    g = -(-torch.rand(p.shape, generator=seeded(7)).log()).log()
    open_ops = [i for i in range(len(OPS)) if i != 2 and (none == "learned" or i != NONE)]
    runs = [i for i in range(EDGES) if none == "learned" or paths.chosen[i] != NONE]
    again = some_alphas(5).requires_grad_()
    log_p = torch.log_softmax(again[:, open_ops], dim=1)  # a share that all of them lose changes no softmax
    soft = torch.softmax((log_p + g[:, open_ops]) / tau, dim=1)
    (expected,) = torch.autograd.grad((c[:, open_ops] * soft)[runs].sum(), again)
    assert len(runs) == (EDGES if none == "learned" else 8)
    torch.testing.assert_close(found, expected, atol=1e-8, rtol=1e-6)


def test_the_temperature_softens_the_gradient_and_leaves_the_sample():
    p = probabilities(some_alphas(0), "structural")
    hot, cold = (gumbel(p, "structural", tau, seeded(2)).chosen for tau in (10.0, 0.1))
    assert hot == cold


@pytest.mark.parametrize("none", NONES)
def test_a_mixture_weighs_the_ops_by_probability_and_has_no_structural_none(none: str):
    alphas = some_alphas(0)
    paths = mixture(probabilities(alphas, none), none)
    assert paths.chosen is None
    if none == "learned":
        expected = torch.softmax(alphas, dim=1)
    else:
        expected = torch.cat([torch.zeros(EDGES, 1), torch.softmax(alphas[:, 1:], dim=1)], dim=1)
    torch.testing.assert_close(paths.weights, expected.double())


def test_a_relaxation_is_known_by_its_name():
    p = probabilities(some_alphas(0), "structural")
    assert relax("softmax", p, "structural", 1.0, seeded(0)).chosen is None
    assert (
        relax("gumbel", p, "structural", 1.0, seeded(0)).chosen
        == gumbel(p, "structural", 1.0, seeded(0)).chosen
    )


@settings(deadline=None)
@given(first=st.floats(1e-3, 100), last=st.floats(1e-3, 100), progress=st.floats(0, 1))
def test_the_temperature_is_linear_from_first_to_last(first: float, last: float, progress: float):
    assert temperature(first, last, 0) == first
    assert temperature(first, last, 1) == pytest.approx(last)
    assert temperature(first, last, progress) == pytest.approx((1 - progress) * first + progress * last)
    assert temperature(first, last, -1) == first
    assert temperature(first, last, 2) == temperature(first, last, 1)
