"""Decoded crops: in memory, or in files that several trainings read at once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.crops import read_crop, resize_crop
from autoreid_deploy.errors import CropError

Tick = Callable[[int], object]
Failures = dict[int, CropError]
_VERSION = 1  # of how crops are decoded and resized; another one reads no older file
_AHEAD = 1024  # crops decoded before they are stored


class Images(Protocol):
    """(N, H, W, 3) uint8 RGB: an array, or `Pixels`."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: Any, /) -> Any:
        """The crops of an index array or a slice, as an array."""
        ...


@dataclass(frozen=True)
class Pixels:
    """Crops of several arrays, read as one.

    Attributes:
        blocks: (n, H, W, 3) uint8 each.
        block: (N,) which of them holds a crop.
        row: (N,) where in it.
    """

    blocks: tuple[NDArray[np.uint8], ...]
    block: NDArray[np.int64]
    row: NDArray[np.int64]

    def __len__(self) -> int:
        """How many crops there are."""
        return len(self.row)

    def take(self, places: Sequence[int]) -> Images:
        """Some of the crops, none of them copied: the array itself, where they are just that."""
        chosen = Pixels(self.blocks, self.block[places], self.row[places])
        whole = np.arange(len(self.blocks[0]))
        return self.blocks[0] if len(self.blocks) == 1 and np.array_equal(chosen.row, whole) else chosen

    def __getitem__(self, which: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """The crops of an index array or a slice, copied."""
        block, row = self.block[which], self.row[which]
        found = np.empty((len(row), *self.blocks[0].shape[1:]), np.uint8)
        for number in np.unique(block):
            here = block == number
            found[here] = self.blocks[number][row[here]]
        return found


def decode_crops(
    paths: Sequence[Path], images: NDArray[np.uint8], tick: Tick, *, strict: bool = False
) -> Failures:
    """Decode and resize crops into an array.

    Args:
        paths: N pictures.
        images: (N, H, W, 3) uint8; filled, but for the crops that can't be read.
        tick: called with the number of crops that were done since the last call.
        strict: refuse the first crop that can't be read.

    Returns:
        The crops that can't be read, by their place.

    Raises:
        CropError: with `strict`, a crop can't be read.
    """
    size: tuple[int, int] = images.shape[1:3]

    def read(path: Path) -> NDArray[np.uint8] | CropError:
        try:
            return resize_crop(read_crop(path), *size)
        except CropError as error:
            if strict:
                raise
            return error

    failures: Failures = {}
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), _AHEAD):
            for i, image in enumerate(pool.map(read, paths[start : start + _AHEAD]), start):
                if isinstance(image, CropError):
                    failures[i] = image
                else:
                    images[i] = image
                tick(1)
    return failures


def read_crops(
    paths: Sequence[Path], size: tuple[int, int], cache: Path | None, tick: Tick, *, strict: bool = False
) -> tuple[NDArray[np.uint8], Failures]:
    """Decode crops into memory, or once and for all into a file that is mapped into memory.

    The file's name is a digest of all paths, sizes and times of change, so a folder that has changed gets a file of its
    own. Processes that map the same file share its memory.

    Args:
        paths: N pictures.
        size: (height, width).
        cache: where such files lie; made if it is missing, and free to be deleted between two runs.
        tick: as in `decode_crops`.
        strict: as in `decode_crops`.

    Returns:
        (N, H, W, 3) uint8, and the crops that can't be read, by their place.

    Raises:
        CropError: with `strict`, a crop can't be read.
    """
    shape = (len(paths), *size, 3)
    if cache is None:
        images = np.empty(shape, np.uint8)
        return images, decode_crops(paths, images, tick, strict=strict)
    cache.mkdir(parents=True, exist_ok=True)
    file = cache / f"{_digest(paths, size)}.npy"
    if file.exists():
        tick(len(paths))
    else:
        with _own_file(file) as temporary:
            images = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
            failed = decode_crops(paths, images, tick, strict=strict)
            images.flush()
            # Before the crops, whose being there says that all is.
            with _own_file(file.with_suffix(".json")) as beside:
                reasons = {str(i): error.reason for i, error in failed.items()}
                beside.write_text(json.dumps(reasons), encoding="utf-8")
    told = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    failures = {int(i): CropError(str(paths[int(i)]), reason) for i, reason in told.items()}
    if strict and failures:
        raise next(iter(failures.values()))
    # Copy on write: torch wants arrays that may be written, and nobody writes.
    return np.load(file, mmap_mode="c"), failures


@contextmanager
def _own_file(path: Path) -> Iterator[Path]:
    """Another name to write to, this process's own: two that build the same file do not meet."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _digest(paths: Sequence[Path], size: tuple[int, int]) -> str:
    told = hashlib.sha256(f"{_VERSION} {size}".encode())
    for path in paths:
        try:
            stat = path.stat()
            state = f"{stat.st_size} {stat.st_mtime_ns}"
        except OSError:
            state = "missing"
        told.update(f"\0{path.absolute()}\0{state}".encode(errors="surrogateescape"))
    return told.hexdigest()[:24]
