"""`python -m search derive`: choose cells from a search that is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from search.commands.common import data_option, latency_options, read_table

if TYPE_CHECKING:
    from search.genotype import Genotype
    from search.searcher import Searcher

METHODS = ("weight", "perturb", "evolve", "race")


@click.command(
    epilog="""\b
Examples:
  python -m search derive runs/search-s --data data/ -o found.json
  python -m search derive runs/search-s --data data/ --derive perturb -o found.json
  python -m search derive runs/search-s --data data/ --derive evolve --children 96 -o found.json
  python -m search derive runs/search-s --data data/ --derive race --children 8 -o found.json"""
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
    "short trainings (race).",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Genotype file.  [default: FOLDER/METHOD.json]"
)
@click.option("--children", type=click.IntRange(min=0), help="Cells that evolve.  [default: 48; race: 8]")
@click.option(
    "--race-epochs", type=click.IntRange(min=1), default=2, show_default=True, help="Of a short training."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all draws.")
@latency_options
def derive(
    folder: Path,
    data: Path,
    method: str,
    out: Path | None,
    children: int | None,
    race_epochs: int,
    seed: int,
    latency_table: Path | None,
    latency_budget: float | None,
) -> None:
    """Derive a pair of cells from the search in FOLDER and score it in the supernet."""
    from search.drawing import draw_cells
    from search.genotype import save_genotype
    from search.latency import predict

    searcher = _restore(folder, data, latency_table, latency_budget)
    found = _found(searcher, method, children, race_epochs, seed)
    out = out or folder / f"{method}.json"
    scored = searcher.scorer.genotype(found)
    save_genotype(found, out)
    draw_cells(found, out.with_suffix(".png"))
    click.echo(f"{found}\n")
    click.echo(f"in the supernet: rank-1 {100 * scored.rank(1):.1f} %, mAP {100 * scored.mAP:.1f} %")
    if searcher.table is not None:
        click.echo(f"predicted latency: {predict(searcher.table, found):.3f} ms")
    click.echo(f"wrote {out} and {out.with_suffix('.png')}")


def _restore(folder: Path, data: Path, table_path: Path | None, budget: float | None) -> Searcher:
    from search import checkpoint
    from search.commands.common import choose_device
    from search.commands.run import make_searcher
    from search.latency import LatencyTable
    from search.search_config import SearchConfig

    state = checkpoint.load(folder / "last.pt", checkpoint.SEARCH)
    told = SearchConfig.from_dict(state["config"], str(folder))
    table = LatencyTable.from_dict(state["table"]) if state["table"] else None
    searcher = make_searcher(told, Path(), data, table, folder, choose_device("auto"))
    searcher.restore(state)
    # Another budget than the search's is a question about its result, not another search.
    if budget is not None or table_path is not None:
        limit = told.search.latency_budget if budget is None else budget
        if table_path is not None or searcher.table is None:
            searcher.table = read_table(table_path, told, limit)
        searcher.config = replace(told, search=replace(told.search, latency_budget=limit))
    return searcher


def _found(searcher: Searcher, method: str, children: int | None, race_epochs: int, seed: int) -> Genotype:
    import numpy as np

    from search import derive as rules
    from search import monitor
    from search.evolution import EVOLUTION, RACE, evolve
    from search.race import short_training

    name, weights = searcher.name, searcher.op_weights()
    if method == "weight":
        return searcher.derived()
    if method == "perturb":
        with monitor.progress(rules.perturb_steps(), 0, "score", "perturb") as bar:
            rng = np.random.default_rng([seed, 5])
            found = rules.perturb(weights, searcher.mixture_score(), rng, name, tick=bar.update)
        return searcher.fit(found)
    score, how = (lambda genotype: searcher.scorer.genotype(genotype).mAP), EVOLUTION
    if method == "race":
        score = short_training(searcher.config, searcher.train, searcher.val, race_epochs, searcher.device)
        how = RACE
    how = replace(how, seed=seed, children=how.children if children is None else children)
    with monitor.progress(how.scores, 0, "score", method) as bar:
        best = evolve(
            weights,
            score,
            how,
            name,
            accept=searcher.fits,
            first=(searcher.derived(),),
            tick=bar.update,
        )
    return best[0].genotype
