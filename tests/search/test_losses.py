import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from search.losses import Heads, batch_hard_triplet, contrastive, pairwise_distance


def brute_force(features: torch.Tensor, labels: list[int], margin: float) -> float:
    total = 0.0
    for a, label in enumerate(labels):
        to = [float((features[a] - other).double().norm()) for other in features]
        positive = max(d for d, other in zip(to, labels, strict=True) if other == label)
        negative = min(d for d, other in zip(to, labels, strict=True) if other != label)
        total += max(0.0, margin + positive - negative)
    return total / len(labels)


@pytest.mark.parametrize("seed", range(5))
def test_batch_hard_is_what_a_loop_over_all_pairs_finds(seed: int):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(12, 5, generator=generator)
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 3]
    for margin in (0.0, 0.3, 2.0):
        expected = brute_force(features, labels, margin)
        assert float(batch_hard_triplet(features, torch.tensor(labels), margin)) == pytest.approx(
            expected, abs=1e-5
        )


def test_identical_features_cost_the_margin_and_their_gradient_is_finite():
    features = torch.full((4, 3), 0.7, requires_grad=True)
    loss = batch_hard_triplet(features, torch.tensor([0, 0, 1, 1]), 0.3)
    assert loss.item() == pytest.approx(0.3)
    loss.backward()
    assert torch.isfinite(features.grad).all()


def test_the_gradient_is_that_of_the_distance():
    features = torch.tensor([[0.0, 0], [3, 4], [6, 0], [6, 1]], requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1])
    assert torch.autograd.gradcheck(
        lambda x: batch_hard_triplet(x, labels, 0.3), features.detach().double().requires_grad_()
    )
    torch.testing.assert_close(
        pairwise_distance(features, features)[0].detach(),
        torch.tensor([1e-6, 5, 6, 37**0.5]),
        atol=1e-5,
        rtol=1e-6,
    )


def test_people_far_apart_cost_nothing():
    features = torch.tensor([[0.0], [0.1], [9.0], [9.1]])
    assert float(batch_hard_triplet(features, torch.tensor([0, 0, 1, 1]), 0.3)) == 0


def test_contrastive_is_what_a_loop_over_all_pairs_finds():
    generator = torch.Generator().manual_seed(0)
    rows, labels, total = torch.randn(9, 5, generator=generator), [0, 0, 0, 1, 1, 2, 2, 2, 3], 0.0
    for a, label in enumerate(labels):
        likeness = [math.exp(float(F.cosine_similarity(rows[a], other, dim=0)) / 0.2) for other in rows]
        against = sum(x for x, other in zip(likeness, labels, strict=True) if other != label)
        own = [x for p, x in enumerate(likeness) if labels[p] == label and p != a]
        total += sum(-math.log(x / (x + against)) for x in own) / max(1, len(own))
    assert float(contrastive(rows, torch.tensor(labels), 0.2)) == pytest.approx(total / len(labels), abs=1e-5)
    # Of length 1 or of any other: a cosine does not care.
    assert float(contrastive(7 * rows, torch.tensor(labels), 0.2)) == pytest.approx(
        total / len(labels), abs=1e-5
    )


def test_contrastive_gathers_a_person_and_pushes_the_nearest_other_away_most():
    angles = torch.tensor([0.0, 0.5, 0.7, 3.0, 2.9]).requires_grad_()
    rows = torch.stack([angles.cos(), angles.sin()], 1)
    (gradient,) = torch.autograd.grad(contrastive(rows, torch.tensor([0, 0, 1, 2, 2]), 0.1), angles)
    step = -gradient
    assert step[0] > 0  # towards the other crop of its person
    assert step[2] > 10 * abs(step[3])  # the nearest other, away


def test_people_of_two_groups_do_not_compete():
    groups = [np.array([0, 3]), np.array([1, 2, 4])]
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(6, 5, generator=generator), torch.tensor([3, 1, 4, 0, 2, 2])
    places = [(0, 1), (1, 0), (1, 2), (0, 0), (1, 1), (1, 1)]
    expected = torch.stack(
        [
            F.cross_entropy(row[groups[group]][None], torch.tensor([place]), label_smoothing=0.1)
            for row, (group, place) in zip(logits, places, strict=True)
        ]
    ).mean()
    heads = Heads(groups, 5, torch.device("cpu"))
    torch.testing.assert_close(heads(logits, labels, 0.1), expected)
    part = torch.tensor([1, 2, 4])  # a slice may lack a group
    assert torch.isfinite(heads(logits[part], labels[part], 0.1))
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(heads(logits, labels, 0.1), logits)
    assert not gradient[0, groups[1]].any()
    assert gradient[0, groups[0]].all()


def test_one_group_is_plain_cross_entropy():
    logits, labels = torch.randn(6, 5), torch.tensor([3, 1, 4, 0, 2, 2])
    expected = F.cross_entropy(logits, labels, label_smoothing=0.1)
    for groups in ([], [np.arange(5)]):
        assert torch.equal(Heads(groups, 5, torch.device("cpu"))(logits, labels, 0.1), expected)
