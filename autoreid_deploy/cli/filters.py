"""The options that say which crops to search, for every command that asks an index."""

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from autoreid_deploy.errors import InputError

if TYPE_CHECKING:
    from autoreid_deploy.gallery.filters import Filter


def as_seconds(context: click.Context, option: click.Parameter, text: str | None) -> float | None:
    """Read a time as in a CSV file; what is none is wrong usage."""
    from autoreid_deploy.records import read_time

    try:
        return None if text is None else read_time(text)
    except InputError as error:
        raise click.BadParameter(f"{error}; write it like 2026-11-01T08:00", context, option) from error


def _repeated(name: str, metavar: str, help: str) -> Callable[[Any], Any]:
    return click.option(name, metavar=metavar, multiple=True, help=f"{help}; may be repeated.")


def _time(name: str, help: str) -> Callable[[Any], Any]:
    return click.option(name, metavar="TIME", callback=as_seconds, help=help)


_OPTIONS = {
    "camera": _repeated("--camera", "C", "Only what camera C saw"),
    "not_camera": _repeated("--not-camera", "C", "Only what camera C did not see"),
    "since": _time("--since", "Only what was seen then or later: ISO 8601, UTC unless it names a zone."),
    "until": _time("--until", "Only what was seen before that time; it is read likewise."),
    "person": _repeated("--person", "P", "Only the crops of person P"),
    "not_person": _repeated("--not-person", "P", "Only crops that are not known to show person P"),
    "tracklet": _repeated("--tracklet", "T", "Only the crops of tracklet T"),
    "path": _repeated("--path", "GLOB", "Only crops whose whole absolute path fits, as '*/night/*'"),
}


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options; it gets them as one argument, `filter: Filter | None`.

    An option given again adds a choice, another option narrows: camera 3 or 5, and since eight o'clock.
    """

    @functools.wraps(command)
    def with_filter(**given: Any) -> Any:
        chosen = {name: given.pop(name) for name in _OPTIONS}
        return command(**given, filter=_as_filter(chosen))

    for option in reversed(_OPTIONS.values()):
        with_filter = option(with_filter)
    return with_filter


def _as_filter(chosen: dict[str, Any]) -> "Filter | None":
    if all(value in (None, ()) for value in chosen.values()):
        return None
    try:
        return functools.reduce(lambda one, other: one & other, _filters(**chosen))
    except InputError as error:
        raise click.UsageError(str(error)) from error


def _filters(
    camera: tuple[str, ...],
    not_camera: tuple[str, ...],
    since: float | None,
    until: float | None,
    person: tuple[str, ...],
    not_person: tuple[str, ...],
    tracklet: tuple[str, ...],
    path: tuple[str, ...],
) -> "Iterator[Filter]":
    """Make one filter for each option that is given; both ends of a time range make one."""
    from autoreid_deploy.gallery import filters

    if camera:
        yield filters.camera(*camera)
    if not_camera:
        yield ~filters.camera(*not_camera)
    if since is not None and until is not None:
        yield filters.during(since, until)
    elif since is not None:
        yield filters.since(since)
    elif until is not None:
        yield filters.until(until)
    if person:
        yield filters.person(*person)
    if not_person:
        yield ~filters.person(*not_person)
    if tracklet:
        yield filters.tracklet(*tracklet)
    if path:
        yield filters.path(*path)
