"""What happens to an index in its life: forgetting, corrections, retention, a new index file, and the proof of all."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoreid_deploy.cli.common import (
    index_option,
    json_option,
    plural,
    print_json,
    progress,
    shown,
    to_index,
)
from autoreid_deploy.cli.filters import as_seconds, filter_options
from autoreid_deploy.errors import InputError

if TYPE_CHECKING:
    from autoreid_deploy.gallery import Gallery
    from autoreid_deploy.gallery.filters import Filter


def _as_days(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """Read a number of days; `off` is 0."""
    if text is None or text == "off":
        return None if text is None else 0
    if not text.isascii() or not text.isdigit():
        raise click.BadParameter(f"expected a whole number of days or off, got {text!r}", context, option)
    return int(text)


keep_days_option = click.option(
    "--keep-days",
    metavar="N",
    callback=_as_days,
    help="Forget what was seen longer ago than N days, now and in later builds; off ends that.",
)
recall_option = click.option(
    "--recall",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of the true 10 nearest that the index must find, now and later.  [default: 0.99]",
)


def keep(gallery: "Gallery", days: int | None) -> None:
    """Store what --keep-days says: a number, 0 for no limit, None for what is stored already."""
    if days is not None:
        gallery.keep_days = days or None


def settle(gallery: "Gallery", *, recall: float | None = None) -> int:
    """Do what is due after crops came: forget what is too old, finish an interrupted forgetting, renew the index.

    Args:
        gallery: open.
        recall: that the index must have from now on; None for what was asked for before.

    Returns:
        How many crops were too old.
    """
    from autoreid_deploy.gallery import upkeep

    expired = gallery.expire()
    if recall is not None:
        upkeep.set_target(gallery.store, recall)
    upkeep.finish_forgetting(gallery.store)
    renew(gallery)
    if expired and (count := gallery.store.count("time IS NULL")):
        click.echo(f"note: {plural(count, 'crop')} without a time stay", err=True)
    return expired


def renew(gallery: "Gallery") -> None:
    """Build the index anew where enough rows came or went."""
    from autoreid_deploy.gallery import upkeep

    if upkeep.is_due(gallery.store):
        with progress(len(gallery), "rows indexed") as advance:
            gallery.compact_if_due(advance)


@click.command(
    epilog="""\b
Examples:
  reid-index forget 0007                         a person, for good
  reid-index forget --before 2026-10-01          what was seen earlier
  reid-index forget 0007 --camera 3 --dry-run    only say what would go
  reid-index forget --removed                    what `remove` has left in the files
The pictures stay where they are: the next build would take them in again."""
)
@click.argument("people", metavar="[PERSON]...", nargs=-1)
@click.option("--before", metavar="TIME", callback=as_seconds, help="Forget what was seen before that time.")
@click.option(
    "--removed", is_flag=True, help="Wipe what earlier removals and changes have left in the files."
)
@filter_options
@click.option("--dry-run", is_flag=True, help="Say what would be forgotten, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask; a script is never asked.")
@index_option
@json_option
def forget(
    people: tuple[str, ...],
    before: float | None,
    removed: bool,
    filter: "Filter | None",
    dry_run: bool,
    yes: bool,
    index: Path,
    as_json: bool,
) -> None:
    """Delete crops so that no file of the index holds anything of them: no row, vector, code, free page or journal."""
    from autoreid_deploy.gallery import Gallery, filters, upkeep

    parts = [filters.person(*people)] if people else []
    parts += [filters.until(before)] if before is not None else []
    parts += [filter] if filter is not None else []
    if not parts and not removed:
        raise click.UsageError("say what to forget: PERSON..., --before TIME, another filter, or --removed")
    with Gallery.open(index) as gallery:
        _check_people(gallery, people, "forgotten")
        count, paths = 0, []
        if parts:
            where = parts[0]
            for part in parts[1:]:
                where = where & part
            ids = gallery.store.ids_where(*where.sql())
            count, paths = len(ids), [row.record.path for row in gallery.store.stored(ids)] if dry_run else []
            if not dry_run and count and not yes and not as_json and sys.stdin.isatty():
                click.confirm(f"forget {plural(count, 'crop')} for good?", abort=True, err=True)
            if not dry_run:
                with progress(None, "rows indexed") as advance:
                    count = gallery.forget(where=where, tick=advance)
        if removed and not dry_run:
            with progress(None, "rows indexed") as advance:
                upkeep.forget_removed(gallery.store, advance)
        crops = len(gallery)
    if as_json:
        told: dict[str, Any] = {"index": index, "forgotten": 0 if dry_run else count, "crops": crops}
        print_json(told | ({"would_forget": count, "paths": paths} if dry_run else {}))
    elif dry_run:
        click.echo("".join(f"{shown(path)}\n" for path in paths), nl=False)
        click.echo(f"{plural(count, 'crop')} of {crops:,} would be forgotten; nothing was changed")
    else:
        click.echo(f"{plural(count, 'crop')} forgotten, {crops:,} left in {index}")
        if count:
            click.echo("note: pictures are not deleted; the next build takes in those still there", err=True)


def _check_people(gallery: "Gallery", people: tuple[str, ...], what: str) -> None:
    there = gallery.store.counts("pid") if people else {}
    for pid in people:
        if pid not in there:
            raise InputError(f"the index has no crop of person {pid}; nothing was {what}")


@click.command(
    epilog="""\b
Examples:
  reid-index relabel gallery/0007_c2_001.jpg --to-person 0012
  reid-index relabel --tracklet t17 --to-person 0012        split a person by tracklet
  reid-index relabel --path '*/door/*' --to-camera door
  reid-index relabel camera5/ --to-person ''                nobody knows any more
A correction stays: later builds do not take a file's name for better."""
)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@filter_options
@click.option("--to-person", metavar="P", help="They show person P; '' for unknown.")
@click.option("--to-camera", metavar="C", help="Camera C saw them; '' for unknown.")
@click.option("--to-tracklet", metavar="T", help="They belong to tracklet T; '' for unknown.")
@index_option
@json_option
def relabel(
    paths: tuple[Path, ...],
    filter: "Filter | None",
    to_person: str | None,
    to_camera: str | None,
    to_tracklet: str | None,
    index: Path,
    as_json: bool,
) -> None:
    """Correct whose crops these are, or from which camera or tracklet. A folder means all below it."""
    from autoreid_deploy.gallery import Gallery

    labels = {"pid": to_person, "camid": to_camera, "tracklet": to_tracklet}
    given = {what: value for what, value in labels.items() if value is not None}
    if not given:
        raise click.UsageError("say what they are: --to-person, --to-camera or --to-tracklet")
    if not paths and filter is None:
        raise click.UsageError("say which crops: PATH... or a filter such as --person")
    with Gallery.open(index) as gallery, gallery.store.write():  # all of it or nothing
        for path in paths:
            if not gallery.store.count(*_below(path).sql()):
                raise InputError(f"the index has no crop of {path} or anything below it; nothing was changed")
        where = _below(*paths) if paths else None
        both = filter if where is None else where if filter is None else where & filter
        assert both is not None
        # Which ones, before the first change moves some of them out of the filter.
        ids = gallery.store.ids_where(*both.sql()).tolist()
        changed = len(ids)
        for what, value in given.items():
            gallery.store.relabel(ids, what, value or None)
        if changed:
            gallery.store.note(f"relabel: {', '.join(given)} of {plural(changed, 'crop')}")
    _tell_changed(changed, "relabelled", index, as_json)


def _below(*paths: Path) -> "Filter":
    """Pass these files and all below these folders."""
    import glob
    import os

    from autoreid_deploy.gallery import filters

    names = [glob.escape(os.path.abspath(path)) for path in paths]  # noqa: PTH100  (keeps links)
    return filters.path(*names, *(f"{name.rstrip(os.sep)}/*" for name in names))


def _tell_changed(changed: int, what: str, index: Path, as_json: bool) -> None:
    if as_json:
        print_json({"index": index, "changed": changed})
    else:
        click.echo(f"{plural(changed, 'crop')} {what} in {index}")


@click.command(
    epilog="""\b
Examples:
  reid-index merge 0007 0019 --into 0007"""
)
@click.argument("people", metavar="PERSON...", nargs=-1, required=True)
@click.option("--into", metavar="P", required=True, help="The person that they all are.")
@index_option
@json_option
def merge(people: tuple[str, ...], into: str, index: Path, as_json: bool) -> None:
    """Make one person of several."""
    from autoreid_deploy.gallery import Gallery

    with Gallery.open(index) as gallery:
        changed = gallery.merge(people, into)
    _tell_changed(changed, f"now of person {shown(into)}", index, as_json)


@click.command(
    epilog="""\b
Examples:
  reid-index verify
  reid-index verify --json | jq .faults
The exit code is 1 if something is wrong."""
)
@index_option
@json_option
def verify(index: Path, as_json: bool) -> int:
    """Compare database, index and files with their checksums and each other; prove that nothing forgotten is left."""
    from autoreid_deploy.gallery import Gallery

    with Gallery.open(index) as gallery:
        crops = len(gallery)
        with progress(crops, "rows read") as advance:
            faults = gallery.verify(advance)
    if as_json:
        print_json({"index": index, "crops": crops, "sound": not faults, "faults": faults})
    else:
        for fault in faults:
            click.echo(shown(fault))
        click.echo(
            f"{plural(len(faults), 'fault')} in {index}" if faults else f"{plural(crops, 'sound crop')}"
        )
    return 1 if faults else 0


@click.command(
    epilog="""\b
Examples:
  reid-index compact
  reid-index compact --recall 0.999
  reid-index compact --keep-days 30"""
)
@click.option(
    "--kind",
    type=click.Choice(["exact", "pq", "ivf"]),
    help="Of index, this time.  [default: the best at this size]",
)
@recall_option
@keep_days_option
@index_option
@json_option
def compact(
    kind: str | None, recall: float | None, keep_days: int | None, index: Path, as_json: bool
) -> None:
    """Build the index file anew from all rows, drop older ones, and finish a forgetting that was interrupted."""
    from autoreid_deploy.gallery import Gallery

    with Gallery.open(index) as gallery:
        keep(gallery, keep_days)
        expired = gallery.expire()
        with progress(None, "rows indexed") as advance:
            gallery.compact(kind=kind, recall=recall, tick=advance)
        facts = gallery.info()
    if as_json:
        names = ("generation", "kind", "depth", "recall", "target", "milliseconds", "crops", "index_bytes")
        print_json({"index": index, "expired": expired, **{name: getattr(facts, name) for name in names}})
        return
    if expired:
        click.echo(f"{plural(expired, 'crop')} forgotten: seen longer ago than is kept")
    short = f", below the {facts.target:g} asked for" if facts.recall < facts.target else ""
    click.echo(
        f"{plural(facts.crops, 'crop')} in generation {facts.generation} of {index}: {facts.kind}, "
        f"recall {facts.recall:.3f}{short}; see: reid-index info{to_index(index)}"
    )
