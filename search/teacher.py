"""Distillation: what another network makes of the training crops, computed once, and the loss that pulls towards it.

A teacher's rows lie in one .npz file, a float16 row a crop under the crop's path: any part of the crops finds its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from autoreid_deploy.centring import group_means
from autoreid_deploy.errors import InputError
from autoreid_deploy.metrics import Evaluation
from autoreid_deploy.records import Record
from search.config import Teacher
from search.data import Crops, Labelled
from search.distributed import gather
from search.files import replacing
from search.scoring import score_people

_JUDGED = 400  # people of a source; 60,000 crops against each other would take minutes


@dataclass(frozen=True)
class TeacherRows:
    """What a teacher says of some crops.

    Attributes:
        teacher: its name and a digest of its file.
        crops: N paths, relative to `--data`.
        rows: (N, D) float16, unit rows.
    """

    teacher: str
    crops: tuple[str, ...]
    rows: NDArray[np.float16]

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, teacher=self.teacher, crops=np.array(self.crops, dtype=np.str_), rows=self.rows)

    @classmethod
    def load(cls, path: Path) -> TeacherRows:
        """Read the file.

        Raises:
            InputError: it is missing or none of ours.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                crops = tuple(file["crops"].tolist())
                return cls(str(file["teacher"]), crops, file["rows"].astype(np.float16))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; make it with: python -m search teach") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: expected rows of python -m search teach; {error}") from error


def crop_name(path: Path, root: Path) -> str:
    """What a crop is called in a file of rows."""
    return Path(os.path.relpath(path, root)).as_posix()


def rows_of(records: Sequence[Record], files: Sequence[Path], root: Path) -> NDArray[np.float16]:
    """What the teachers say of crops: the unit rows of several side by side, which is the mean of their cosines.

    Args:
        records: N crops.
        files: one a teacher.
        root: where the sources' paths start.

    Returns:
        (N, D) float16, unit rows.

    Raises:
        InputError: a file lacks a crop.
    """
    parts = []
    names = [crop_name(record.path, root) for record in records]
    for file in files:
        taught = TeacherRows.load(file)
        places = {crop: i for i, crop in enumerate(taught.crops)}
        if missing := [name for name in names if name not in places]:
            raise InputError(
                f"{file}: {len(missing)} of {len(names)} crops have no row, the first {missing[0]}; go on with "
                "python -m search teach"
            )
        parts.append(taught.rows[[places[name] for name in names]])
    side_by_side: NDArray[np.float16] = np.concatenate(parts, axis=1) * np.float16(len(parts) ** -0.5)
    return side_by_side


def taught(told: Teacher, crops: Crops, root: Path) -> NDArray[np.float16] | None:
    """What the teachers of a run say of its crops, set right as it asks for.

    Args:
        told: the run's `[teacher]`.
        crops: N crops.
        root: where the sources' paths, and those of the rows, start.

    Returns:
        (N, D) unit rows; None where nobody teaches.

    Raises:
        InputError: a file is missing, or lacks a crop.
    """
    if not told.rows:
        return None
    rows = rows_of(crops.records, [root / name for name in told.rows], root)
    if not (told.centred or told.gathered):
        return rows
    # A camera is one of its source: two sources may number theirs alike.
    cameras = crops.origins * len(crops.records) + crops.cameras()
    return corrected(
        rows, np.unique(cameras, return_inverse=True)[1], crops.labels, told.centred, told.gathered
    )


def corrected(
    rows: NDArray[np.float16],
    cameras: NDArray[np.int64],
    people: NDArray[np.int64],
    centred: bool,
    gathered: float,
) -> NDArray[np.float16]:
    """A teacher's rows, set right by what the labels know.

    A teacher that has not seen a camera takes some of its light for a part of the people: crops of one camera are too
    alike to it, and those of one person before two cameras too unlike.

    Args:
        rows: (N, D) unit rows.
        cameras: (N,) which camera took each crop.
        people: (N,) whom it shows.
        centred: take the mean row of its camera from each row.
        gathered: then draw each row to the mean of its person's rows: 0 not at all, 1 all the way.

    Returns:
        (N, D) float16, unit rows.
    """
    x = rows.astype(np.float32)
    if centred:
        x = _unit(x - group_means(x, cameras, int(cameras.max()) + 1)[0][cameras])
    if gathered:
        x = (
            np.float32(1 - gathered) * x
            + np.float32(gathered) * _unit(group_means(x, people, int(people.max()) + 1)[0])[people]
        )
    return _unit(x).astype(np.float16)


def _unit(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same rows with length 1; a row of zeros stays what it is."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return (x / np.where(length > 0, length, 1)).astype(np.float32)


@dataclass(frozen=True)
class Judgement:
    """How well a teacher's rows alone tell the people of one source apart.

    Attributes:
        source: its folder or CSV.
        people: how many were asked for.
        plain: by the rows as they are.
        centred: by the rows without what is common to their camera.
    """

    source: Path
    people: int
    plain: Evaluation
    centred: Evaluation

    def __str__(self) -> str:
        told = [
            f"rank-1 {100 * e.rank(1):5.1f} %, mAP {100 * e.mAP:5.1f} %" for e in (self.plain, self.centred)
        ]
        return f"{self.source}: {told[0]}; centred by camera {told[1]} ({self.people} people)"


def judge(listed: Sequence[Labelled], teacher: TeacherRows, root: Path) -> list[Judgement]:
    """Ask a teacher's rows who is who, source by source: what does it know of these cameras?

    Args:
        listed: crops of known people; those that the teacher has no row of are left out.
        teacher: its rows.
        root: where the sources' paths start.

    Returns:
        One a source, of up to 400 of its people, drawn by a fixed seed; none of a source that nobody passes two
        cameras of.
    """
    places = {crop: i for i, crop in enumerate(teacher.crops)}
    found = []
    for source in sorted({crop.source for crop in listed}):
        crops = [c for c in listed if c.source == source and crop_name(c.record.path, root) in places]
        if not crops or crops[0].tracked:
            continue
        rows = teacher.rows[[places[crop_name(c.record.path, root)] for c in crops]]
        people = np.unique([str(c.record.pid) for c in crops], return_inverse=True)[1]
        cameras = np.unique([str(c.record.camid) for c in crops], return_inverse=True)[1]
        level = corrected(rows, cameras, people, centred=True, gathered=0)
        asked = np.random.default_rng(0).permutation(int(people.max()) + 1)[:_JUDGED]
        chosen = np.flatnonzero(np.isin(people, asked))
        records = [crops[i].record for i in chosen]
        try:
            plain, centred = (
                score_people(x[chosen].astype(np.float32), records, people[chosen]) for x in (rows, level)
            )
        except InputError:
            continue
        found.append(Judgement(crops[0].folder, len(asked), plain, centred))
    return found


class Pupil(nn.Module):
    """The pupil's side of a distillation: a linear map into the teacher's space, which no export contains.

        loss = cosine * mean(1 - cos(W x_i, t_i)) + similarity * mean((cos(x_i, x_j) - cos(t_i, t_j))^2)

    over the crops i of this process and the crops j of all of them (the second after Tung and Mori,
    arXiv 1907.09682).

    Args:
        dim: of the pupil's embedding x.
        rows: width of the teacher's rows t.
        cosine: weight of the first term.
        similarity: weight of the second.
    """

    def __init__(self, dim: int, rows: int, cosine: float, similarity: float) -> None:
        super().__init__()
        self.project = nn.Linear(dim, rows, bias=False)
        self.cosine, self.similarity = cosine, similarity

    def forward(self, embeddings: Tensor, rows: Tensor) -> Tensor:
        """(N, dim), (N, D) unit rows -> the loss."""
        pupil, teacher = F.normalize(embeddings, dim=1), F.normalize(rows, dim=1)
        apart = 1 - (F.normalize(self.project(embeddings), dim=1) * teacher).sum(1)
        unlike = pupil @ gather(pupil).T - teacher @ gather(teacher).T
        return self.cosine * apart.mean() + self.similarity * unlike.square().mean()


def taught_rows(rows: NDArray[np.float16], part: NDArray[np.int64], device: torch.device) -> Tensor:
    """The rows of some crops, to compute with."""
    return torch.from_numpy(rows[part].astype(np.float32)).to(device)
