"""`python -m search describe`: count and draw a genotype."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  python -m search describe auto_reid_2019
  python -m search describe auto_reid_2019 --draw cells.svg
  python -m search describe auto_reid_2019 --config search/configs/autoreid-s.toml"""
)
@click.argument("genotype")
@click.option("--config", type=click.Path(path_type=Path), help="Count this run's network too.")
@click.option("--draw", type=click.Path(path_type=Path), help="Draw both cells to a .png or .svg file.")
@click.option("--people", default=751, show_default=True, help="Size of the classifier to count.")
def describe(genotype: str, config: Path | None, draw: Path | None, people: int) -> None:
    """Print a GENOTYPE's ops, parameters and multiply-accumulates (a bundled name or a JSON file)."""
    from search.complexity import table
    from search.config import load_config
    from search.drawing import draw_cells
    from search.genotype import load_genotype

    found = load_genotype(genotype)
    click.echo(f"{found}\n")
    click.echo(table(found, load_config(config) if config else None, people))
    if draw:
        draw_cells(found, draw)
        click.echo(f"\ncells drawn to {draw}")
