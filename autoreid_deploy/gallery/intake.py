"""Takes crops into a gallery: embeds what is new, skips what is known, keeps what is done."""

import contextlib
import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.embedder import Embedder
from autoreid_deploy.errors import CropError, GalleryError
from autoreid_deploy.gallery.gallery import Gallery
from autoreid_deploy.gallery.store import Stamp, Stored
from autoreid_deploy.records import Record

# What a killed process may have to do again. A transaction costs SQLite about a millisecond.
COMMIT_CROPS = 256
COMMIT_SECONDS = 1.0


@dataclass
class Tally:
    """What became of the crops so far; all that is counted as kept is committed.

    Attributes:
        embedded: new crops, and known ones whose content changed.
        copied: new paths of a content that was known already.
        unchanged: crops that the gallery knew.
        failures: (crop, reason) of those that could not be read.
    """

    embedded: int = 0
    copied: int = 0
    unchanged: int = 0
    failures: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _File:
    record: Record
    stamp: Stamp


class Intake:
    """Takes crops into a gallery.

    Each transaction holds a few hundred crops or a second of work. Whatever ends the work, finished crops are
    kept, and taking the same records again goes on where it stopped: a crop whose size and time of change are
    known is skipped, one whose content is known under this or another path is not embedded again.

    Args:
        gallery: takes the rows.
        embedder: makes them.
        strict: raise at the first crop that can't be read instead of noting it.
        advance: called with a number of crops that are done with, for a progress bar.
    """

    def __init__(
        self,
        gallery: Gallery,
        embedder: Embedder,
        *,
        strict: bool = False,
        advance: Callable[[int], object] = lambda count: None,
    ) -> None:
        self.tally = Tally()
        self._gallery = gallery
        self._embedder = embedder
        self._strict = strict
        self._advance = advance
        self._rows: list[tuple[_File, NDArray[np.float32]]] = []
        self._copies: list[_File] = []
        self._left: list[_File] = []
        self._updates: list[tuple[int, _File]] = []
        self._unreadable: dict[str, str] = {}
        self._committed = time.monotonic()

    def take(self, records: Iterable[Record]) -> Tally:
        """Take crops in.

        Raises:
            CropError: with `strict`, a crop can't be read.
            GalleryError: the gallery can't be written.
        """
        known = {row.record.path: row for row in self._gallery.store.stored()}
        try:
            self._embed(self._news(records, known))
            # The original of a copy may have come later, or never: unreadable, or replaced (swapped names).
            self._copies, self._left = self._left, []
            self._commit()
            self._embed(self._leftovers(self._left))
        except GalleryError:
            raise  # nothing more can be written
        except BaseException:
            self._commit()
            raise
        return self.tally

    def _news(self, records: Iterable[Record], known: Mapping[Path, Stored]) -> Iterator[tuple[_File, bytes]]:
        """Give the files to embed and their content; the others are settled on the way."""
        digests = {row.stamp.digest for row in known.values() if row.stamp}
        for record in records:
            record = replace(record, path=Path(os.path.abspath(record.path)))  # noqa: PTH100  (keeps links)
            old = known.get(record.path)
            try:
                if old and old.stamp and _is_untouched(record.path, old.stamp):
                    if old.record != record:
                        self._updates.append((old.id, _File(record, old.stamp)))
                    self._settle_unchanged()
                    continue
                file, content = _read(record)
            except OSError as error:
                self._fail(record, error)
                continue
            if old and old.stamp and old.stamp.digest == file.stamp.digest:
                self._updates.append((old.id, file))
                self._settle_unchanged()
            elif file.stamp.digest in digests:
                self._copies.append(file)
                self._advance(1)
                self._commit_if_due()
            else:
                digests.add(file.stamp.digest)
                yield file, content

    def _leftovers(self, files: Sequence[_File]) -> Iterator[tuple[_File, bytes]]:
        for file in files:
            self._advance(-1)
            if file.stamp.digest in self._unreadable:
                self._fail(file.record, self._unreadable[file.stamp.digest])
                continue
            try:
                yield _read(file.record)
            except OSError as error:
                self._fail(file.record, error)

    def _embed(self, files: Iterator[tuple[_File, bytes]]) -> None:
        waiting: deque[_File] = deque()

        def contents() -> Iterator[bytes]:
            for file, content in files:
                waiting.append(file)
                yield content

        with contextlib.closing(self._embedder.stream(contents())) as batches:
            for batch in batches:
                reasons = {failure.index - batch.start: failure.reason for failure in batch.failures}
                for index, row in enumerate(batch.rows):
                    file = waiting.popleft()
                    if index in reasons:
                        self._unreadable[file.stamp.digest] = reasons[index]
                        self._fail(file.record, reasons[index])
                    else:
                        self._rows.append((file, row))
                        self._advance(1)
                self._commit_if_due()
        self._commit()

    def _settle_unchanged(self) -> None:
        self.tally.unchanged += 1
        self._advance(1)
        self._commit_if_due()

    def _fail(self, record: Record, cause: OSError | str) -> None:
        reason = cause if isinstance(cause, str) else (cause.strerror or str(cause)).lower()
        if self._strict:
            raise CropError(str(record.path), reason)
        self.tally.failures.append((record.path, reason))
        self._advance(1)

    def _commit_if_due(self) -> None:
        waiting = len(self._rows) + len(self._copies) + len(self._updates)
        if waiting >= COMMIT_CROPS or time.monotonic() - self._committed > COMMIT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        if self._rows or self._copies or self._updates:
            with self._gallery.store.write():
                for id, file in self._updates:
                    self._gallery.store.update(id, file.record, file.stamp)
                files = [file for file, _ in self._rows]
                if files:
                    rows = np.stack([row for _, row in self._rows])
                    self._gallery.add([f.record for f in files], rows, [f.stamp for f in files])
                left = self._copy(self._copies)
            self.tally.embedded += len(files)
            self.tally.copied += len(self._copies) - len(left)
            self._left += left
            self._rows, self._copies, self._updates = [], [], []
        self._committed = time.monotonic()

    def _copy(self, files: Sequence[_File]) -> list[_File]:
        """Insert copies; returns those whose original is not there."""
        return [file for file in files if not self._gallery.store.copy(file.record, file.stamp)]


def _is_untouched(path: Path, stamp: Stamp) -> bool:
    status = path.stat()
    return (status.st_size, status.st_mtime_ns) == (stamp.size, stamp.mtime_ns)


def _read(record: Record) -> tuple[_File, bytes]:
    """Read a file once, so that what is embedded is what was hashed."""
    with record.path.open("rb") as stream:
        status = os.fstat(stream.fileno())  # before the content: a later change then shows
        content = stream.read()
    digest = hashlib.sha256(content).hexdigest()
    return _File(record, Stamp(status.st_size, status.st_mtime_ns, digest)), content
