"""Hair: one sheet from the crown to a hairline, thick in between, its strands ending unevenly; and tails and buns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search.crowd.mesh import Material, Mesh, Piece, grid, merged
from search.crowd.props import cover, skull, tied, trunk
from search.crowd.props.build import colour, linear, plain, shade, smooth
from search.crowd.props.parts import Fit, Prop
from search.crowd.traits import Extra

Numbers = NDArray[np.float64]
_TURN = np.pi / 180

# Angles from the middle of the forehead, closer where face meets hair.
_AROUND = np.array([0, 18, 34, 48, 60, 72, 84, 96, 110, 128, 152, 180]) * _TURN
_AROUND = np.concatenate([_AROUND, 2 * np.pi - _AROUND[-2:0:-1]])


@dataclass(frozen=True)
class Cut:
    """A haircut; drops as in `skull.on`.

    Attributes:
        fore: drop of the edge over the forehead.
        temple: drop at the temples, 48 degrees off the middle.
        side: drop before the ear.
        ear: drop above (below 1.1) or beyond the ear.
        nape: drop at the back of the neck.
        top: metres of volume on the crown.
        around: metres of volume at the sides and the back.
        flow: 0 to cling to the head, 1 to fall straight.
        rough: unevenness of the volume, as a share of it.
        strands: kind of texture.
        part: 0 none, -1 or 1 a parting on the right or the left.
        bare: drop down to which the crown is bald, 0 for nowhere.
    """

    fore: float = 0.7
    temple: float = 0.72
    side: float = 1.3
    ear: float = 1.1
    nape: float = 1.75
    top: float = 0.024
    around: float = 0.013
    flow: float = 0.0
    rough: float = 0.15
    strands: str = "straight"
    part: float = 0.0
    bare: float = 0.0


def make(extra: Extra, fit: Fit, rng: np.random.Generator, worn: str = "free") -> tuple[Prop, ...]:
    """Hair of a kind.

    Args:
        extra: what is wanted; `size` is its length or its volume.
        fit: the body's measures.
        rng: draws of this prop.
        worn: `free`, `flat` under a hat, or `hidden`.
    """
    if worn == "hidden":
        return ()
    cut = _cut(extra, rng)
    if worn == "flat":
        cut = replace(cut, top=min(cut.top, 0.004), part=0.0)
    material = _material(extra, cut.strands, rng)
    meshes = [
        _sheet(
            cut, fit, rng, flat=worn == "flat", rows=7 if extra.kind in ("hair-ponytail", "hair-bun") else 10
        )
    ]
    pieces: list[Piece] = []
    if extra.kind == "hair-ponytail":
        tails, ties = tied.tails(extra, fit, rng, worn)
        meshes += tails
        pieces.append((merged(ties), plain(colour(extra, 2, shade(extra.colours[0], 0.5)))))
    elif extra.kind == "hair-bun":
        meshes.append(tied.bun(extra, fit, rng, worn))
    pieces.insert(0, (merged(meshes), material))
    return (Prop(tuple(pieces), "head"),)


def _material(extra: Extra, strands: str, rng: np.random.Generator) -> Material:
    texture = cover.strands(strands, int(rng.integers(0, 6)))
    gloss = 0.08 if strands in ("curly", "cropped") else 0.2
    if len(extra.colours) > 1 and extra.colours[1] != extra.colours[0]:
        # Dyed: tips or streaks of the second colour.
        v = np.linspace(0, 1, cover.SIZE)[:, None, None]
        share = np.clip((v - 0.45) * 3, 0, 1) if rng.random() < 0.6 else rng.random((1, cover.SIZE, 1)) < 0.3
        tint = (1 - share) * np.array(extra.colours[0]) + share * np.array(extra.colours[1])
        dyed = (texture[..., :3] / 255 * tint).clip(0, 255).astype(np.uint8)
        return Material(texture=np.concatenate([dyed, texture[..., 3:]], axis=2), gloss=gloss)
    return Material(colour=linear(extra.colours[0]), texture=texture, gloss=gloss)


def _cut(extra: Extra, rng: np.random.Generator) -> Cut:
    size, kind = extra.size, extra.kind
    part = float(rng.choice([-1.0, 0.0, 1.0]))
    fringe = rng.random() < 0.4
    fore = float(rng.uniform(0.86, 1.0) if fringe else rng.uniform(0.64, 0.74))
    temple = float(rng.uniform(0.64, 0.76))
    volume = 0.012 + 0.02 * size
    if kind == "hair-short":
        ear = float(rng.uniform(1.05, 1.3))
        return Cut(
            fore,
            temple,
            1.25 + 0.2 * rng.random(),
            ear,
            1.6 + 0.3 * rng.random(),
            0.016 + volume,
            0.7 * volume,
            rough=0.25,
            part=part,
            strands=str(rng.choice(["straight", "straight", "wavy", "curly"])),
        )
    if kind == "hair-crop":
        return Cut(
            min(fore, 0.7),
            temple - 0.06 * rng.random(),
            1.15,
            1.02,
            1.45 + 0.25 * rng.random(),
            0.009 + 0.012 * size,
            0.007 + 0.003 * size,
            rough=0.1,
            strands="cropped",
        )
    if kind == "hair-receding":
        if rng.random() < 0.5:  # a bald crown with a rim of hair
            bare = float(rng.uniform(0.55, 0.85))
            return Cut(
                0.0, 0.0, 1.2, 1.1, 1.7, 0.006, 0.006 + 0.01 * size, rough=0.2, strands="cropped", bare=bare
            )
        return Cut(0.5 - 0.25 * rng.random(), 0.3, 1.2, 1.08, 1.65, 0.012, 0.006 + 0.008 * size, rough=0.2)
    if kind == "hair-bob":
        end = 1.75 + 0.55 * size
        return Cut(
            fore,
            temple,
            end,
            end + 0.05,
            end + 0.1 * rng.normal(),
            0.014 + volume,
            0.012 + volume,
            0.8,
            0.15,
            str(rng.choice(["straight", "straight", "wavy"])),
            part,
        )
    if kind == "hair-long":
        end = 2.6 + 1.9 * size
        return Cut(
            fore,
            temple,
            end - 0.5 * rng.random(),
            end,
            end + 0.3,
            0.01 + volume,
            0.012 + 0.7 * volume,
            1.0,
            0.2,
            str(rng.choice(["straight", "straight", "wavy", "curly"])),
            part,
        )
    if kind == "hair-curly":
        end = 1.3 + 1.3 * size
        return Cut(
            fore,
            temple,
            end,
            end + 0.05,
            end + 0.35,
            0.026 + volume,
            0.022 + 1.2 * volume,
            0.6,
            0.45,
            "curly",
            part,
        )
    if kind == "hair-afro":
        volume = 0.035 + 0.08 * size
        return Cut(0.66, temple, 1.35, 1.5, 1.8, volume, volume, 0.5, 0.12, "curly")
    # Drawn to the back, for a ponytail or a bun.
    return Cut(fore, temple - 0.04, 1.25 + 0.2 * rng.random(), 1.08, 1.6, 0.014, 0.008, rough=0.08)


def _sheet(cut: Cut, fit: Fit, rng: np.random.Generator, *, flat: bool, rows: int) -> Mesh:
    a = _AROUND
    off_front = np.minimum(a, 2 * np.pi - a) / _TURN
    # Longer hair than to the ear leaves the face free and starts behind the temples.
    edge = np.interp(
        off_front,
        [0, 34, 48, 60, 72, 90, 105, 125, 180],
        [
            cut.fore,
            0.85 * cut.fore + 0.15 * cut.temple,
            max(cut.temple, cut.fore - 0.1),
            cut.temple + 0.12,
            0.35 * cut.temple + 0.65 * min(cut.side, cut.temple + 1.2),
            cut.side,
            cut.ear,
            (cut.ear + cut.nape) / 2,
            cut.nape,
        ],
    )
    edge += 0.035 * smooth(rng, 1, len(a), (1, 9))[0] * np.maximum(edge, 1)
    start = cut.bare * np.interp(off_front, [0, 50, 80, 180], [1.1, 1.0, 1.0, 1.05])
    if cut.bare:
        edge = np.where(off_front < 55, start, np.maximum(edge, start))
    # Rows lie closer at the edge, where thickness ends.
    t = np.concatenate([np.linspace(0, 0.86, rows - 2), [0.96, 1.0]])[:, None]
    drop = start + t * (edge - start)
    high = np.clip(1 - drop / 1.05, 0, 1)
    thick = cut.around + (cut.top - cut.around) * high**0.7
    noise = smooth(rng, rows, len(a), (4, 8)) * np.minimum(3 * t, 1)
    thick = thick * np.clip(1 + cut.rough * noise, 0.3, 2)
    if cut.part:
        way = np.abs((a - cut.part * 35 * _TURN + np.pi) % (2 * np.pi) - np.pi) / _TURN
        thick -= 0.7 * thick * np.exp(-((way / 14) ** 2)) * (drop < 0.95)
        thick += 0.3 * thick * (np.sin(a) * cut.part < 0) * high
    # All columns meet on the crown.
    thick[0] = 0.001 if cut.bare else 0.95 * thick[1].mean()
    if cut.strands == "curly":
        thick *= np.sqrt(1 - 0.75 * t**5)
    if flat:
        thick = np.where(drop < 1.15, np.minimum(thick, 0.004), thick)
    hanging = edge > 1.9
    thick[-1] = np.where(hanging, 0.6 * thick[-1], 0.002)
    thick = np.where(edge <= start, -0.012, thick)
    points = skull.on(fit, a, drop, thick, cling=1.0)
    if cut.flow:
        straight = skull.on(fit, a, drop, thick, cling=1 - cut.flow)
        points = np.where((off_front > 62)[None, :, None], straight, points)
    return _textured(trunk.outside(fit, points), a, t)


def _textured(points: Numbers, a: Numbers, t: Numbers) -> Mesh:
    mesh = grid(points.astype(np.float32), closed=True)
    u = np.append(a, 2 * np.pi) / (2 * np.pi) * 3
    uv = np.stack(np.broadcast_arrays(u, 0.985 * t), axis=-1)
    return Mesh(mesh.vertices, mesh.faces, uv.reshape(-1, 2).astype(np.float32))
