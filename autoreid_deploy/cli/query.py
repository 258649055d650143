"""`reid-query`: rank the crops of an index by likeness to a picture."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoreid_deploy.cli.common import (
    device_option,
    entry_point,
    index_option,
    json_option,
    load_model,
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
  reid-query img.jpg --json | jq '.[0].hits[0].path'
A picture that can't be read does not keep the others from being answered; the exit code is 1 then."""
)
@click.argument("images", metavar="IMG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="Hits for each picture.")
@filter_options
@click.option("--sheet", type=click.Path(path_type=Path), help="Draw the answers as a PNG picture.")
@click.option("--html", type=click.Path(path_type=Path), help="Write the answers as one HTML page.")
@index_option
@click.option("--model", help="Where the index's model lies now, if it was moved.")
@device_option
@json_option
def cli(
    images: tuple[Path, ...],
    k: int,
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

    with Gallery.open(index) as gallery:
        _check_cameras(gallery, filter)
        answers, failures = _answer(gallery, images, k, filter, model, device)
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
    there = gallery.info().cameras
    for camera in sorted(filter.cameras()) if filter is not None else ():
        if camera not in there:
            known = f"known are {', '.join(there)}" if there else "no crop has a known camera"
            raise InputError(f"no crop of the index is from camera {camera!r}; {known}")


def _answer(
    gallery: "Gallery",
    images: Sequence[Path],
    k: int,
    filter: "Filter | None",
    model: str | None,
    device: str,
) -> "tuple[list[Answer], list[Failure]]":
    """Ask the gallery about every picture that can be read."""
    from autoreid_deploy.records import read_names
    from autoreid_deploy.report import Answer

    failures: list[Failure] = []
    with load_model(gallery, model, device) as embedder:
        rows = embedder.embed(images, on_error=failures.append)
    failed = {failure.index for failure in failures}
    readable = [i for i in range(len(images)) if i not in failed]
    hits = gallery.query(rows[readable], k, where=filter)
    queries = read_names([images[i] for i in readable])
    return [Answer(*pair) for pair in zip(queries, hits, strict=True)], failures


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
    table = [("rank", "distance", "person", "camera", "path")]
    for hit in answer.hits:
        pid, camid = hit.record.pid or "-", hit.record.camid or "-"
        table.append((str(hit.rank), f"{hit.distance:.4f}", pid, camid, _from_here(hit.record.path)))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [shown(answer.query.path)]
    for rank, distance, pid, camid, path in table:
        numbers = f"{rank:>{widths[0]}}  {distance:>{widths[1]}}"
        lines.append(f"{numbers}  {pid:<{widths[2]}}  {camid:<{widths[3]}}  {shown(path)}")
    return "\n".join(lines)


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _as_dict(answer: "Answer") -> dict[str, object]:
    hits = [{"rank": h.rank, "id": h.id, "distance": h.distance, **asdict(h.record)} for h in answer.hits]
    return {"query": answer.query.path, "pid": answer.query.pid, "camid": answer.query.camid, "hits": hits}


main = entry_point(cli)
