"""The tree behind a filter: each node judges a record in Python, and writes itself as a condition in SQL."""

import fnmatch
import functools
import json
import os
import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from autoreid_deploy.errors import InputError
from autoreid_deploy.gallery.paths import path_value
from autoreid_deploy.records import Record, read_time

MAX_LEVELS = 16
"""How deep brackets may nest. SQLite's parser has room for 100 words that wait, three for each bracket."""
_CHAIN = 32  # terms in a row; SQLite nests each in the next, 1,000 deep at most: over 32 * MAX_LEVELS


class Filter(ABC):
    """Says of a record whether it passes; made by the functions of `autoreid_deploy.gallery.filters`."""

    __slots__ = ()

    @abstractmethod
    def matches(self, record: Record) -> bool:
        """Say whether a record passes."""

    @abstractmethod
    def sql(self) -> tuple[str, list[Any]]:
        """Write the filter as a condition on the table `crop`, and its parameters.

        The condition is never NULL and stands in brackets, for a `WHERE`, an `AND` or a `NOT` before it. A
        connection must know the function of `register`.
        """

    def cameras(self) -> frozenset[str]:
        """Gather every camera that the filter names, also behind `~`."""
        named = (leaf for leaf in self._leaves() if isinstance(leaf, OneOf) and leaf.kind == "camera")
        return frozenset().union(*(leaf.values for leaf in named))

    def __and__(self, other: "Filter") -> "Filter":
        return _join("&", self, other) if isinstance(other, Filter) else NotImplemented

    def __or__(self, other: "Filter") -> "Filter":
        return _join("|", self, other) if isinstance(other, Filter) else NotImplemented

    def __invert__(self) -> "Filter":
        return Not(self)

    def __bool__(self) -> bool:
        # `camera("3") and person("7")` would forget the camera without a word.
        raise InputError("a filter is neither true nor false; join filters with &, | and ~, not and, or, not")

    @property
    def _levels(self) -> int:
        return 0

    def _leaves(self) -> "Iterator[Filter]":
        yield self


def register(connection: sqlite3.Connection) -> None:
    """Teach a connection the function that conditions with `path` call.

    SQLite's own GLOB differs from Python's: `[^a]` for `[!a]`, and bytes that are not UTF-8 count as another.
    """
    connection.create_function(_FUNCTION, 2, _fits, deterministic=True)


_FUNCTION = "path_fits"
_COLUMNS = {"camera": "camid", "person": "pid", "tracklet": "tracklet"}


@dataclass(frozen=True, slots=True, repr=False)
class OneOf(Filter):
    """One column is one of some values."""

    kind: str
    values: frozenset[str]

    def matches(self, record: Record) -> bool:
        """Look the record's value up."""
        return getattr(record, _COLUMNS[self.kind]) in self.values

    def sql(self) -> tuple[str, list[Any]]:
        """Ask the column, by its index where it has one."""
        column = _COLUMNS[self.kind]
        # One parameter for any number of values: SQLite takes 999 parameters, or 32,766 where it is newer.
        among = f"{column} IN (SELECT value FROM json_each(?))"
        return f"({column} IS NOT NULL AND {among})", [_as_json(self.values)]

    def __repr__(self) -> str:
        return f"{self.kind}({_listed(self.values)})"


@dataclass(frozen=True, slots=True, repr=False)
class Span(Filter):
    """The time lies in [start, end); None is open."""

    start: float | None
    end: float | None

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and self.start >= self.end:
            span = f"since {_told(self.start)} until {_told(self.end)}"
            raise InputError(f"expected a time range that ends after its start, got {span}")

    def matches(self, record: Record) -> bool:
        """Compare the record's time."""
        if record.time is None:
            return False
        late = self.start is None or record.time >= self.start
        return late and (self.end is None or record.time < self.end)

    def sql(self) -> tuple[str, list[Any]]:
        """Compare the column."""
        bounds = [(" AND time >= ?", self.start), (" AND time < ?", self.end)]
        known = [(term, bound) for term, bound in bounds if bound is not None]
        return f"(time IS NOT NULL{''.join(term for term, _ in known)})", [bound for _, bound in known]

    def __repr__(self) -> str:
        if self.start is None or self.end is None:
            return f"until({_told(self.end)})" if self.start is None else f"since({_told(self.start)})"
        return f"during({_told(self.start)}, {_told(self.end)})"


@dataclass(frozen=True, slots=True, repr=False)
class Like(Filter):
    """The absolute path fits one of some globs."""

    globs: frozenset[str]

    def __post_init__(self) -> None:
        try:
            _compiled(_as_json(self.globs))
        except re.error as error:
            raise InputError(f"expected globs such as '*/night/*', got {_listed(self.globs)}") from error

    def matches(self, record: Record) -> bool:
        """Compare the path as the gallery would keep it."""
        return _fits(_as_json(self.globs), path_value(record.path))

    def sql(self) -> tuple[str, list[Any]]:
        """Narrow the paths by what the globs begin with, then call the function of `register`."""
        # Bytes, since SQLite would hand on text only if it is UTF-8.
        fits, globs = f"{_FUNCTION}(?, CAST(path AS BLOB))", _as_json(self.globs)
        heads = [re.split(r"[*?[]", glob, maxsplit=1)[0] for glob in self.globs]
        start = os.fsencode(os.path.commonprefix(heads))  # noqa: RUF071  (characters are meant)
        last = start.rstrip(b"\xff")
        if not last:
            return f"({fits})", [globs]
        end = last[:-1] + bytes([last[-1] + 1])
        between = "path >= CAST(? AS TEXT) AND path < CAST(? AS TEXT)"
        return f"({between} AND {fits})", [start, end, globs]

    def __repr__(self) -> str:
        return f"path({_listed(self.globs)})"


@dataclass(frozen=True, slots=True, repr=False)
class Not(Filter):
    """What the inner filter refuses."""

    inner: Filter

    def __post_init__(self) -> None:
        _check_levels(self)

    def matches(self, record: Record) -> bool:
        """Turn the inner verdict round."""
        return not self.inner.matches(record)

    def sql(self) -> tuple[str, list[Any]]:
        """Turn the inner condition round; it is never NULL."""
        condition, values = self.inner.sql()
        return f"(NOT {condition})", values

    def __invert__(self) -> Filter:
        return self.inner

    @property
    def _levels(self) -> int:
        return self.inner._levels + 1

    def _leaves(self) -> Iterator[Filter]:
        yield from self.inner._leaves()

    def __repr__(self) -> str:
        return f"~({self.inner})" if isinstance(self.inner, Joined) else f"~{self.inner}"


@dataclass(frozen=True, slots=True, repr=False)
class Joined(Filter):
    """All of the parts (`&`) or one of them (`|`); `below` is how deep brackets nest in the deepest part."""

    sign: str
    parts: tuple[Filter, ...]
    below: int

    def __post_init__(self) -> None:
        _check_levels(self)

    def matches(self, record: Record) -> bool:
        """Ask part after part until one settles it."""
        verdicts = (part.matches(record) for part in self.parts)
        return all(verdicts) if self.sign == "&" else any(verdicts)

    def sql(self) -> tuple[str, list[Any]]:
        """Join the parts' conditions, in rows of rows where they are many."""
        word = " AND " if self.sign == "&" else " OR "
        pairs = [part.sql() for part in self.parts]
        terms = [condition for condition, _ in pairs]
        while len(terms) > 1:
            rows = (terms[i : i + _CHAIN] for i in range(0, len(terms), _CHAIN))
            terms = [f"({word.join(row)})" for row in rows]
        return terms[0], [value for _, values in pairs for value in values]

    @property
    def _levels(self) -> int:
        levels, width = self.below, len(self.parts)
        while width > 1:
            levels, width = levels + 1, -(-width // _CHAIN)
        return levels

    def _leaves(self) -> Iterator[Filter]:
        for part in self.parts:
            yield from part._leaves()

    def __repr__(self) -> str:
        inner = (f"({part})" if isinstance(part, Joined) else str(part) for part in self.parts)
        return f" {self.sign} ".join(inner)


def _join(sign: str, *filters: Filter) -> Filter:
    """Join filters; what one of them joins with the same sign becomes part of the whole."""
    parts: tuple[Filter, ...] = ()
    below = 0
    for filter in filters:
        if isinstance(filter, Joined) and filter.sign == sign:
            parts, below = parts + filter.parts, max(below, filter.below)
        else:
            parts, below = (*parts, filter), max(below, filter._levels)
    return Joined(sign, parts, below)


def _check_levels(filter: Filter) -> None:
    if filter._levels > MAX_LEVELS:
        raise InputError(
            f"expected a filter of at most {MAX_LEVELS} levels of brackets, got {filter._levels}; "
            "join what belongs together with one kind of sign, which nests nothing"
        )


@functools.lru_cache(maxsize=64)
def _compiled(globs: str) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, json.loads(globs))))


def _fits(globs: str, path: bytes) -> bool:
    return _compiled(globs).match(os.fsdecode(path)) is not None


def _as_json(values: frozenset[str]) -> str:
    return json.dumps(sorted(values))


def _listed(values: frozenset[str]) -> str:
    return ", ".join(map(repr, sorted(values)))


def _told(seconds: float | None) -> str:
    """Show a time as ISO 8601 where that is exact, else as seconds."""
    try:
        text = datetime.fromtimestamp(seconds or 0, timezone.utc).isoformat()
    except (ValueError, OverflowError, OSError):
        return repr(seconds)
    return repr(text) if read_time(text) == seconds else repr(seconds)
