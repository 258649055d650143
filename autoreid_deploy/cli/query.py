"""`reid-query`: rank the crops of an index by likeness to a picture."""

import contextlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoreid_deploy.cli.common import (
    device_option,
    entry_point,
    index_option,
    json_option,
    load_model,
    meaning_of,
    print_json,
    shown,
    to_index,
)
from autoreid_deploy.cli.filters import filter_options
from autoreid_deploy.errors import CropError, GalleryError, InputError

if TYPE_CHECKING:
    from autoreid_deploy.embedder import Failure
    from autoreid_deploy.gallery import Gallery
    from autoreid_deploy.gallery.filters import Filter
    from autoreid_deploy.report import Answer


@click.command(
    epilog="""\b
Examples:
  reid-query img.jpg
  reid-query img.jpg -k 20 --camera 3 --camera 5
  reid-query img.jpg --not-camera 3 --since 2026-11-01T08:00 --until 2026-11-01T20:00
  reid-query img.jpg --path '*/night/*'
  reid-query a.jpg b.jpg --sheet out.png --html out.html
  reid-query a.jpg b.jpg --one-person mean     two pictures of one person
  reid-query --of-tracklet t17 --group person  who looks like a tracklet of the index
  reid-query img.jpg --rerank 100 --fpr 1e-3
  reid-query img.jpg --centred                 on cameras that the model has not learnt
  reid-query img.jpg --json | jq '.[0].hits[0].path'
A picture that can't be read does not keep the others from being answered; the exit code is 1 then."""
)
@click.argument("images", metavar="[IMG]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="Hits for each picture.")
@click.option(
    "--one-person",
    "pool",
    type=click.Choice(["mean", "max"]),
    help="All pictures show one person: ask by their mean, or by the nearest of them (max).",
)
@click.option(
    "--of-tracklet", metavar="T", help="Ask by a tracklet of the index instead of pictures; it is no answer."
)
@click.option(
    "--group", type=click.Choice(["person", "tracklet"]), help="Only the best hit of each person or tracklet."
)
@click.option(
    "--rerank",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Order the N nearest anew by their neighbours among each other.",
)
@click.option(
    "--centred",
    is_flag=True,
    help="For cameras that the model has not learnt: order the 500 nearest without what is common to their "
    "camera.",
)
@click.option(
    "--fpr",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    metavar="RATE",
    help="Say unknown where a hit is farther away than this share of pairs of different people, such as 1e-3.",
)
@filter_options
@click.option("--sheet", type=click.Path(path_type=Path), help="Draw the answers as a PNG picture.")
@click.option("--html", type=click.Path(path_type=Path), help="Write the answers as one HTML page.")
@index_option
@click.option(
    "--model",
    metavar="NAME|FILE",
    help="Where the index's model lies now, if it was moved: a file, or a bundled name.",
)
@device_option
@json_option
def cli(
    images: tuple[Path, ...],
    k: int,
    pool: str | None,
    of_tracklet: str | None,
    group: str | None,
    rerank: int,
    centred: bool,
    fpr: float | None,
    filter: "Filter | None",
    sheet: Path | None,
    html: Path | None,
    index: Path,
    model: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Find the crops that look most like the person in each picture, closest first."""
    from autoreid_deploy.gallery import Gallery

    if bool(images) == (of_tracklet is not None):
        raise click.UsageError("say who is asked for: IMG... or --of-tracklet T")
    answers: list[Answer]
    failures: list[Failure] = []
    how: dict[str, Any] = {"where": filter, "group": group, "rerank": rerank, "centred": centred, "fpr": fpr}
    with Gallery.open(index) as gallery:
        _check_cameras(gallery, filter)
        if of_tracklet is not None:
            how |= {"pool": pool or "mean"}
            answers = _answer_tracklet(gallery, of_tracklet, k, how, model)
        else:
            how |= {"pool": pool or "each"}
            answers, failures = _answer(gallery, images, k, how, model, device)
    if as_json:
        print_json([_as_dict(answer) for answer in answers])
    else:
        click.echo("\n\n".join(map(_as_text, answers)), nl=bool(answers))
    _write_reports(answers, sheet, html)
    for failure in failures[:-1]:
        click.echo(f"error: {shown(failure.path)}: {shown(failure.reason)}", err=True)
    if failures:
        raise CropError(failures[-1].path, failures[-1].reason)


def _check_cameras(gallery: "Gallery", filter: "Filter | None") -> None:
    if not len(gallery):
        folder = gallery.store.folder
        raise GalleryError(
            f"the index {folder} is empty; fill it with: reid-index build FOLDER{to_index(folder)}"
        )
    named = filter.cameras() if filter is not None else frozenset()
    there = gallery.store.counts("camid") if named else {}
    for camera in sorted(named):
        if camera not in there:
            known = f"known are {', '.join(there)}" if there else "no crop has a known camera"
            raise InputError(f"no crop of the index is from camera {camera!r}; {known}")


def _answer(
    gallery: "Gallery",
    images: Sequence[Path],
    k: int,
    how: dict[str, Any],
    model: str | None,
    device: str,
) -> "tuple[list[Answer], list[Failure]]":
    """Ask the gallery about every picture that can be read."""
    from autoreid_deploy.records import read_names
    from autoreid_deploy.report import Answer

    failures: list[Failure] = []
    with load_model(gallery, model, device) as embedder:
        rows = embedder.embed(images, on_error=failures.append)
        meaning = meaning_of(gallery, embedder.spec)
    failed = {failure.index for failure in failures}
    readable = [i for i in range(len(images)) if i not in failed]
    queries = read_names([images[i] for i in readable])
    if not queries:
        return [], failures
    cameras = [query.camid for query in queries]
    hits = gallery.query(rows[readable], k, cameras=cameras, calibration=meaning, **how)
    return [Answer(*pair) for pair in zip(queries, hits, strict=how["pool"] == "each")], failures


def _answer_tracklet(
    gallery: "Gallery", tracklet: str, k: int, how: dict[str, Any], model: str | None
) -> "list[Answer]":
    """Ask by crops that the index holds; its model is needed for nothing but what distances mean."""
    from autoreid_deploy.errors import ReidError
    from autoreid_deploy.gallery import filters
    from autoreid_deploy.report import Answer

    of = filters.tracklet(tracklet)
    ids = gallery.store.ids_where(*of.sql())
    if not len(ids):
        raise InputError(
            f"no crop of the index is of tracklet {tracklet!r}; tracklets come from the column of a CSV, or from "
            "reid-index relabel"
        )
    [first] = gallery.store.stored(ids[:1])
    meaning = meaning_of(gallery, None)
    if meaning is None:
        with contextlib.suppress(ReidError), load_model(gallery, model, "cpu") as embedder:
            meaning = meaning_of(gallery, embedder.spec)
    [hits] = gallery.query_stored(of, k, calibration=meaning, **how)
    return [Answer(first.record, hits)]


def _write_reports(answers: "Sequence[Answer]", sheet: Path | None, html: Path | None) -> None:
    from autoreid_deploy.report import contact_sheet, html_page

    if answers and sheet:
        contact_sheet(answers, sheet)
        click.echo(f"wrote {shown(sheet)}", err=True)
    if answers and html:
        html_page(answers, html)
        click.echo(f"wrote {shown(html)}", err=True)


def _as_text(answer: "Answer") -> str:
    """Lay out one answer as an aligned table under the picture's name."""
    likely = any(hit.probability is not None for hit in answer.hits)
    table = [("rank", "distance", *(["probability"] if likely else []), "person", "camera", "path")]
    for hit in answer.hits:
        person = "unknown" if hit.unknown else hit.record.pid or "-"
        chance = [f"{hit.probability:.3f}"] if hit.probability is not None else []
        known = (person, hit.record.camid or "-", _from_here(hit.record.path))
        table.append((str(hit.rank), f"{hit.distance:.4f}", *chance, *known))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    numbers = 3 if likely else 2
    lines = [shown(answer.query.path)]
    for row in table:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[:numbers], widths, strict=False)]
        cells += [f"{cell:<{width}}" for cell, width in zip(row[numbers:-1], widths[numbers:], strict=False)]
        lines.append("  ".join([*cells, shown(row[-1])]))
    return "\n".join(lines)


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _as_dict(answer: "Answer") -> dict[str, object]:
    hits = [
        {
            "rank": h.rank,
            "id": h.id,
            "distance": h.distance,
            "probability": h.probability,
            "unknown": h.unknown,
            **({} if h.reranked is None else {"reranked": h.reranked}),
            **({} if h.centred is None else {"centred": h.centred}),
            **asdict(h.record),
        }
        for h in answer.hits
    ]
    return {"query": answer.query.path, "pid": answer.query.pid, "camid": answer.query.camid, "hits": hits}


main = entry_point(cli)
