"""A run's state on disk: written whole or not at all, read without running code."""

from __future__ import annotations

import io
import os
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from autoreid_deploy.errors import InputError

_SHARED = ("config", "network", "optimiser", "epoch", "step", "sums", "history")


@dataclass(frozen=True)
class Kind:
    """What sort of run a checkpoint is of.

    Attributes:
        format: mark in the file.
        command: what writes it.
        keys: what must be in it.
    """

    format: str
    command: str
    keys: frozenset[str]


RETRAINING = Kind(
    "autoreid-checkpoint/1",
    "python -m search retrain",
    frozenset((*_SHARED, "genotype", "people", "data", "average")),
)
SEARCH = Kind(
    "autoreid-search/1",
    "python -m search run",
    frozenset((*_SHARED, "table", "people", "alphas", "centres", "alpha_optimiser", "curves")),
)


def save(state: dict[str, Any], path: Path, kind: Kind = RETRAINING) -> None:
    """Write through a temporary file, so that a kill at any moment leaves the old file or the new one.

    Args:
        state: tensors and plain types under the keys of its kind.
        path: replaced.
        kind: of the run.

    Raises:
        OSError: the disk is full or refuses; the old file stays.
    """
    packed = io.BytesIO()  # torch's own writer ends the process where a disk is full
    torch.save({"format": kind.format, **state}, packed)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(packed.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def load(path: str | Path, kind: Kind = RETRAINING) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; tensors and plain types only, so a file from elsewhere can run nothing.

    Raises:
        InputError: the file is missing or is no checkpoint of ours.
    """
    expected = f"{path}: expected a checkpoint of {kind.command} ({kind.format})"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch muses about files that it is about to refuse
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint; make one with: {kind.command}") from None
    except Exception as error:  # torch raises whatever comes up in a file that is none of its own
        raise InputError(f"{expected}; {_reason(error)}") from error
    if not isinstance(state, dict) or state.get("format") != kind.format:
        other = [
            k.command
            for k in (RETRAINING, SEARCH)
            if isinstance(state, dict) and state.get("format") == k.format
        ]
        raise InputError(f"{expected}, got {f'one of {other[0]}' if other else 'another file'}")
    if missing := kind.keys - state.keys():
        raise InputError(f"{expected}; it lacks {', '.join(sorted(missing))}")
    return state


def _reason(error: Exception) -> str:
    """The first line of torch's page of advice, some of which tells how to run a stranger's code."""
    if isinstance(error, pickle.UnpicklingError):
        return "this is no file of tensors and plain values alone"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
