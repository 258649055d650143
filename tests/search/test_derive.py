"""The three ways from a supernet to cells: by weight, by perturbation, by evolution."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from autoreid_deploy.errors import InputError
from search.complexity import measure, parameter_count
from search.derive import Budget, Weights, by_weight, keep_strongest, perturb, perturb_steps, within_budgets
from search.evolution import Evolution, Scored, draw, evolve, mutate
from search.genotype import ALL_EDGES, CHOSEN_OPS, FREE_OPS, OPS, Edge, Genotype, random_genotype
from search.latency import LatencyTable, places, predict
from search.network import NetworkConfig
from search.relaxation import KINDS

EDGES = len(ALL_EDGES)
MACRO = NetworkConfig(channels=24, cells=(2,), height=128, width=64, stem_stride=4, dim=128)
MS = dict(zip(OPS, (0.0, 0.01, 0.02, 0.03, 0.4, 0.2, 0.1), strict=True))  # no two ops cost the same
FREE = 16 * MS["skip_connect"]  # the cheapest cells, without the frame
HOW = Evolution(population=12, children=60, tournament=4)


def softmax(alphas: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(alphas - alphas.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def some_weights(seed: int, scale: float = 1.0) -> Weights:
    rng = np.random.default_rng(seed)
    return {kind: softmax(scale * rng.normal(size=(EDGES, len(OPS)))) for kind in KINDS}


def made_table() -> LatencyTable:
    """Nothing measured: an op costs the same wherever it stands, and the frame 1 ms."""
    rows = {place: MS[place.op] for place in places(MACRO)}
    return LatencyTable(MACRO, 1, "Linux x86_64", "a processor", "1.0", "2026-01-31", 1.0, 1.0, rows)


def well_formed(genotype: Genotype) -> bool:
    nodes = [node for kind in KINDS for node in enumerate(genotype.cell(kind).nodes)]
    return len(nodes) == 8 and all(
        len({edge.source for edge in node}) == 2
        and all(0 <= edge.source < n + 2 and edge.op in CHOSEN_OPS for edge in node)
        for n, node in nodes
    )


def number(op: str) -> int:
    return OPS.index(op)


def test_edges_are_ranked_by_softmax_weight_and_not_by_alpha():
    alphas = np.zeros((EDGES, len(OPS)))
    unsure, sure, other = (ALL_EDGES.index((source, 3)) for source in (0, 1, 2))
    # The largest alpha of the node is one of two rivals on its edge: weight 0.5. A small one stands alone: 0.97.
    alphas[unsure, [number("sep_conv_3x3"), number("part_aware")]] = 9.0, 8.99
    alphas[sure, number("max_pool_3x3")] = 5.0
    alphas[other, number("dil_conv_3x3")] = 4.0
    weights = softmax(alphas)
    assert alphas.max(axis=1)[unsure] > alphas.max(axis=1)[[sure, other]].max()
    found = by_weight(dict.fromkeys(KINDS, weights), "found")
    expected = (Edge("max_pool_3x3", 1), Edge("dil_conv_3x3", 2))
    assert found.name == "found"
    assert found.normal.nodes[1] == found.reduce.nodes[1] == expected


def test_each_kind_of_cell_is_derived_from_its_own_weights():
    weights = some_weights(0, 3.0)
    found, turned = (
        by_weight(weights, "a"),
        by_weight({k: weights[o] for k, o in zip(KINDS, KINDS[::-1], strict=True)}, "a"),
    )
    assert (found.normal, found.reduce) == (turned.reduce, turned.normal)
    assert found.normal != found.reduce


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**31), scale=st.floats(0, 20), none=st.floats(0, 1))
def test_derived_cells_have_no_none_and_two_different_sources_a_node(seed: int, scale: float, none: float):
    weights = some_weights(seed, scale)
    for rows in weights.values():  # as large a none as may be
        rows *= 1 - none
        rows[:, 0] += none
    assert well_formed(by_weight(weights, "found"))


def test_of_each_node_the_two_strongest_edges_stay_in_the_order_of_their_sources():
    ops = ["skip_connect"] * EDGES
    strength = [float(source) for source, _ in ALL_EDGES]
    sources = [[edge.source for edge in node] for node in keep_strongest(ops, strength).nodes]
    assert sources == [[0, 1], [1, 2], [2, 3], [3, 4]]
    weakest = [-value for value in strength]
    assert {tuple(e.source for e in node) for node in keep_strongest(ops, weakest).nodes} == {(0, 1)}


def log_weight(genotype: Genotype, weights: Weights) -> float:
    return sum(
        float(np.log(weights["normal"][ALL_EDGES.index((edge.source, node + 2)), number(edge.op)]))
        for node, _, edge in genotype.edges("normal")
    )


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**31), scale=st.floats(0.1, 5))
def test_by_weight_is_the_best_op_of_an_edge_and_the_best_two_edges_of_a_node(seed: int, scale: float):
    weights = some_weights(seed, scale)
    chosen = weights["normal"][:, 1:].argmax(axis=1)
    strength = weights["normal"][np.arange(EDGES), chosen + 1].tolist()
    assert by_weight(weights, "found").normal == keep_strongest([CHOSEN_OPS[i] for i in chosen], strength)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**31), weighted=st.integers(1, 8))
def test_of_normal_cells_with_enough_ops_with_weights_none_has_more_weight(seed: int, weighted: int):
    weights = some_weights(seed, 2.0)
    for rows in weights.values():  # ops without weights would win everywhere
        rows[:, [number(op) for op in FREE_OPS]] += 5
        rows /= rows.sum(axis=1, keepdims=True)
    plain, found = by_weight(weights, "plain"), by_weight(weights, "found", weighted)
    assert plain.normal.weighted == 0
    assert well_formed(found)
    assert found.normal.weighted == weighted  # no more than are asked for
    assert found.reduce == plain.reduce
    rng, best = np.random.default_rng(seed), log_weight(found, weights)
    enough = (random_genotype(rng) for _ in range(200))
    assert all(log_weight(other, weights) <= best for other in enough if other.normal.weighted >= weighted)


def test_a_cell_with_enough_ops_with_weights_stays_as_it_is():
    weights = some_weights(1, 3.0)
    plain = by_weight(weights, "found")
    assert plain.normal.weighted > 1
    assert by_weight(weights, "found", plain.normal.weighted) == plain


def test_a_budget_takes_no_weights_that_the_normal_cell_must_keep():
    table, weights = made_table(), some_weights(0, 3.0)
    dear = Genotype("dear", *[keep_strongest(["sep_conv_3x3"] * EDGES, [0.0] * EDGES)] * 2)
    budget = 1.0 + 16 * MS["avg_pool_3x3"]
    assert within_budgets(dear, weights, [Budget.latency(table, budget)]).normal.weighted < 3
    kept = within_budgets(dear, weights, [Budget.latency(table, budget)], weighted=3)
    assert kept.normal.weighted == 3
    assert predict(table, kept) <= budget
    few = keep_strongest(["part_aware"] + ["skip_connect"] * (EDGES - 1), [2.0] + [1.0] * (EDGES - 1))
    poor = Genotype("poor", few, dear.reduce)
    assert within_budgets(poor, weights, [Budget.latency(table, 1.5)], weighted=3).normal.weighted == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_budget_of_parameters_holds_beside_one_of_latency_and_in_another_macro(seed: int):
    table, weights = made_table(), some_weights(seed, 3.0)
    wide = replace(MACRO, channels=48, cells=(2, 2))
    dear = by_weight(weights, "dear", weighted=6)
    most = parameter_count(wide)(dear) / 1e6 - 0.02
    latency, parameters = Budget.latency(table, predict(table, dear)), Budget.parameters(wide, most)
    assert latency.holds(dear) and not parameters.holds(dear)
    found = within_budgets(dear, weights, [latency, parameters], weighted=3)
    assert latency.holds(found)
    assert measure(found, wide).parameters <= 1e6 * most
    assert found.normal.weighted >= 3
    with pytest.raises(
        InputError, match=r"a parameter budget of 0\.001 M cannot be met: the cheapest cells take"
    ):
        within_budgets(dear, weights, [latency, Budget.parameters(wide, 0.001)])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("budget", [1.2, 2.0, 3.0])
def test_a_budget_is_met_and_only_ops_change_for_it(seed: int, budget: float):
    table, weights = made_table(), some_weights(seed, 3.0)
    before = random_genotype(np.random.default_rng(seed))
    after = within_budgets(before, weights, [Budget.latency(table, budget)])
    assert predict(table, after) <= budget
    assert well_formed(after)
    for kind in KINDS:
        sources = [[edge.source for _, _, edge in cells.edges(kind)] for cells in (before, after)]
        assert sources[0] == sources[1]


def test_cells_within_the_budget_stay_as_they_are():
    table, weights = made_table(), some_weights(0, 3.0)
    found = by_weight(weights, "found")
    assert within_budgets(found, weights, [Budget.latency(table, predict(table, found))]) is found


def test_the_first_op_to_go_gives_up_the_least_weight_for_each_ms():
    table = made_table()
    genotype = Genotype("dear", *[keep_strongest(["sep_conv_3x3"] * EDGES, [0.0] * EDGES)] * 2)
    row = np.array([0, 1e-3, 0, 0, 0.8, 0.199, 0])
    weights = {kind: np.tile(row, (EDGES, 1)) for kind in KINDS}
    chosen = ALL_EDGES.index((genotype.normal.nodes[2][1].source, 4))
    weights["normal"][chosen] = [0, 1e-3, 0, 0, 0.5, 0.499, 0]  # hardly less weight, as many ms as elsewhere
    after = within_budgets(genotype, weights, [Budget.latency(table, predict(table, genotype) - 0.1)])
    changed = [
        (kind, mine)
        for kind in KINDS
        for mine, theirs in zip(after.edges(kind), genotype.edges(kind), strict=True)
        if mine != theirs
    ]
    assert changed == [("normal", (2, 1, Edge("dil_conv_3x3", genotype.normal.nodes[2][1].source)))]


def test_a_budget_brings_back_no_op_that_takes_no_part():
    weights = some_weights(0)
    for rows in weights.values():
        rows[:, number("skip_connect")] = 0
    genotype = Genotype("dear", *[keep_strongest(["sep_conv_3x3"] * EDGES, [0.0] * EDGES)] * 2)
    tightest = 1.0 + 16 * MS["max_pool_3x3"] + 1e-6
    after = within_budgets(genotype, weights, [Budget.latency(made_table(), tightest)])
    assert {edge.op for kind in KINDS for _, _, edge in after.edges(kind)} == {"max_pool_3x3"}


def test_an_impossible_budget_gets_one_line():
    with pytest.raises(
        InputError, match=r"a latency budget of 1\.1 ms cannot be met: the cheapest cells take"
    ) as error:
        within_budgets(
            random_genotype(np.random.default_rng(0)), some_weights(0), [Budget.latency(made_table(), 1.1)]
        )
    assert f"{1 + FREE:.3f} ms" in str(error.value)
    assert "\n" not in str(error.value)


def test_perturbation_finds_the_best_op_of_an_additive_score_against_the_weights():
    rng = np.random.default_rng(0)
    best = {kind: rng.integers(1, len(OPS), EDGES) for kind in KINDS}
    # What the best op of an edge is worth: edges from later sources are worth more, and weigh less.
    worth = {kind: np.array([1.0 + source for source, _ in ALL_EDGES]) for kind in KINDS}
    values = {kind: np.zeros((EDGES, len(OPS))) for kind in KINDS}
    weights = {}
    for kind in KINDS:
        values[kind][np.arange(EDGES), best[kind]] = worth[kind]
        rows = np.full((EDGES, len(OPS)), 0.01)
        decoy = 1 + best[kind] % (len(OPS) - 1)
        rows[np.arange(EDGES), decoy] = 0.7 - 0.1 * worth[kind]
        rows[np.arange(EDGES), best[kind]] = 0.1
        weights[kind] = rows / rows.sum(axis=1, keepdims=True)
    kept = {kind: rows.copy() for kind, rows in weights.items()}
    ticks: list[int] = []

    def score(mixed: Weights) -> float:
        return float(sum((mixed[kind] * values[kind]).sum() for kind in KINDS))

    found = perturb(weights, score, np.random.default_rng(1), "found", tick=lambda: ticks.append(1))
    assert well_formed(found)
    for kind in KINDS:
        for n, node in enumerate(found.cell(kind).nodes):
            assert [edge.source for edge in node] == [n, n + 1]
        for n, _, edge in found.edges(kind):
            assert number(edge.op) == best[kind][ALL_EDGES.index((edge.source, n + 2))]
        np.testing.assert_array_equal(weights[kind], kept[kind])  # the caller's weights are the caller's
    by_weights = by_weight(weights, "found")
    assert all(by_weights.cell(kind) != found.cell(kind) for kind in KINDS)
    assert len(ticks) == perturb_steps()


def test_perturbation_tries_no_more_ops_an_edge_than_it_is_told():
    weights = {kind: np.tile(softmax(np.arange(7.0)[None]), (EDGES, 1)) for kind in KINDS}

    def likes_the_rarest(mixed: Weights) -> float:
        return float(sum(rows[:, number("skip_connect")].sum() for rows in mixed.values()))

    found = perturb(weights, likes_the_rarest, np.random.default_rng(0), "found", candidates=2)
    ops = {edge.op for kind in KINDS for _, _, edge in found.edges(kind)}
    assert ops <= {"part_aware", "dil_conv_3x3"}


def additive(seed: int = 5) -> Callable[[Genotype], float]:
    """A score to which every edge adds what its op is worth there."""
    values = np.random.default_rng(seed).uniform(size=(2, EDGES, len(OPS)))

    def score(genotype: Genotype) -> float:
        return float(
            sum(
                values[k, ALL_EDGES.index((edge.source, node + 2)), number(edge.op)]
                for k, kind in enumerate(KINDS)
                for node, _, edge in genotype.edges(kind)
            )
        )

    return score


def test_evolution_improves_on_its_first_cells():
    judged: list[float] = []
    score = additive()

    def watched(genotype: Genotype) -> float:
        judged.append(score(genotype))
        return judged[-1]

    found = evolve(some_weights(0), watched, HOW, "found")
    assert len(judged) <= HOW.scores == 72
    assert found[0].fitness > max(judged[: HOW.population])
    assert np.mean(judged[-HOW.population :]) > np.mean(judged[: HOW.population])
    assert [scored.fitness for scored in found] == sorted(judged, reverse=True)
    assert all(scored.fitness == score(scored.genotype) for scored in found)


def test_evolution_follows_from_its_seed():
    found = [evolve(some_weights(0), additive(), replace(HOW, seed=seed), "found") for seed in (0, 0, 1)]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_nothing_is_scored_twice_and_every_step_is_told():
    judged: list[Genotype] = []
    ticks: list[int] = []
    first = random_genotype(np.random.default_rng(0), "another name")
    constant = evolve(
        some_weights(0),
        lambda genotype: judged.append(genotype) or 1.0,  # type: ignore[func-returns-value]
        replace(HOW, population=4, children=30, tournament=1),
        "found",
        first=(first, first),
        tick=lambda: ticks.append(1),
    )
    assert len(set(judged)) == len(judged) == len(constant) < 34 == len(ticks)
    assert constant[0] == Scored(1.0, replace(first, name="found"))  # the first scored first among equals


def test_evolution_returns_no_cells_that_are_refused():
    table = made_table()

    def fits(genotype: Genotype) -> bool:
        return predict(table, genotype) <= 2.5

    found = evolve(some_weights(0), additive(), HOW, "found", accept=fits)
    assert all(fits(scored.genotype) for scored in found)
    assert all(well_formed(scored.genotype) for scored in found)


def test_evolution_keeps_to_the_first_cells_where_everything_else_is_refused():
    only = random_genotype(np.random.default_rng(0), "found")
    how = Evolution(population=2, children=2, tournament=1)
    found = evolve(some_weights(0), additive(), how, "found", accept=lambda g: g == only, first=(only,))
    assert [scored.genotype for scored in found] == [only]
    with pytest.raises(InputError, match="the budget leaves nothing"):
        evolve(some_weights(0), additive(), how, "found", accept=lambda _: False)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**31))
def test_a_mutation_changes_one_edge_and_keeps_to_the_space(seed: int):
    rng, weights = np.random.default_rng(seed), some_weights(seed)
    for rows in weights.values():
        rows[:, number("part_aware")] = 0
    parent = draw(weights, rng, "parent")
    child = mutate(parent, weights, rng)
    assert well_formed(parent)
    assert well_formed(child)
    changed = [
        (mine, theirs)
        for kind in KINDS
        for (*_, mine), (*_, theirs) in zip(child.edges(kind), parent.edges(kind), strict=True)
        if mine != theirs
    ]
    assert len(changed) == 1
    assert (changed[0][0].op == changed[0][1].op) != (changed[0][0].source == changed[0][1].source)
    ops = {edge.op for cells in (parent, child) for kind in KINDS for *_, edge in cells.edges(kind)}
    assert "part_aware" not in ops


def test_cells_are_drawn_by_weight_without_none():
    row = np.array([0.5, 0.3, 0, 0, 0.2, 0, 0])
    weights = {kind: np.tile(row, (EDGES, 1)) for kind in KINDS}
    rng = np.random.default_rng(0)
    drawn = [draw(weights, rng, "drawn") for _ in range(100)]
    ops = [edge.op for cells in drawn for kind in KINDS for *_, edge in cells.edges(kind)]
    assert set(ops) == {"skip_connect", "sep_conv_3x3"}
    assert ops.count("skip_connect") / len(ops) == pytest.approx(0.6, abs=5 * (0.24 / len(ops)) ** 0.5)
