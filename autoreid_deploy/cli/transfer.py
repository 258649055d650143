"""`reid-index export` and `import`: an index as files that other programs read, and back."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoreid_deploy.cli.common import index_option, json_option, plural, print_json, progress
from autoreid_deploy.cli.filters import filter_options
from autoreid_deploy.cli.life import settle

if TYPE_CHECKING:
    from autoreid_deploy.gallery.filters import Filter


@click.command(
    epilog="""\b
Examples:
  reid-index export backup/                     a folder: crops.csv, rows.npy, gallery.json
  reid-index export crops.parquet               one file; needs the extra parquet
  reid-index export person7/ --person 0007      what the index knows about a person"""
)
@click.argument("target", metavar="OUT[.parquet]", type=click.Path(path_type=Path))
@filter_options
@index_option
@json_option
def export(target: Path, filter: "Filter | None", index: Path, as_json: bool) -> None:
    """Write crops, labels and embeddings to a folder or a Parquet file, whole or not at all."""
    from autoreid_deploy.gallery import Gallery

    with Gallery.open(index) as gallery, progress(len(gallery)) as advance:
        count = gallery.export_to(target, where=filter, tick=advance)
    if as_json:
        print_json({"index": index, "target": target, "exported": count})
    else:
        click.echo(f"{plural(count, 'crop')} of {index} in {target}")


@click.command(
    "import",
    epilog="""\b
Examples:
  reid-index import backup/ --index NEW         an index of its own
  reid-index import crops.parquet               into one of the same model; equal paths are replaced""",
)
@click.argument("source", metavar="SOURCE", type=click.Path(path_type=Path))
@index_option
@json_option
def take_in(source: Path, index: Path, as_json: bool) -> None:
    """Take in what `export` wrote: all of it or nothing. Two indexes become one by export and import."""
    from autoreid_deploy.gallery import Gallery
    from autoreid_deploy.gallery.transfer import describe

    header = describe(source)
    if not Gallery.exists(index):
        told = {"model_id": header.model_id, "dim": header.dim, "model": header.model}
        Gallery.create(index, **told).close()  # type: ignore[arg-type]
    with Gallery.open(index) as gallery:
        with progress(header.count) as advance:
            count = gallery.import_from(source, advance)
        settle(gallery)
        crops = len(gallery)
    if as_json:
        print_json({"index": index, "imported": count, "crops": crops})
    else:
        click.echo(f"{plural(count, 'crop')} taken in, {crops:,} in {index}")
