"""Which crops to search: camera, person, tracklet, time and path, joined with `&`, `|` and `~`.

>>> where = camera("3", "5") & ~person("0007") & since("2026-11-01T08:00")
>>> where
camera('3', '5') & ~person('0007') & since('2026-11-01T08:00:00+00:00')

A filter is a value: it never changes, equals another that is written alike, and can be a key. What is not known
passes no filter: a crop without a camera is not of camera 3, and so it is in `~camera("3")`.
"""

import os
from pathlib import Path

from autoreid_deploy.errors import InputError
from autoreid_deploy.gallery.conditions import Filter, Like, OneOf, Span, register
from autoreid_deploy.records import Moment, read_time

__all__ = ["Filter", "camera", "during", "path", "person", "register", "since", "tracklet", "until"]


def camera(*camids: str) -> Filter:
    """Pass what one of these cameras saw.

    Raises:
        InputError: no camera is given, or one is not text.
    """
    return OneOf("camera", _texts("camera", camids))


def person(*pids: str) -> Filter:
    """Pass the crops of these people.

    Raises:
        InputError: nobody is given, or an id is not text.
    """
    return OneOf("person", _texts("person", pids))


def tracklet(*ids: str) -> Filter:
    """Pass the crops of these tracklets.

    Raises:
        InputError: none is given, or an id is not text.
    """
    return OneOf("tracklet", _texts("tracklet", ids))


def since(moment: Moment) -> Filter:
    """Pass what was seen at this moment or later; `moment` as in `records.read_time`.

    Raises:
        InputError: it is no time.
    """
    return Span(read_time(moment), None)


def until(moment: Moment) -> Filter:
    """Pass what was seen before this moment; `moment` as in `records.read_time`.

    Raises:
        InputError: it is no time.
    """
    return Span(None, read_time(moment))


def during(start: Moment, end: Moment) -> Filter:
    """Pass what was seen from `start` on and before `end`; both as in `records.read_time`.

    Raises:
        InputError: one is no time, or the end does not lie after the start.
    """
    return Span(read_time(start), read_time(end))


def path(*globs: str) -> Filter:
    """Pass the crops whose whole absolute path fits one of these patterns, as in `fnmatch.fnmatchcase`.

    `*` stands for any characters, slashes too, `?` for one, `[ab]` for one of these, `[!ab]` for another one.

    Raises:
        InputError: no pattern is given, or one is not text or can fit no absolute path.
    """
    texts = _texts("path", globs)
    for glob in texts:
        if not (Path(glob).is_absolute() or glob.startswith(("*", "?", "["))):
            raise InputError(
                f"expected a glob for the whole absolute path, got {glob!r}; try {'*/' + glob!r}"
            )
    return Like(texts)


def _texts(kind: str, values: tuple[str, ...]) -> frozenset[str]:
    if not values:
        raise InputError(f"expected at least one {kind}, got none; for no filter at all give None")
    for value in values:
        if not isinstance(value, str):
            raise InputError(f"expected text for each {kind}, as in {kind}('3', '5'), got {value!r}")
        try:
            (os.fsencode if kind == "path" else str.encode)(value)
            sound = "\0" not in value
        except UnicodeEncodeError:
            sound = False
        if not sound:
            raise InputError(f"expected text for each {kind}, got {value!r}, which no crop can carry")
    return frozenset(values)
