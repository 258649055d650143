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

from autoreid_deploy.errors import InputError
from autoreid_deploy.records import Record
from search.distributed import gather
from search.files import replacing


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
