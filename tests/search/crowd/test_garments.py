import numpy as np
import pytest

from search.crowd.body import body, place
from search.crowd.garments import CUTS, Tailor, dress
from search.crowd.shell import lines, whole
from search.crowd.wardrobe import Garment

MIDDLE = {"female": 0.5, "years": 30.0, "height": 0.5, "weight": 0.5, "muscle": 0.5, "proportions": 0.5}


@pytest.fixture(scope="module")
def tailor(anatomy):
    return Tailor.of(anatomy)


def garment(kind, **changes):
    values = {
        "colours": ((90, 90, 120), (200, 200, 200)),
        "pattern": "plain",
        "seed": 1,
        "looseness": 0.5,
        "length": 0.5,
        "sleeve": 1.0,
        "open": False,
    }
    return Garment(kind=kind, **{**values, **changes})


def test_a_cut_ends_where_it_should(anatomy):
    at = lines(anatomy)
    shell = whole(anatomy.tights)
    for least in (-0.7, -0.3, 0.1, 0.5):
        part = shell.cut(at.height, least)
        assert len(part.faces) > 0
        assert part.of(at.height).min() >= least - 1e-3
        assert part.faces.max() == len(part.first) - 1


def test_two_halves_of_a_cut_cover_the_whole(anatomy):
    at = lines(anatomy)
    shell = whole(anatomy.tights)

    def area(part):
        a, b, c = (part.of(anatomy.template)[part.faces[:, i]] for i in range(3))
        return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2

    halves = area(shell.cut(at.height, 0.2)) + area(shell.cut(-at.height, -0.2))
    assert halves == pytest.approx(area(shell), rel=1e-3)


@pytest.mark.parametrize("kind", CUTS)
def test_every_garment_is_cut_for_every_body(tailor, anatomy, kind):
    for values in (
        MIDDLE,
        {**MIDDLE, "years": 5.0},
        {**MIDDLE, "weight": 0.95, "female": 1.0, "height": 0.9},
    ):
        shape = body(anatomy, **values)
        for length, looseness, is_open in ((0.0, 0.0, False), (1.0, 1.0, True)):
            made = garment(kind, length=length, looseness=looseness, open=is_open, sleeve=length)
            pieces = dress(tailor, shape, (200, 160, 130), (made,), True)
            matrices = place(shape, {}, 0.0, (0.0, 0.0))
            for piece in pieces:
                mesh, _ = piece.posed(matrices)
                assert np.isfinite(mesh.vertices).all() and np.isfinite(mesh.normals).all()
                assert mesh.vertices[:, 2].min() > -0.1 and mesh.vertices[:, 2].max() < shape.fit.crown + 0.1
                assert np.linalg.norm(piece.vertices[:, :2], axis=1).max() < 1.2


@pytest.mark.parametrize("kind", ["jacket", "coat", "puffer", "hoodie"])
def test_what_is_worn_later_lies_outside(tailor, anatomy, kind):
    shape = body(anatomy, **MIDDLE)
    inner, outer = garment("t-shirt", looseness=0.2), garment(kind, looseness=0.2)
    alone = dress(tailor, shape, (200, 160, 130), (inner,), False)
    both = dress(tailor, shape, (200, 160, 130), (inner, outer), False)
    shirt = max(alone, key=lambda piece: len(piece.faces) if piece.material.texture is not None else 0)
    coat = both[len(alone)]

    def depth(piece, z=1.2):
        near = piece.vertices[np.abs(piece.vertices[:, 2] - z) < 0.05]
        near = near[np.abs(near[:, 0]) < 0.06]
        return near[:, 1].min(), near[:, 1].max()

    assert depth(coat)[0] < depth(shirt)[0]
    assert depth(coat)[1] > depth(shirt)[1]


def test_length_and_sleeve_are_obeyed(tailor, anatomy):
    shape = body(anatomy, **MIDDLE)

    def lowest(kind, **changes):
        pieces = dress(tailor, shape, (200, 160, 130), (garment(kind, **changes),), False)
        return min(
            p.vertices[:, 2].min() for p in pieces if p.material.texture is not None and len(p.faces) > 500
        )

    assert lowest("coat", length=1.0) < lowest("coat", length=0.0) - 0.2
    assert lowest("shorts", length=0.5) > 0.3

    def bare(sleeve):
        top = garment("t-shirt", sleeve=sleeve)
        return sum(
            len(p.faces)
            for p in dress(tailor, shape, (200, 160, 130), (top,), False)
            if p.material.texture is None
        )

    assert bare(0.3) > bare(1.0)
