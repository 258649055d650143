import numpy as np
import pytest

from search.crowd.anatomy import NAMES
from search.crowd.anatomy import anatomy as read
from search.crowd.body import body, place, skinned
from search.crowd.pose import ARMS, pose

MIDDLE = {"female": 0.5, "years": 30.0, "height": 0.5, "weight": 0.5, "muscle": 0.5, "proportions": 0.5}


def test_the_anatomy_is_whole(anatomy):
    count = len(anatomy.template)
    assert np.allclose(anatomy.weights.sum(axis=1), 1, atol=1e-5)
    for name in ("skin", "feet", "tights", "skirt"):
        faces = getattr(anatomy, name)
        assert faces.min() >= 0 and faces.max() < count
        assert all(len(set(face)) == 3 for face in faces[:200].tolist())
    # Thinned out: what costs time is heads and hands.
    assert len(anatomy.skin) < 3000


def test_an_anatomy_is_written_once_and_whole(anatomy, tmp_path, monkeypatch):
    import search.crowd.anatomy as module

    built = []
    monkeypatch.setattr(module, "build", lambda: built.append(1) or anatomy)
    first, second = read(tmp_path), read(tmp_path)
    assert len(built) == 1
    assert np.array_equal(first.shapes, second.shapes)
    assert [path.name for path in tmp_path.iterdir()] == ["anatomy-1.npz"]


def test_a_build_that_fails_leaves_nothing(tmp_path, monkeypatch):
    import search.crowd.anatomy as module

    def fails():
        raise OSError("disk full")

    monkeypatch.setattr(module, "build", fails)
    with pytest.raises(OSError, match="disk full"):
        read(tmp_path)
    assert not list(tmp_path.iterdir())


def test_bodies_have_the_sizes_of_people(anatomy):
    def crown(**values):
        return body(anatomy, **{**MIDDLE, **values}).fit.crown

    assert 1.70 < crown(female=0.0) < 1.85
    assert 1.58 < crown(female=1.0) < 1.72
    assert crown(years=6.0) < 1.3
    assert crown(height=0.9) > crown(height=0.1) + 0.15


def test_weight_widens_the_waist(anatomy):
    thin, wide = (sum(body(anatomy, **{**MIDDLE, "weight": w}).fit.waist_radii) for w in (0.2, 0.9))
    assert wide > thin + 0.02


def test_measures_lie_where_they_should(anatomy):
    fit = body(anatomy, **MIDDLE).fit
    assert fit.crown > fit.head[2] > fit.chin[2] > fit.neck[2] > fit.chest[2] > fit.waist[2] > fit.hip[2]
    assert fit.chin[1] < fit.head[1]  # the face is towards -y
    for foot, sign in ((fit.foot_left, 1), (fit.foot_right, -1)):
        assert foot.toe[1] < foot.ankle[1] < foot.heel[1]
        assert sign * foot.ankle[0] > 0
        assert 0.2 < foot.heel[1] - foot.toe[1] < 0.35


def test_no_turn_is_no_change(anatomy):
    shape = body(anatomy, **MIDDLE)
    still = skinned(shape.vertices, anatomy.weights, place(shape, {}, 0.0, (0.0, 0.0)))
    assert np.allclose(still, shape.vertices, atol=1e-3)


def test_heading_and_spot_move_the_whole_body(anatomy):
    shape = body(anatomy, **MIDDLE)
    there = skinned(shape.vertices, anatomy.weights, place(shape, {}, np.pi / 2, (3.0, 4.0)))
    x, y, z = shape.vertices.T
    assert np.allclose(there, np.stack([3 - y, 4 + x, z], axis=1), atol=1e-3)


@pytest.mark.parametrize("arm", ARMS)
def test_a_posed_person_stands_on_the_ground_and_keeps_its_limbs(anatomy, arm):
    shape = body(anatomy, **MIDDLE)
    rng = np.random.default_rng(1)
    rows = np.unique(anatomy.feet)
    for _ in range(10):
        matrices = place(shape, dict(pose(shape, {"L": arm}, rng).turns), 0.3, (0.0, 0.0))
        points = skinned(shape.vertices, anatomy.weights, matrices)
        assert -0.08 < points[rows, 2].min() < 0.05
        for a, b in (("upperarm.L", "lowerarm.L"), ("lowerarm.L", "hand.L"), ("upperleg.R", "lowerleg.R")):
            ends = [(matrices[NAMES.index(a)] @ [*shape.joint(n), 1])[:3] for n in (a, b)]
            length = np.linalg.norm(shape.joint(a) - shape.joint(b))
            assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(length, abs=1e-3)


def test_the_hand_goes_where_the_arm_is_sent(anatomy):
    shape = body(anatomy, **MIDDLE)

    def hand(arm, side="L"):
        heights = []
        for seed in range(8):
            turns = dict(pose(shape, {side: arm}, np.random.default_rng(seed)).turns)
            matrices = place(shape, turns, 0.0, (0.0, 0.0))
            heights.append((matrices[NAMES.index(f"hand.{side}")] @ [*shape.joint(f"hand.{side}"), 1])[:3])
        return np.mean(heights, axis=0)

    assert hand("ear")[2] > shape.fit.chin[2] - 0.15
    assert hand("carry")[2] < shape.fit.hip[2] + 0.05
    assert hand("hold")[1] < hand("carry")[1] - 0.15
    assert hand("ear", "R")[0] < 0 < hand("ear")[0]


def test_walking_legs_part(anatomy):
    shape = body(anatomy, **MIDDLE)
    spread = {"walk": [], "stand": []}
    rng = np.random.default_rng(0)
    for _ in range(60):
        moment = pose(shape, {}, rng)
        matrices = place(shape, dict(moment.turns), 0.0, (0.0, 0.0))
        feet = [(matrices[NAMES.index(f"foot.{s}")] @ [*shape.joint(f"foot.{s}"), 1])[1] for s in "LR"]
        spread.get(moment.name, []).append(abs(feet[0] - feet[1]))
    assert np.max(spread["walk"]) > 0.35
    assert np.max(spread["stand"]) < 0.3
