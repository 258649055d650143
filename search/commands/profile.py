"""`python -m search profile`: measure what every op costs here."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  python -m search profile search/configs/search-s.toml -o latency.json"""
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("latency.json"), show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Crops a call.")
def profile(config: Path, out: Path, batch: int) -> None:
    """Measure every op at every shape of CONFIG's macro in ONNX Runtime, on one thread of this machine."""
    from search import latency, monitor
    from search.search_config import SearchConfig

    network = SearchConfig.load(config).network
    with monitor.progress(latency.profile_steps(network), 0, "op", "profile") as bar:
        table = latency.profile(network, batch, tick=bar.update)
    latency.save_table(table, out)
    click.echo(f"{table}\nwrote {out}")
