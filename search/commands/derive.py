"""`python -m search derive`: choose cells from a search that is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from search.commands.common import data_option, latencies_options, read_table

if TYPE_CHECKING:
    from search.genotype import Genotype
    from search.latency import LatencyTable
    from search.recipe import Recipe
    from search.searcher import Searcher

METHODS = ("weight", "perturb", "evolve", "race")


@click.command(
    epilog="""\b
Examples:
  python -m search derive runs/search-s --data data/ -o found.json
  python -m search derive runs/search-s --data data/ --weighted 4 -o found.json
  python -m search derive runs/search-s --data data/ --derive perturb -o found.json
  python -m search derive runs/search-s --data data/ --derive evolve --children 96 -o found.json
  python -m search derive runs/search-s --data data/ --derive race --children 8 -o found.json
  python -m search derive runs/one --data data/ --derive race --beside runs/two --beside runs/three --children 0 \\
    --race-epochs 10 --recipe search/configs/proxy-long.toml
  python -m search derive runs/search-s --data data/ --derive race --latency-budget 0.6 \\
    --latency-table latency-32.json --latency-table latency-48.json"""
)
@click.argument("folder", type=click.Path(path_type=Path))
@data_option
@click.option(
    "--derive",
    "method",
    type=click.Choice(METHODS),
    default="weight",
    show_default=True,
    help="By softmax weight, by what a removal costs, or by evolution: over the trained supernet (evolve) or over "
    "short trainings (race), which goes on where it was stopped.",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Genotype file.  [default: FOLDER/METHOD.json]"
)
@click.option("--children", type=click.IntRange(min=0), help="Cells that evolve.  [default: 48; race: 12]")
@click.option(
    "--race-epochs",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Of a short training; from 5 on, no final follows.",
)
@click.option(
    "--beside",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Another search, whose cells run in the race, too; repeatable. With --children 0 no others run.",
)
@click.option(
    "--recipe",
    type=click.Path(path_type=Path),
    metavar="CONFIG",
    help="Configuration whose [recipe] a race trains by.  [default: that of the search]",
)
@click.option(
    "--weighted",
    type=click.IntRange(min=0),
    help="Fewest ops with weights that the normal cell has by weight.  [default: that of the search]",
)
@click.option(
    "--parameter-budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="M",
    help="Millions of parameters that the network may have, in the macro of the table if one is named.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all draws.")
@latencies_options
def derive(
    folder: Path,
    data: Path,
    method: str,
    out: Path | None,
    children: int | None,
    race_epochs: int,
    beside: tuple[Path, ...],
    recipe: Path | None,
    weighted: int | None,
    parameter_budget: float | None,
    seed: int,
    latency_tables: tuple[Path, ...],
    latency_budget: float | None,
) -> None:
    """Derive a pair of cells from the search in FOLDER and score it in the supernet."""
    from search.complexity import parameter_count
    from search.config import load_config
    from search.drawing import draw_cells
    from search.genotype import load_genotype, save_genotype
    from search.latency import load_table, predict

    if method != "race" and len(latency_tables) > 1:
        raise click.UsageError(
            f"--derive {method} takes one --latency-table: that of the macro to be trained"
        )
    if method != "race" and (beside or recipe):
        raise click.UsageError(
            f"--derive {method} trains nothing; --beside and --recipe are of --derive race"
        )
    one = latency_tables[0] if method != "race" and latency_tables else None
    asked = {
        "latency_budget": latency_budget,
        "parameter_budget": parameter_budget,
        "weighted": weighted,
    }
    searcher = _restore(folder, data, one, asked)
    if latency_budget and searcher.table is None and not latency_tables:
        read_table(None, searcher.config, latency_budget)
    table = searcher.table
    if one and not latency_budget and table and table.network != searcher.config.network:
        raise click.UsageError(
            f"{one} is of another macro than the search's; add --latency-budget MS for that"
        )
    if latency_tables and not searcher.config.search.latency_budget:
        raise click.UsageError("a --latency-table chooses nothing without a budget; add --latency-budget MS")
    out = out or folder / f"{method}.json"
    if method == "race":
        tables = [load_table(path) for path in latency_tables]
        told = load_config(recipe).recipe if recipe else None
        others = [load_genotype(path / "genotype.json") for path in beside]
        found = _raced(searcher, tables, others, told, children, race_epochs, seed)
    else:
        found = _found(searcher, method, children, seed)
    scored = searcher.scorer.genotype(found)
    save_genotype(found, out)
    draw_cells(found, out.with_suffix(".png"))
    click.echo(f"{found}\n")
    click.echo(f"in the supernet: rank-1 {100 * scored.rank(1):.1f} %, mAP {100 * scored.mAP:.1f} %")
    network = table.network if table else searcher.config.network
    size = f"{parameter_count(network)(found) / 1e6:.3f} M parameters"
    latency = f", predicted latency {predict(table, found):.3f} ms" if table else ""
    click.echo(f"{size}{latency}, with channels = {network.channels}")
    click.echo(f"wrote {out} and {out.with_suffix('.png')}")


def _restore(folder: Path, data: Path, table_path: Path | None, asked: Mapping[str, Any]) -> Searcher:
    from search import checkpoint
    from search.commands.common import choose_device
    from search.commands.run import make_searcher
    from search.latency import LatencyTable, load_table
    from search.search_config import SearchConfig

    state = checkpoint.load(folder / "last.pt", checkpoint.SEARCH)
    told = SearchConfig.from_dict(state["config"], str(folder))
    table = LatencyTable.from_dict(state["table"]) if state["table"] else None
    searcher = make_searcher(told, Path(), data, table, folder, choose_device("auto"))
    searcher.restore(state)
    # Other budgets than the search's are questions about its result, not another search; so are more weights.
    if table_path is not None:
        searcher.table = load_table(table_path)
    changed = {key: value for key, value in asked.items() if value is not None}
    searcher.config = replace(told, search=replace(told.search, **changed))
    return searcher


def _found(searcher: Searcher, method: str, children: int | None, seed: int) -> Genotype:
    import numpy as np

    from search import derive as rules
    from search import monitor
    from search.evolution import Evolution, evolve

    name, weights = searcher.name, searcher.op_weights()
    if method == "weight":
        return searcher.derived()
    if method == "perturb":
        with monitor.progress(rules.perturb_steps(), 0, "score", "perturb") as bar:
            rng = np.random.default_rng([seed, 5])
            found = rules.perturb(weights, searcher.mixture_score(), rng, name, tick=bar.update)
        return searcher.fit(found)
    how = Evolution(seed=seed)
    how = replace(how, children=how.children if children is None else children)
    with monitor.progress(how.scores, 0, "score", method) as bar:
        best = evolve(
            weights,
            lambda genotype: searcher.scorer.genotype(genotype).mAP,
            how,
            name,
            accept=searcher.fits,
            first=(searcher.derived(),),
            tick=bar.update,
        )
    return best[0].genotype


def _raced(
    searcher: Searcher,
    tables: list[LatencyTable],
    others: list[Genotype],
    recipe: Recipe | None,
    children: int | None,
    epochs: int,
    seed: int,
) -> Genotype:
    from search import monitor
    from search.race import Ledger, Race, race

    how, first = Race(epochs=epochs), (searcher.derived(), *others)
    wanted = how.heats.children if children is None else children
    population = len(first) if others and not wanted else max(how.heats.population, len(first))
    heats = replace(how.heats, seed=seed, population=population, children=wanted)
    how = replace(how, heats=heats, finalists=how.finalists if epochs < how.final_epochs else 0)
    ledger = Ledger(searcher.folder / "race-scores.json")
    with monitor.progress(how.scores, 0, "training", "race") as bar:
        winner = race(searcher, how, ledger, first, tables, recipe, bar.update)[0]
    click.echo(
        f"mAP {100 * winner.fitness:.1f} % in the last training, with channels = {winner.network.channels}\n"
    )
    return winner.genotype
