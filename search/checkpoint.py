"""A run's state on disk: written whole or not at all, read without running code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from autoreid_deploy.errors import InputError


def save(state: dict[str, Any], path: Path) -> None:
    """Write through a temporary file, so that a kill at any moment leaves the old file or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; tensors and plain types only, so a file from elsewhere can run nothing.

    Raises:
        InputError: the file is missing or is no checkpoint of ours.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint; train one with: python -m search retrain") from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: expected a checkpoint of python -m search retrain; {reason}") from error
    if not isinstance(state, dict) or state.get("format") != "autoreid-checkpoint/1":
        raise InputError(f"{path}: expected a checkpoint of python -m search retrain (autoreid-checkpoint/1)")
    return state
