import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from autoreid_deploy.errors import InputError
from search.genotype import ALL_EDGES, OPS, CellGenotype, Edge, Genotype, random_genotype
from search.latency import (
    LatencyTable,
    Place,
    edge_costs,
    load_table,
    places,
    predict,
    profile,
    profile_steps,
    save_table,
)
from search.network import NetworkConfig, build_network
from search.stopwatch import median_ms, medians_ms, network_ms, network_probe, open_session

MACRO = NetworkConfig(channels=24, cells=(2,), height=128, width=64, stem_stride=4, dim=128)
MEASURED = replace(MACRO, cells=(1,))  # exporting a network takes a second a cell


def made_table(macro: NetworkConfig = MACRO) -> LatencyTable:
    """Nothing measured: every op at every place takes another number of ms, `none` takes none."""
    rows = {place: 0.0 if place.op == "none" else 2.0**-i for i, place in enumerate(places(macro))}
    return LatencyTable(macro, 1, "Linux x86_64", "a processor", "1.0", "2026-01-31", 5.0, 1.5, rows)


def kendall_tau(a: list[float], b: list[float]) -> float:
    """Pairs in the same order less pairs in the opposite order, over all pairs."""
    pairs = list(combinations(range(len(a)), 2))
    return float(np.mean([np.sign((a[i] - a[j]) * (b[i] - b[j])) for i, j in pairs]))


def all_of(op: str) -> Genotype:
    cell = CellGenotype(tuple((Edge(op, 0), Edge(op, target - 1)) for target in range(2, 6)))
    return Genotype(op, cell, cell)


@pytest.fixture(scope="module")
def ticks() -> list[int]:
    return []


@pytest.fixture(scope="module")
def table(ticks: list[int]) -> LatencyTable:
    return profile(MEASURED, tick=lambda: ticks.append(1))


@pytest.mark.slow
def test_predicted_latency_ranks_networks_as_measured_latency_does(table):
    rng = np.random.default_rng(1)
    genotypes = [random_genotype(rng) for _ in range(20)]
    # Other guests of a machine, or its clock, may disturb a measurement: then profile and networks are measured again.
    for again in range(3):
        table = profile(MEASURED) if again else table
        measured = medians_ms([network_probe(genotype, MEASURED) for genotype in genotypes])
        predicted = [predict(table, genotype) for genotype in genotypes]
        tau, apart = kendall_tau(predicted, measured.tolist()), np.abs(predicted / measured - 1).mean()
        if tau >= 0.8 and apart < 0.15:
            break
    assert tau >= 0.8
    assert apart < 0.15


@pytest.mark.slow
def test_a_profile_measures_every_op_at_every_place(table, ticks):
    assert list(table.rows) == places(MEASURED)
    assert len(ticks) == profile_steps(MEASURED)
    assert table.frame_ms > 0
    for place, ms in table.rows.items():
        assert ms == 0 if place.op == "none" else ms >= 0
        if place.op == "sep_conv_3x3":
            # Two depthwise separable convolutions against one.
            assert ms > table.rows[place._replace(op="dil_conv_3x3")]
    assert LatencyTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table


def test_kendall_tau_of_known_orders():
    assert kendall_tau([1, 2, 3, 4], [1, 2, 3, 4]) == 1
    assert kendall_tau([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    assert kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)


def test_a_measured_network_of_separable_convolutions_takes_longer_than_one_of_pools():
    slow, fast = (network_ms(all_of(op), MEASURED) for op in ("sep_conv_3x3", "max_pool_3x3"))
    assert slow > fast > 0


def test_places_are_those_that_the_cells_really_see():
    macro = NetworkConfig(channels=12, cells=(2, 1), height=130, width=50, stem_stride=4)
    # 130x50 -> 33x13 by the stem -> 17x7 by the first block -> 9x4 by the second
    shapes = list(dict.fromkeys(place[1:] for place in places(macro)))
    assert shapes == [(12, 2, 33, 13), (12, 1, 17, 7), (24, 2, 17, 7), (24, 1, 9, 4)]
    seen = []
    backbone = build_network(all_of("max_pool_3x3"), macro, people=1).backbone
    for module in backbone.modules():
        if isinstance(module, nn.MaxPool2d):
            module.register_forward_hook(
                lambda m, x, _: seen.append((x[0].shape[1], m.stride, *x[0].shape[2:]))
            )
    backbone.eval()(torch.zeros(1, 3, 130, 50))
    assert set(seen) == set(shapes)


def test_none_costs_nothing():
    for cost in edge_costs(made_table()).values():
        assert (cost[:, OPS.index("none")] == 0).all()
        assert (cost[:, 1:] > 0).all()


def test_edge_costs_are_counted_over_all_cells_of_a_kind():
    macro = replace(MACRO, cells=(3, 2))  # two reduction cells, two normal ones at 24 channels, one at 48
    table = made_table(macro)
    at = {shape: table.rows[Place("sep_conv_3x3", *shape)] for shape in {place[1:] for place in table.rows}}
    costs, op = edge_costs(table), OPS.index("sep_conv_3x3")
    assert costs["normal"].shape == costs["reduce"].shape == (14, 7)
    from_input, from_node = ALL_EDGES.index((1, 4)), ALL_EDGES.index((3, 4))
    assert (from_input, from_node) == (6, 8)  # after two edges of node 2 and three of node 3
    both = 1.5 * (2 * at[24, 1, 16, 8] + at[48, 1, 8, 4])
    assert costs["normal"][from_input, op] == costs["normal"][from_node, op] == pytest.approx(both)
    assert costs["reduce"][from_input, op] == pytest.approx(1.5 * (at[24, 2, 32, 16] + at[48, 2, 16, 8]))
    assert costs["reduce"][from_node, op] == pytest.approx(1.5 * (at[24, 1, 16, 8] + at[48, 1, 8, 4]))


def test_a_prediction_is_the_frame_and_the_edges_of_a_genotype():
    table = made_table()
    genotype = random_genotype(np.random.default_rng(0))
    expected = 5.0
    for kind, cell in (("normal", genotype.normal), ("reduce", genotype.reduce)):
        for target, node in enumerate(cell.nodes, start=2):
            for edge in node:
                halves = kind == "reduce" and edge.source < 2
                shape = (24, 2, 32, 16) if halves else (24, 1, 16, 8)
                expected += 1.5 * table.rows[Place(edge.op, *shape)]
                assert (edge.source, target) in ALL_EDGES
    assert predict(table, genotype) == pytest.approx(expected)
    one_hot = {kind: np.zeros((14, 7)) for kind in ("normal", "reduce")}
    for kind, cell in (("normal", genotype.normal), ("reduce", genotype.reduce)):
        for target, node in enumerate(cell.nodes, start=2):
            for edge in node:
                one_hot[kind][ALL_EDGES.index((edge.source, target)), OPS.index(edge.op)] = 1
    costs = edge_costs(table)
    assert predict(table, genotype) == pytest.approx(5.0 + sum((costs[k] * one_hot[k]).sum() for k in costs))


def test_whoever_changes_edge_costs_changes_no_table():
    table = made_table()
    edge_costs(table)["normal"][:] = 0
    assert edge_costs(table)["normal"].any()


def test_a_table_comes_back_from_its_file(tmp_path: Path):
    table = made_table()
    save_table(table, tmp_path / "latency.json")
    assert load_table(tmp_path / "latency.json") == table
    assert load_table(tmp_path / "latency.json", MACRO) == table
    assert "sep_conv_3x3" in str(table)


def test_a_table_of_another_macro_is_refused(tmp_path: Path):
    save_table(made_table(), tmp_path / "latency.json")
    with pytest.raises(InputError, match=r"height 128, not 256.*profile") as caught:
        load_table(tmp_path / "latency.json", replace(MACRO, height=256))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"format": "autoreid-latency/0"},
            "expected the format autoreid-latency/1, got 'autoreid-latency/0'",
        ),
        ({"rows": []}, "14 ops are missing"),
        ({"rows": [{"op": "none"}]}, "damaged, KeyError"),
        ({"scale": "much"}, "damaged, ValueError"),
        ({"network": {"chanels": 24}}, "unknown key 'chanels'; did you mean channels"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, change, message):
    path = tmp_path / "latency.json"
    path.write_text(json.dumps({**made_table().to_dict(), **change}))
    with pytest.raises(InputError, match=message):
        load_table(path)


@pytest.mark.parametrize("text", [None, "not JSON", "[1]"])
def test_what_is_no_table_is_refused(tmp_path: Path, text):
    path = tmp_path / "latency.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=r"latency\.json: expected .*profile"):
        load_table(path)


def test_a_session_computes_what_its_module_does_at_any_batch():
    module = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()).eval()
    session = open_session(module, torch.zeros(1, 3, 8, 8))
    x = torch.randn(5, 3, 8, 8)
    (out,) = session.run(None, {"images": x.numpy()})
    np.testing.assert_allclose(out, module(x).detach().numpy(), atol=1e-5)
    assert median_ms(session, {"images": x.numpy()}) > 0


def test_a_probe_leaves_the_random_numbers_as_they_were():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    network_probe(all_of("max_pool_3x3"), MEASURED)
    assert torch.equal(torch.rand(3), expected)
