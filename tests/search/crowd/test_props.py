from dataclasses import replace

import numpy as np
import pytest

from search.crowd.mesh import normals
from search.crowd.props import CATEGORIES, PROPS, Fit, Foot, make, places, skull, trunk
from search.crowd.traits import Extra

COLOURS = ((60, 40, 30), (200, 190, 170), (30, 60, 120))


def _wish(kind, colours=COLOURS, seed=0, size=0.5, side="L"):
    return Extra(kind, colours, seed, size, side)


def _foot(side: float, x: float, length: float, width: float, ankle: float, radius: float) -> Foot:
    back = 0.22 * length
    return Foot(
        (side * x, back, 0.0), (side * 0.93 * x, back - length, 0.0), (side * x, 0.0, ankle), width, radius
    )


ADULT = Fit(
    crown=1.75,
    head=(0.0, -0.054, 1.66),
    skull=(0.078, 0.105, 0.09),
    chin=(0.0, -0.142, 1.52),
    neck=(0.0, -0.012, 1.5),
    neck_radius=0.085,
    shoulder_left=(0.185, -0.02, 1.405),
    shoulder_right=(-0.185, -0.02, 1.405),
    chest=(0.0, -0.034, 1.3),
    chest_radii=(0.19, 0.138),
    waist=(0.0, -0.041, 1.13),
    waist_radii=(0.165, 0.12),
    hip=(0.0, -0.021, 0.955),
    hip_radii=(0.195, 0.137),
    foot_left=_foot(1, 0.19, 0.275, 0.094, 0.077, 0.038),
    foot_right=_foot(-1, 0.19, 0.275, 0.094, 0.077, 0.038),
    hand_height=0.8,
)
# Two ends of the crowd, as measured on bodies of theirs.
CHILD = Fit(
    crown=1.006,
    head=(0.0, -0.028, 0.937),
    skull=(0.06, 0.078, 0.069),
    chin=(0.0, -0.086, 0.842),
    neck=(0.0, -0.001, 0.832),
    neck_radius=0.052,
    shoulder_left=(0.096, -0.005, 0.769),
    shoulder_right=(-0.096, -0.005, 0.769),
    chest=(0.0, -0.019, 0.712),
    chest_radii=(0.103, 0.085),
    waist=(0.0, -0.032, 0.62),
    waist_radii=(0.104, 0.083),
    hip=(0.0, -0.023, 0.533),
    hip_radii=(0.111, 0.089),
    foot_left=_foot(1, 0.106, 0.148, 0.053, 0.043, 0.027),
    foot_right=_foot(-1, 0.106, 0.148, 0.053, 0.043, 0.027),
    hand_height=0.398,
)
LARGE = Fit(
    crown=2.0,
    head=(0.0, -0.06, 1.902),
    skull=(0.083, 0.114, 0.098),
    chin=(0.0, -0.152, 1.745),
    neck=(0.0, -0.013, 1.735),
    neck_radius=0.105,
    shoulder_left=(0.215, -0.024, 1.62),
    shoulder_right=(-0.215, -0.024, 1.62),
    chest=(0.0, -0.043, 1.5),
    chest_radii=(0.25, 0.19),
    waist=(0.0, -0.051, 1.3),
    waist_radii=(0.24, 0.19),
    hip=(0.0, -0.023, 1.1),
    hip_radii=(0.26, 0.19),
    foot_left=_foot(1, 0.22, 0.31, 0.11, 0.087, 0.045),
    foot_right=_foot(-1, 0.22, 0.31, 0.11, 0.087, 0.045),
    hand_height=0.93,
)
FITS = {"adult": ADULT, "child": CHILD, "large": LARGE, "clothed": ADULT.over(0.05)}
CARRIED = [kind for kind in CATEGORIES["hand"] if kind not in ("umbrella", "phone", "phone-ear", "cup")]


def _points(props, bone=None):
    meshes = [mesh for prop in props if bone in (None, prop.bone) for mesh, _ in prop.pieces]
    return np.concatenate([mesh.vertices for mesh in meshes]) if meshes else np.empty((0, 3), np.float32)


def _triangles(props):
    return sum(len(mesh.faces) for prop in props for mesh, _ in prop.pieces)


@pytest.mark.parametrize("kind", PROPS)
@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_every_kind_fits_every_body(kind, fit):
    for seed in range(12):
        wish = _wish(kind, COLOURS[: 1 + seed % 3], seed, seed / 11, "LR"[seed % 2])
        props = make(wish, fit)
        assert any(prop.pieces for prop in props)
        for prop in props:
            assert prop.hangs == (prop.bone.startswith("hand") and kind != "tote")
            for mesh, material in prop.pieces:
                assert np.isfinite(mesh.vertices).all() and np.isfinite(mesh.uv).all()
                assert np.isfinite(normals(mesh.vertices, mesh.faces)).all()
                assert mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.vertices)
                assert all(0 <= c <= 1 for c in material.colour)
                if material.texture is not None:
                    assert material.texture.dtype == np.uint8
                    assert material.texture.shape[2] in (3, 4)
                    assert all(size in (4, 16, 32, 64, 128) for size in material.texture.shape[:2])


@pytest.mark.parametrize("kind", PROPS)
def test_triangles_stay_within_their_budget(kind):
    pair = PROPS[kind].category == "shoes"
    for seed in range(40):
        props = make(_wish(kind, seed=seed, size=seed / 39), ADULT)
        assert _triangles(props) <= (2 * 200 if pair else 400)


@pytest.mark.parametrize("kind", PROPS)
@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_props_stay_near_their_bone(kind, fit):
    unit = max(fit.crown / 1.75, 0.75)
    centres = {
        "head": (fit.head, 0.62),
        "chest": (fit.chest, 0.8),
        "pelvis": (fit.hip, 0.4),
        "foot.L": (fit.foot_left.ankle, 0.32),
        "foot.R": (fit.foot_right.ankle, 0.32),
        "lowerleg.L": (fit.foot_left.ankle, 0.5),
        "lowerleg.R": (fit.foot_right.ankle, 0.5),
    }
    for seed in range(12):
        for prop in make(_wish(kind, seed=seed, size=seed / 11), fit):
            centre, reach = centres.get(prop.bone, ((0.0, 0.0, 0.0), 1.5 / min(unit, 1)))
            points = _points([prop])
            if len(points):
                assert np.linalg.norm(points - np.array(centre), axis=1).max() < reach * unit


@pytest.mark.parametrize("kind", PROPS)
def test_the_same_wish_is_the_same_prop(kind):
    first, again = make(_wish(kind, seed=7), ADULT), make(_wish(kind, seed=7), ADULT)
    np.testing.assert_array_equal(_points(first), _points(again))
    for one, other in zip(first, again, strict=True):
        for (_, material), (_, same) in zip(one.pieces, other.pieces, strict=True):
            assert material.colour == same.colour
            np.testing.assert_array_equal(material.texture, same.texture)


@pytest.mark.parametrize("kind", PROPS)
def test_two_seeds_differ(kind):
    first, other = (_points(make(_wish(kind, seed=seed), ADULT)) for seed in (1, 2))
    assert first.shape != other.shape or np.abs(first - other).max() > 1e-4


@pytest.mark.parametrize("kind", CATEGORIES["hair"])
@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_hair_leaves_the_face_free(kind, fit):
    for seed in range(30):
        x, y, z = _points(make(_wish(kind, seed=seed, size=seed / 29), fit)).T
        eyes = fit.head[2] - 0.08 * skull.tall(fit)
        face = (np.abs(x) < 0.55 * fit.skull[0]) & (y < fit.head[1] - 0.5 * fit.skull[1])
        assert not (face & (z < eyes) & (z > fit.chin[2])).any()


@pytest.mark.parametrize("kind", [k for k in CATEGORIES["hair"] if k != "hair-receding"])
def test_hair_covers_the_crown_and_has_volume(kind):
    for seed in range(10):
        top = _points(make(_wish(kind, seed=seed), ADULT))[:, 2].max()
        assert ADULT.crown + 0.003 < top < ADULT.crown + 0.16


@pytest.mark.parametrize("kind", CATEGORIES["hair"])
def test_hats_press_hair_down_or_hide_it(kind):
    for seed in range(5):
        assert make(_wish(kind, seed=seed), ADULT, hat="headscarf") == ()
        assert _points(make(_wish(kind, seed=seed), ADULT, hat="cap"))[:, 2].max() < ADULT.crown + 0.01


@pytest.mark.parametrize("kind", ["cap", "beanie", "brim", "helmet"])
def test_hats_lie_over_pressed_hair(kind):
    for seed in range(10):
        hat = _points(make(_wish(kind, seed=seed), ADULT))
        hair = _points(make(_wish("hair-short", seed=seed), ADULT, hat=kind))
        assert hat[:, 2].max() > hair[:, 2].max()


@pytest.mark.parametrize("kind", CATEGORIES["shoes"])
@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_shoes_are_a_pair_on_the_ground_around_both_feet(kind, fit):
    for seed in range(6):
        props = make(_wish(kind, seed=seed, size=seed / 5), fit)
        left, right = _points(props, "foot.L"), _points(props, "foot.R")
        np.testing.assert_allclose(np.sort(left[:, 0]), np.sort(-right[:, 0]), atol=2e-3)
        assert -0.006 < left[:, 2].min() < 0.001
        foot = fit.foot_left
        length = foot.heel[1] - foot.toe[1]
        assert abs(np.ptp(left[:, 1]) - length) < 0.15 * length
        assert foot.width < np.ptp(left[:, 0]) < 1.6 * foot.width


@pytest.mark.parametrize("kind", [*CATEGORIES["back"], *CATEGORIES["bag"]])
@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_bags_touch_the_trunk_and_hang_from_the_shoulders(kind, fit):
    for seed in range(10):
        wish = _wish(kind, seed=seed, size=seed / 9, side="LR"[seed % 2])
        (bag, _), *rest = make(wish, fit)[0].pieces
        bag_points = bag.vertices
        z = np.clip(bag_points[:, 2], fit.hip[2], fit.neck[2])
        axis, wide, fore, back = trunk.middle(fit, z)
        # How far the nearest of it is from the trunk's skin, along the ray from the trunk's axis.
        dx, dy = bag_points[:, 0] / wide, (bag_points[:, 1] - axis)
        gap = (np.hypot(dx, dy / np.where(dy > 0, back, fore)) - 1) * np.minimum(wide, back)
        assert gap.min() < 0.03
        strap = np.concatenate([mesh.vertices for mesh, _ in rest])
        over = strap[np.abs(strap[:, 1] - fit.shoulder_left[1]) < 0.05]
        assert over[:, 2].max() > fit.shoulder_left[2]


@pytest.mark.parametrize("kind", CARRIED)
@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_what_hands_carry_clears_the_ground(kind, fit):
    for seed in range(10):
        low = _points(make(_wish(kind, seed=seed, size=seed / 9), fit))[:, 2].min()
        level = kind in ("pram", "shopping-trolley")  # gripped at the height of a level forearm
        assert low > (-fit.shoulder_left[2] if level else -fit.hand_height - 0.035)


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_a_trolley_reaches_the_ground_behind_the_hand(fit):
    for seed in range(10):
        points = _points(make(_wish("trolley", seed=seed, size=seed / 9), fit))
        low = points[points[:, 2].argmin()]
        assert abs(low[2] + fit.hand_height + 0.03) < 0.05
        assert low[1] > 0.1


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_an_open_umbrella_clears_the_head(fit):
    for seed in range(10):
        (prop,) = make(_wish("umbrella", seed=seed, size=seed / 9), fit)
        canopy = prop.pieces[0][0].vertices
        # The grip is held about the height of the shoulder.
        assert np.median(canopy[:, 2]) > fit.crown - fit.shoulder_left[2]


def test_places_name_the_side():
    assert places(_wish("cup", side="R")) == {"hand.R"}
    assert places(_wish("tote", side="L")) == {"shoulder.L", "hand.L"}
    assert places(_wish("pram")) == {"hand.L", "hand.R"}
    assert places(_wish("backpack")) == {"back"}


@pytest.mark.parametrize("kind", CATEGORIES["hand"])
@pytest.mark.parametrize("side", ["L", "R"])
def test_props_in_hands_take_the_hands_they_say(kind, side):
    wish = _wish(kind, side=side)
    props = make(wish, ADULT)
    assert {prop.bone for prop in props} == places(wish)
    assert all(prop.pose for prop in props)


def test_every_kind_has_one_category():
    assert sorted(kind for kinds in CATEGORIES.values() for kind in kinds) == sorted(PROPS)


def test_cloth_widens_the_trunk_only():
    clothed = ADULT.over(0.03)
    assert clothed.chest_radii == pytest.approx((0.22, 0.168))
    assert clothed.cloth == 0.03
    assert (
        replace(
            clothed,
            chest_radii=ADULT.chest_radii,
            waist_radii=ADULT.waist_radii,
            hip_radii=ADULT.hip_radii,
            cloth=0.0,
        )
        == ADULT
    )
