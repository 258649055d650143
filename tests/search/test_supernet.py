"""A path through the supernet, against the network that would be derived from it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search.augment import normalise
from search.data import Crops
from search.genotype import ALL_EDGES, OPS, CellGenotype, Edge, Genotype, random_genotype
from search.network import Backbone, Network, NetworkConfig, Trunk
from search.relaxation import KINDS, NONE, Paths, gumbel, probabilities
from search.scoring import embed, score
from search.subnet import Scorer
from search.supernet import (
    Bank,
    Routing,
    SuperCell,
    SuperTrunk,
    _Gate,
    genotype_paths,
    initial_alphas,
)

# An odd map on the way: 34x10 -> 17x5 -> 9x3.
MACRO = NetworkConfig(channels=6, cells=(2, 2), height=34, width=10, stem_stride=1, dim=0)
SMALL = NetworkConfig(channels=6, cells=(2,), height=32, width=16, stem_stride=1, dim=16)
BEFORE = 16  # crops a batch while batch norms are calibrated


def random_map(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def one_hot(chosen: list[int]) -> Tensor:
    return F.one_hot(torch.tensor(chosen), len(OPS)).float()


def hard(chosen: list[int]) -> Paths:
    return Paths(one_hot(chosen), tuple(chosen))


def scatter(module: nn.Module) -> None:
    """Give every batch norm statistics and weights of its own, so that no two can be taken for each other."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.3)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            if norm.affine:
                nn.init.uniform_(norm.weight, 0.5, 1.5)
                nn.init.normal_(norm.bias, std=0.3)


@pytest.fixture(scope="module")
def trunk() -> SuperTrunk:
    torch.manual_seed(0)
    trunk = SuperTrunk(MACRO)
    scatter(trunk)
    return trunk


def twins(trunk: SuperTrunk, derived: Trunk, genotype: Genotype) -> list[tuple[nn.Module, nn.Module]]:
    """Each module of a derived backbone, and its place in the supernet."""
    pairs = [(derived.stem, trunk.stem)]
    for cell, wide in zip(derived.cells, trunk.cells, strict=True):
        pairs += [(cell.older, wide.older), (cell.newer, wide.newer)]
        ops = iter(cell.ops)
        for n, node in enumerate(genotype.cell(wide.kind).nodes):
            for edge in node:
                slot = sorted(e.source for e in node).index(edge.source)  # as the supernet runs them
                bank = wide.bank(edge.source, n + 2, slot)
                pairs.append((next(ops), bank.ops[OPS.index(edge.op)]))
        assert next(ops, None) is None
    return pairs


def derive(trunk: SuperTrunk, genotype: Genotype, config: NetworkConfig = MACRO) -> Backbone:
    derived = Backbone(genotype, config).train(trunk.training)
    for mine, theirs in twins(trunk, derived, genotype):
        mine.load_state_dict(theirs.state_dict())
    return derived


def cells_of(chosen: tuple[int, ...]) -> CellGenotype:
    """The cell that a path with two edges a node is."""
    nodes = [
        tuple(
            Edge(OPS[op], s)
            for op, (s, t) in zip(chosen, ALL_EDGES, strict=True)
            if t == target and op != NONE
        )
        for target in range(2, 6)
    ]
    return CellGenotype(tuple(nodes))


def assert_same_network(trunk: SuperTrunk, genotype: Genotype) -> None:
    """Outputs, the statistics that they leave behind, and gradients."""
    derived, x = derive(trunk, genotype), random_map(4, 3, 34, 10)
    trunk.zero_grad()
    outs = [trunk(x), derived(x)]
    assert torch.equal(*outs)
    assert outs[0].any()
    for out in outs:
        out.square().mean().backward()
    for mine, theirs in twins(trunk, derived, genotype):
        for name, value in theirs.state_dict().items():
            assert torch.equal(mine.state_dict()[name], value)
        for ours, other in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, other.grad)


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("seed", range(3))
def test_a_path_computes_exactly_what_the_derived_network_does(trunk: SuperTrunk, seed: int, train: bool):
    genotype = random_genotype(np.random.default_rng(seed))
    trunk.train(train)
    trunk.routing = Routing(genotype_paths(genotype))
    assert_same_network(trunk, genotype)


def test_the_order_in_which_a_genotype_names_its_edges_changes_nothing(trunk: SuperTrunk):
    drawn = random_genotype(np.random.default_rng(5))
    turned = [CellGenotype(tuple(node[::-1] for node in drawn.cell(kind).nodes)) for kind in KINDS]
    trunk.eval()
    trunk.routing = Routing(genotype_paths(drawn))
    assert_same_network(trunk, Genotype("turned", *turned))


def test_a_sampled_path_is_the_network_of_its_cells_while_the_alphas_get_their_gradient(trunk: SuperTrunk):
    alphas, noise = initial_alphas(), torch.Generator().manual_seed(0)
    trunk.train()
    paths = {
        kind: gumbel(probabilities(alphas[kind], "structural"), "structural", 1.0, noise) for kind in KINDS
    }
    trunk.routing = Routing(paths)
    assert_same_network(trunk, Genotype("sampled", *(cells_of(paths[kind].chosen) for kind in KINDS)))
    for kind in KINDS:
        reached = alphas[kind].grad.abs().sum(1) > 0
        assert reached.tolist() == [op != NONE for op in paths[kind].chosen]


def test_edges_share_a_bank_where_node_slot_and_stride_are_the_same_and_nowhere_else(trunk: SuperTrunk):
    assert [cell.kind for cell in trunk.cells] == ["reduce", "normal", "reduce", "normal"]
    owners: dict[Bank, set[tuple[int, ...]]] = {}
    for number, cell in enumerate(trunk.cells):
        for source, target in ALL_EDGES:
            for slot in range(2):
                bank, stride = (
                    cell.bank(source, target, slot),
                    2 if cell.kind == "reduce" and source < 2 else 1,
                )
                assert len(bank.ops) == len(OPS)
                assert bank.stride == stride
                owners.setdefault(bank, set()).add((number, target, slot, stride))
    assert all(len(places) == 1 for places in owners.values())
    # Two slots a node; in a reduction cell each of them for either stride, but node 2 reads the inputs alone.
    assert [sum(b in owners for b in cell.modules()) for cell in trunk.cells] == [14, 8, 14, 8]


def by_hand(cell: SuperCell, older: Tensor, newer: Tensor, chosen: list[int]) -> Tensor:
    """One op an edge; a node of n running edges is 2 / n of their sum, one without any is zero.

    The first running edge of a node takes its first bank, all others the second.
    """
    states = [cell.older(older), cell.newer(newer)]
    like = F.max_pool2d(states[0], 2, ceil_mode=True) if cell.kind == "reduce" else states[0]
    for node in range(2, 6):
        terms = []
        for i, (source, target) in enumerate(ALL_EDGES):
            if target == node and chosen[i] != NONE:
                state, halves = states[source], cell.kind == "reduce" and source < 2
                op = OPS[chosen[i]]
                opens = op in ("sep_conv_3x3", "dil_conv_3x3") or (op == "skip_connect" and halves)
                bank = cell.bank(source, node, min(len(terms), 1))
                terms.append(bank.ops[chosen[i]](F.relu(state) if opens else state))
        states.append(2 / len(terms) * torch.stack(terms).sum(0) if terms else torch.zeros_like(like))
    return F.relu(torch.cat(states[2:], dim=1))


@pytest.mark.parametrize("number", [0, 1], ids=["reduce", "normal"])
@pytest.mark.parametrize("seed", range(3))
def test_a_node_of_any_number_of_edges_has_the_scale_of_two(trunk: SuperTrunk, number: int, seed: int):
    trunk.eval()
    rng, cell = np.random.default_rng(seed), trunk.cells[number]
    chosen = rng.integers(0, len(OPS), len(ALL_EDGES)).tolist()
    for i, (_, target) in enumerate(ALL_EDGES):
        if target == 3:  # whatever is drawn, one node has no edge, and one has all of its edges
            chosen[i] = NONE
        elif target == 5:
            chosen[i] = chosen[i] or 1
    side = (17, 5) if number else (34, 10)
    newer = random_map(2, 24 if number else 6, *side, seed=1).relu()
    older = random_map(2, 6, 34, 10, seed=2).relu()
    with torch.no_grad():
        out = cell(older, newer, hard(chosen), 0.0)
        torch.testing.assert_close(out, by_hand(cell, older, newer, chosen))
    assert not out[:, 6:12].any()


def test_a_mixture_of_one_op_an_edge_is_that_op_alone(trunk: SuperTrunk):
    trunk.eval()
    chosen = np.random.default_rng(0).integers(1, len(OPS), len(ALL_EDGES)).tolist()
    outs = []
    for paths in (Paths(one_hot(chosen), None), hard(chosen)):
        trunk.routing = Routing(dict.fromkeys(KINDS, paths))
        with torch.no_grad():
            outs.append(trunk(random_map(2, 3, 34, 10)))
    torch.testing.assert_close(*outs)
    assert outs[0].any()


def test_a_mixture_that_weighs_two_edges_of_a_node_as_much_as_all_of_them_is_the_derived_network(
    trunk: SuperTrunk,
):
    trunk.eval()
    drawn = random_genotype(np.random.default_rng(4))
    # In a mixture the edge from node 0 is the first to run; here it is so in the derived network too.
    from_0 = [
        CellGenotype(tuple((Edge(first.op, 0), second) for first, second in drawn.cell(kind).nodes))
        for kind in KINDS
    ]
    genotype = Genotype("from 0", *from_0)
    share = torch.tensor([target / 2 for _, target in ALL_EDGES])[:, None]
    none = torch.eye(len(OPS))[NONE]
    paths = {
        kind: Paths((path.weights - none * (path.weights[:, :1])) * share, None)
        for kind, path in genotype_paths(genotype).items()
    }
    trunk.routing = Routing(paths)
    x = random_map(2, 3, 34, 10)
    with torch.no_grad():
        torch.testing.assert_close(trunk(x), derive(trunk, genotype)(x), atol=1e-5, rtol=1e-4)


def test_an_edge_mixes_its_ops_by_weight():
    edge = Bank(6, 1).eval()
    scatter(edge)
    x, weights = random_map(2, 6, 8, 4), torch.softmax(random_map(len(OPS), seed=1), dim=0)
    outs = [
        op(F.relu(x) if OPS[i] in ("sep_conv_3x3", "dil_conv_3x3") else x) for i, op in enumerate(edge.ops)
    ]
    expected = sum(float(weights[i]) * out for i, out in enumerate(outs))
    torch.testing.assert_close(edge(x, F.relu(x), weights, None, 0.0), expected)


def test_a_gate_has_the_gradients_of_a_product_with_one():
    x, upstream = random_map(2, 3, 4, 5), random_map(2, 3, 4, 5, seed=1)
    results = []
    for gate in (_Gate.apply, torch.mul):
        inputs = x.clone().requires_grad_(), torch.ones((), requires_grad=True)
        out = gate(*inputs)
        results.append([out.detach(), *torch.autograd.grad(out, inputs, upstream)])
    for mine, plain in zip(*results, strict=True):
        torch.testing.assert_close(mine, plain)


@pytest.mark.parametrize("op", ["sep_conv_3x3", "skip_connect"])
@pytest.mark.parametrize(("stride", "height"), [(1, 8), (2, 8), (2, 7)])
def test_an_auxiliary_skip_is_blended_in_by_its_weight(op: str, stride: int, height: int):
    edge, number = Bank(6, stride).eval(), OPS.index(op)
    scatter(edge)
    x, weights = random_map(2, 6, height, 4), one_hot([number])[0]
    alone = edge.ops[number](F.relu(x) if edge.rectified[number] else x)
    if stride == 1:
        beside = x
    else:  # means of 2x2 pixels; of a last odd row, of what there is
        rows = [x[:, :, i : i + 2] for i in range(0, height, 2)]
        beside = torch.stack([row.unfold(3, 2, 2).mean(dim=(2, 4)) for row in rows], dim=2)
    assert torch.equal(edge(x, F.relu(x), weights, number, 0.0), alone)
    torch.testing.assert_close(edge(x, F.relu(x), weights, number, 0.25), (alone + 0.25 * beside) / 1.25)
    torch.testing.assert_close(edge(x, F.relu(x), weights, None, 0.25), (alone + 0.25 * beside) / 1.25)


def test_an_auxiliary_skip_opens_no_edge_that_is_left_out():
    x = random_map(2, 6, 8, 4)
    assert Bank(6, 1)(x, F.relu(x), one_hot([NONE])[0], NONE, 1.0) is None


@pytest.mark.parametrize("auxiliary", [0.0, 1.0])
def test_cells_whose_edges_all_run_none_put_out_zeros_of_the_right_shape(trunk: SuperTrunk, auxiliary: float):
    trunk.routing = Routing(dict.fromkeys(KINDS, hard([NONE] * len(ALL_EDGES))), auxiliary)
    x = random_map(2, 3, 34, 10)
    out = trunk(x)
    assert out.shape == derive(trunk, random_genotype(np.random.default_rng(0)))(x).shape
    assert out.shape[1] == trunk.c_out
    assert not out.any()


def test_alphas_begin_alike():
    alphas = initial_alphas()
    assert set(alphas) == set(KINDS)
    for rows in alphas.values():
        assert rows.requires_grad
        p = probabilities(rows, "learned")
        torch.testing.assert_close(p, torch.full_like(p, 1 / len(OPS)), atol=1e-3, rtol=0)
        assert rows.unique().numel() == rows.numel()


@pytest.fixture
def scorer(crops: dict[str, Crops], monkeypatch: pytest.MonkeyPatch) -> Scorer:
    monkeypatch.setattr("search.subnet.BATCH", BEFORE)
    torch.manual_seed(0)
    trunk = SuperTrunk(SMALL)
    network = Network(trunk, SMALL.dim, people=8)
    scatter(network)
    return Scorer(network, trunk, crops["train"], crops["val"], torch.device("cpu"))


def test_calibration_averages_over_its_batches_and_leaves_the_momentum(
    scorer: Scorer, crops: dict[str, Crops]
):
    genotype, network = random_genotype(np.random.default_rng(0)), scorer.network
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for i, norm in enumerate(norms):
        norm.momentum = 0.1 + i / 1000
    seen: dict[nn.Module, list[Tensor]] = {}
    hooks: list[Callable[[], None]] = [
        norm.register_forward_hook(lambda m, x, _: seen.setdefault(m, []).append(x[0].detach())).remove
        for norm in norms
    ]
    idle = {norm: norm.running_mean.clone() for norm in norms}
    scorer.calibrate(genotype_paths(genotype))
    for remove in hooks:
        remove()
    assert [norm.momentum for norm in norms] == [0.1 + i / 1000 for i in range(len(norms))]
    assert network.neck in seen
    assert len(seen) < len(norms)
    for norm in norms:
        if norm not in seen:
            assert torch.equal(norm.running_mean, idle[norm])
            continue
        assert [len(x) for x in seen[norm]] == [BEFORE] * (len(crops["train"].images) // BEFORE)
        axes = [0, *range(2, seen[norm][0].dim())]
        mean = torch.stack([x.mean(axes) for x in seen[norm]]).mean(0)
        variance = torch.stack([x.var(axes) for x in seen[norm]]).mean(0)
        torch.testing.assert_close(norm.running_mean, mean, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(norm.running_var, variance, atol=1e-5, rtol=1e-4)


def test_a_bank_that_several_edges_run_is_calibrated_on_all_of_them(scorer: Scorer):
    chosen = np.random.default_rng(0).integers(1, len(OPS), len(ALL_EDGES)).tolist()
    seen: dict[nn.Module, list[Tensor]] = {}
    norms = [module for module in scorer.network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.register_forward_hook(lambda m, x, _: seen.setdefault(m, []).append(x[0].detach()))
    scorer.calibrate(dict.fromkeys(KINDS, hard(chosen)))
    assert len({len(calls) for calls in seen.values()}) > 1
    for norm, calls in seen.items():
        mean = torch.stack([x.mean([0, *range(2, x.dim())]) for x in calls]).mean(0)
        torch.testing.assert_close(norm.running_mean, mean, atol=1e-5, rtol=1e-4)


def test_cells_score_what_their_own_network_with_these_weights_scores(
    scorer: Scorer, crops: dict[str, Crops]
):
    genotype = random_genotype(np.random.default_rng(1))
    own = Network(Backbone(genotype, SMALL), SMALL.dim, people=8)
    pairs = twins(scorer.trunk, own.backbone, genotype)
    pairs += [(own.neck, scorer.network.neck), (own.bottleneck, scorer.network.bottleneck)]
    for mine, theirs in pairs:
        mine.load_state_dict(theirs.state_dict())
    for norm in own.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for a plain mean
    train = normalise(torch.from_numpy(crops["train"].images))
    with torch.no_grad():
        for batch in train.split(BEFORE):
            own.features(batch)
    rows = embed(own, crops["val"].images, torch.device("cpu"))
    expected, found = score(rows, crops["val"]), scorer.genotype(genotype)
    assert (found.mAP, found.rank(1)) == (expected.mAP, expected.rank(1))
    ours = embed(scorer.network, crops["val"].images, torch.device("cpu"))
    np.testing.assert_allclose(ours, rows, atol=1e-5)


def test_a_score_does_not_depend_on_what_was_scored_before(scorer: Scorer):
    one, other = (random_genotype(np.random.default_rng(seed)) for seed in (1, 2))
    first = scorer.genotype(one).mAP
    scorer.genotype(other)
    assert scorer.genotype(one).mAP == first
