"""Calls of several threads that share one transaction: it is the sync to the disk that takes the time.

Whoever comes first writes, and whoever comes meanwhile waits. The next of them writes for all who wait, through its
own connection, with one sync.
"""

import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from autoreid_deploy.errors import GalleryError

SHARED_ROWS = (
    1024  # rows from which on a transaction takes no further call in, so that nobody waits for many bulks
)


class Writer(Protocol):
    """What a call writes through."""

    def write(self) -> contextlib.AbstractContextManager[None]:
        """Begin a transaction."""

    def savepoint(self) -> contextlib.AbstractContextManager[None]:
        """Begin a part of it that may fail alone."""

    @property
    def is_busy(self) -> bool:
        """Whether the transaction is going on."""


W = TypeVar("W", bound=Writer)


@dataclass(eq=False)
class _Call:
    act: Callable[..., list[int]]
    size: int
    ids: list[int] | None = None
    error: Exception | None = None
    is_done: bool = False


class Group:
    """The writers of one file in this process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_written = False
        self._waiting: deque[_Call] = deque()

    def run(self, writer: W, act: Callable[[W], list[int]], size: int) -> list[int]:
        """Let a call be done, by this thread or another; returns when what it wrote is durable.

        Args:
            writer: through which this thread writes for all, if it is its turn.
            act: writes so many rows through the writer that it is given, and returns their ids.
            size: how many rows.

        Raises:
            GalleryError: the file can't be written; so does every call of the same transaction.
            Exception: what `act` raised; the others are not affected.
        """
        call = _Call(act, size)
        with self._changed:
            self._waiting.append(call)
        while not call.is_done and self._is_my_turn(call):
            try:
                self._write(writer, call)
            finally:
                with self._changed:
                    self._is_written = False
                    self._changed.notify_all()
        if call.error is not None:
            raise call.error
        assert call.ids is not None
        return call.ids

    def _is_my_turn(self, call: _Call) -> bool:
        """Wait until nobody writes, or somebody has done the call; says which."""
        with self._changed:
            self._changed.wait_for(lambda: call.is_done or not self._is_written)
            if call.is_done:
                return False
            self._is_written = True
            return True

    def _write(self, writer: Writer, own: _Call) -> None:
        calls = list(self._next())
        try:
            with writer.write():
                for call in calls:
                    _try(call, writer)
        except GalleryError as error:
            for call in calls:
                call.error = call.error or GalleryError(str(error))
        except BaseException:  # this thread is stopped: the next one does what others have asked for
            self._waiting.extendleft(call for call in reversed(calls) if call is not own)
            raise
        for call in calls:  # not before: what is not durable is not done
            call.is_done = True

    def _next(self) -> Iterator[_Call]:
        size = 0
        while self._waiting and size < SHARED_ROWS:
            call = self._waiting.popleft()
            size += call.size
            yield call


def _try(call: _Call, writer: Writer) -> None:
    call.error = None
    try:
        with writer.savepoint():
            call.ids = call.act(writer)
    except Exception as error:
        if not writer.is_busy:  # a full disk ends the whole transaction
            raise
        call.error = error


_groups: "weakref.WeakValueDictionary[tuple[int, int, int], Group]" = weakref.WeakValueDictionary()
_known = threading.Lock()


def group_of(path: Path) -> Group:
    """The group of a file: the same one for all who have it open in this process."""
    status = path.stat()
    key = (os.getpid(), status.st_dev, status.st_ino)
    with _known:
        return _groups.setdefault(key, Group())
