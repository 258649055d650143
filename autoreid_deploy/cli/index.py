"""`reid-index`: build an index of crops and look after it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from autoreid_deploy.cli.calibrate import calibrate
from autoreid_deploy.cli.common import (
    Stopped,
    bundled,
    device_option,
    entry_point,
    index_option,
    json_option,
    load_model,
    plural,
    print_json,
    progress,
    shown,
    to_index,
)
from autoreid_deploy.cli.doctor import doctor
from autoreid_deploy.cli.info import audit, info
from autoreid_deploy.cli.life import (
    compact,
    forget,
    keep,
    keep_days_option,
    merge,
    recall_option,
    relabel,
    renew,
    settle,
    verify,
)
from autoreid_deploy.cli.models import models
from autoreid_deploy.cli.transfer import export, take_in
from autoreid_deploy.errors import CropError, GalleryError, InputError
from autoreid_deploy.model import DEFAULT_MODEL, bundled_models

if TYPE_CHECKING:
    from autoreid_deploy.embedder import Embedder
    from autoreid_deploy.gallery import Gallery
    from autoreid_deploy.gallery.intake import Tally
    from autoreid_deploy.records import Record

names_option = click.option(
    "--names",
    type=click.Choice(["auto", "market", "cuhk01", "cuhk03", "plain"]),
    default="auto",
    show_default=True,
    help="How file names tell person and camera.",
)
strict_option = click.option("--strict", is_flag=True, help="Stop at the first crop that can't be read.")


@click.group(
    epilog="""\b
Examples:
  reid-index build gallery/
  reid-index info
  reid-index doctor
Then ask it:
  reid-query img.jpg"""
)
def cli() -> None:
    """Build an index of person crops, and look after it."""


@cli.command(
    epilog="""\b
Examples:
  reid-index build gallery/                  embed what is new, skip what is known
  reid-index build crops.csv                 path,pid,camid[,time,tracklet]
  reid-index build market/ --names market --index ./market.reid
  reid-index build crops.csv --keep-days 30  forget what was seen longer ago, now and in later builds
Ctrl-C keeps what is done; the same command goes on from there."""
)
@click.argument("source", metavar="FOLDER", type=click.Path(path_type=Path))
@index_option
@click.option(
    "--model",
    metavar="NAME|FILE",
    help=f"A bundled model ({bundled()}) or an .onnx file.  [default: the index's own, or {DEFAULT_MODEL}]",
)
@names_option
@device_option
@strict_option
@keep_days_option
@recall_option
@json_option
def build(
    source: Path,
    index: Path,
    model: str | None,
    names: str,
    device: str,
    strict: bool,
    keep_days: int | None,
    recall: float | None,
    as_json: bool,
) -> None:
    """Embed the crops of a FOLDER or a CSV file into the index; crops it knows are skipped."""
    from autoreid_deploy.records import scan

    records = scan(source, names=names)
    terms = Terms(strict, keep_days, recall, as_json)
    _take_in(records, index, model, device, terms)


@cli.command(
    epilog="""\b
Examples:
  reid-index add new/0007_c2_001.jpg
  reid-index add camera5/ camera6/"""
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@index_option
@names_option
@device_option
@strict_option
@keep_days_option
@json_option
def add(
    paths: tuple[Path, ...],
    index: Path,
    names: str,
    device: str,
    strict: bool,
    keep_days: int | None,
    as_json: bool,
) -> None:
    """Embed crops, folders or CSV files into an index that is there already."""
    from autoreid_deploy.gallery import Gallery
    from autoreid_deploy.records import read_names, scan

    Gallery.open(index).close()
    crops = [path for path in paths if path.suffix.lower() != ".csv" and not path.is_dir()]
    records = read_names(crops, names=names)
    for path in paths:
        if path not in crops:
            records += scan(path, names=names)
    _take_in(records, index, None, device, Terms(strict, keep_days, None, as_json))


class Terms(NamedTuple):
    """How crops are taken in: what `build` and `add` were asked for."""

    strict: bool
    keep_days: int | None
    recall: float | None
    as_json: bool


def _take_in(records: "list[Record]", index: Path, model: str | None, device: str, terms: Terms) -> None:
    from autoreid_deploy.gallery.intake import Intake

    embedder, gallery = _open_or_create(index, model, device)
    with embedder, gallery:
        start = time.monotonic()
        keep(gallery, terms.keep_days)
        records, old = _young(gallery, records)
        with progress(len(records)) as advance:
            intake = Intake(gallery, embedder, strict=terms.strict, advance=advance)
            try:
                tally = intake.take(records)
            except KeyboardInterrupt:
                raise Stopped(
                    f"stopped; {plural(len(gallery), 'crop')} safe in {index}; "
                    "run the same command again to go on"
                ) from None
            except CropError as error:
                raise InputError(
                    f"{error}; --strict stops here, {len(gallery):,} crops are kept in {index}"
                ) from error
        seconds = time.monotonic() - start
        expired = settle(gallery, recall=terms.recall)
        _report(gallery, tally, Outcome(len(records), old, expired, seconds), terms.as_json)


def _young(gallery: "Gallery", records: "list[Record]") -> "tuple[list[Record], int]":
    """Leave out what would be forgotten at once; gives the others, and how many were left out."""
    from autoreid_deploy.gallery.retention import horizon

    before = horizon(gallery.store)
    if before is None:
        return records, 0
    young = [record for record in records if record.time is None or record.time >= before]
    return young, len(records) - len(young)


class Outcome(NamedTuple):
    """What `build` and `add` tell beside the tally of the crops."""

    given: int
    old: int
    expired: int
    seconds: float


def _open_or_create(index: Path, model: str | None, device: str) -> "tuple[Embedder, Gallery]":
    """Load the model and open the index, which is made only when all else is in order."""
    from autoreid_deploy.embedder import Embedder
    from autoreid_deploy.gallery import Gallery

    if not Gallery.exists(index):
        model = model or DEFAULT_MODEL
        embedder = Embedder.load(model, device=device)
        origin = model if model in bundled_models() else str(Path(model).absolute())
        try:
            dim = embedder.spec.dim
            return embedder, Gallery.create(index, model_id=embedder.id, dim=dim, model=origin)
        except GalleryError:
            if not Gallery.exists(index):
                raise
            # Another build made it in this very moment; the two can share it.
    gallery = Gallery.open(index)
    return load_model(gallery, model, device), gallery


def _report(gallery: "Gallery", tally: "Tally", outcome: Outcome, as_json: bool) -> None:
    folder, crops = gallery.store.folder, len(gallery)
    gone = len(_missing(gallery))
    for path, reason in tally.failures[:10]:
        click.echo(f"unreadable: {shown(path)}: {shown(reason)}", err=True)
    if len(tally.failures) > 10:
        click.echo(f"unreadable: and {len(tally.failures) - 10:,} more (--json lists them all)", err=True)
    if as_json:
        print_json(
            {
                "index": folder,
                "model_id": gallery.model_id,
                "crops": crops,
                "embedded": tally.embedded,
                "copied": tally.copied,
                "unchanged": tally.unchanged,
                "gone": gone,
                "too_old": outcome.old,
                "expired": outcome.expired,
                "unreadable": [{"path": path, "reason": reason} for path, reason in tally.failures],
                "seconds": round(outcome.seconds, 3),
            }
        )
    else:
        parts = {
            "embedded": tally.embedded,
            "copied from the same content": tally.copied,
            "known already": tally.unchanged,
            "unreadable": len(tally.failures),
            "older than is kept": outcome.old,
        }
        told = ", ".join(f"{count:,} {what}" for what, count in parts.items() if count)
        rate = f" ({tally.embedded / outcome.seconds:,.0f} crops/s)" if tally.embedded else ""
        click.echo(f"{plural(crops, 'crop')} in {folder}: {told}{rate}")
        if outcome.expired:
            click.echo(f"{plural(outcome.expired, 'crop')} forgotten: seen longer ago than is kept")
        if gone:
            click.echo(
                f"{plural(gone, 'crop')} of the index no longer on disk; to drop: "
                f"reid-index remove --missing{to_index(folder)}"
            )
    if warning := gallery.warning():
        click.echo(f"warning: {shown(warning)}", err=True)
    if not crops and outcome.given:
        raise InputError(
            f"none of the {plural(outcome.given, 'crop')} could be read, the index {folder} is empty"
        )


def _missing(gallery: "Gallery") -> list[Path]:
    """List the crops whose file is gone; one that merely can't be looked at is not."""
    missing = []
    for path in gallery.known():
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            missing.append(path)
        except OSError:
            pass
    return missing


@cli.command(
    epilog="""\b
Examples:
  reid-index remove gallery/0007_c2_001.jpg
  reid-index remove camera5/            all below that folder
  reid-index remove --pid 0007          all crops of a person
  reid-index remove --missing           what is no longer on disk"""
)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--pid", "pids", multiple=True, help="Remove all crops of this person.")
@click.option("--missing", is_flag=True, help="Remove crops whose file is gone.")
@index_option
@json_option
def remove(paths: tuple[Path, ...], pids: tuple[str, ...], missing: bool, index: Path, as_json: bool) -> None:
    """Remove crops from the index; no picture is deleted. What must not stay anywhere: reid-index forget."""
    from autoreid_deploy.gallery import Gallery

    if not (paths or pids or missing):
        raise click.UsageError("say what to remove: PATH..., --pid or --missing")
    with Gallery.open(index) as gallery:
        with gallery.store.write():  # all of it or nothing
            removed = 0
            for path in paths:
                removed += _found(gallery.remove(paths=[path]), f"{path} or anything below it")
            for pid in pids:
                removed += _found(gallery.remove(pids=[pid]), f"person {pid}")
            if missing:
                removed += gallery.remove(paths=_missing(gallery))
        renew(gallery)
        crops = len(gallery)
    if as_json:
        print_json({"index": index, "removed": removed, "crops": crops})
    else:
        click.echo(f"{plural(removed, 'crop')} removed, {crops:,} left in {index}")


def _found(count: int, what: str) -> int:
    if not count:
        raise InputError(f"the index has no crop of {what}; nothing was removed")
    return count


for command in (
    info,
    models,
    calibrate,
    doctor,
    forget,
    relabel,
    merge,
    verify,
    compact,
    audit,
    export,
    take_in,
):
    cli.add_command(command)
main = entry_point(cli)
