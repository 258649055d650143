"""`python -m search report`: one page that tells a search."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  python -m search report runs/search-s"""
)
@click.argument("folder", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Write report.html for the search in FOLDER, finished or not: alphas, entropy, ops, cells, scores."""
    from search import checkpoint
    from search.report import write_report

    path = write_report(checkpoint.load(folder / "last.pt", checkpoint.SEARCH), folder)
    click.echo(f"wrote {path}")
