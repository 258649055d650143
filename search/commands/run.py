"""`python -m search run`: search for cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoreid_deploy.cli.common import Stopped
from search.commands.common import (
    choose_device,
    latency_options,
    read_crops,
    read_table,
    run_folder,
    run_options,
)

if TYPE_CHECKING:
    import torch

    from search.latency import LatencyTable
    from search.search_config import SearchConfig
    from search.searcher import Searcher


@click.command(
    epilog="""\b
Examples:
  python -m search run search/configs/search-s.toml --data data/
  python -m search run search/configs/search-s.toml --data data/ --resume
  python -m search run search/configs/search-s.toml --data data/ --latency-table latency.json --latency-budget 0.6
  torchrun --nproc-per-node 2 -m search run search/configs/search-s.toml --data data/
Ctrl-C keeps what is done; --resume goes on from there."""
)
@click.argument("config", type=click.Path(path_type=Path))
@run_options
@latency_options
def run(
    config: Path,
    data: Path,
    out: Path | None,
    resume: bool,
    strict: bool,
    cache: Path | None,
    device: str,
    save_every: float,
    latency_table: Path | None,
    latency_budget: float | None,
) -> None:
    """Search for cells as CONFIG says: weights learn on some people, alphas on others, and [[val]] scores."""
    from search import checkpoint, distributed
    from search.report import write_report

    told = load_search_config(config, latency_budget)
    table = read_table(latency_table, told, told.search.latency_budget)
    folder = run_folder(out, told.name, resume)
    state = checkpoint.load(folder / "last.pt", checkpoint.SEARCH) if resume else None
    home = choose_device(device)
    try:
        searcher = make_searcher(told, config.parent, data, table, folder, home, strict, save_every, cache)
        if state is not None:
            searcher.restore(state)
        folder.mkdir(parents=True, exist_ok=True)
        if not searcher.run():
            raise Stopped(
                f"stopped in epoch {searcher.epoch + 1} of {searcher.epochs}; nothing is lost, "
                "go on with --resume"
            )
        if distributed.rank() == 0:
            write_report(searcher.state(), folder)
            click.echo(f"{searcher.derived()}\n")
            click.echo(f"cells: {folder / 'genotype.json'}\nreport: {folder / 'report.html'}")
            click.echo(f"next: python -m search retrain CONFIG --genotype {folder / 'genotype.json'}")
    finally:
        distributed.stop()


def load_search_config(path: Path, budget: float | None) -> SearchConfig:
    """Read a search's TOML file; a budget of the command line wins over the file's."""
    from search.search_config import SearchConfig

    told = SearchConfig.load(path)
    if budget is None:
        return told
    return replace(told, search=replace(told.search, latency_budget=budget))


def make_searcher(
    told: SearchConfig,
    beside: Path,
    data: Path,
    table: LatencyTable | None,
    folder: Path,
    device: torch.device,
    strict: bool = False,
    save_seconds: float = 120.0,
    cache: Path | None = None,
) -> Searcher:
    """Load the three sets of people and set up their search."""
    from search.data import list_crops, refuse_known_people, split_crops
    from search.searcher import Searcher

    train = list_crops(told.train, data, beside)
    if told.alphas:
        alphas = list_crops(told.alphas, data, beside)
        refuse_known_people(train, alphas)
    else:
        how = told.search
        train, alphas = split_crops(train, how.alpha_share, told.recipe.seed, by_person=how.split == "people")
    val = list_crops(told.val, data, beside)
    refuse_known_people(train + alphas, val)
    size = (told.network.height, told.network.width)
    return Searcher(
        config=told,
        train=read_crops("weights", train, size, strict, cache),
        alphas_crops=read_crops("alphas", alphas, size, strict, cache),
        val=read_crops("scoring", val, size, strict, cache),
        table=table,
        folder=folder,
        device=device,
        save_seconds=save_seconds,
    )
