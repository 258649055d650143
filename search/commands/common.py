"""What several commands need: their options, crops with a bar, a run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from autoreid_deploy.errors import InputError

if TYPE_CHECKING:
    import torch

    from search.config import RunConfig
    from search.data import Crops, Labelled
    from search.latency import LatencyTable

F = TypeVar("F", bound=Callable[..., Any])


def data_option(f: F) -> F:
    """`--data FOLDER`."""
    return click.option(
        "--data", required=True, type=click.Path(path_type=Path), help="Where the sources' paths start."
    )(f)


def run_options(f: F) -> F:
    """The options of everything that trains."""
    for option in reversed(
        (
            data_option,
            click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/NAME]"),
            click.option("--resume", is_flag=True, help="Go on from the run folder's last checkpoint."),
            click.option(
                "--strict", is_flag=True, help="Refuse unreadable crops instead of leaving them out."
            ),
            click.option(
                "--cache",
                type=click.Path(path_type=Path),
                metavar="FOLDER",
                help="Keep decoded crops there and map them into memory, which runs at the same time share.",
            ),
            click.option(
                "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
            ),
            click.option(
                "--save-every",
                type=click.FloatRange(min=0),
                default=120,
                show_default=True,
                metavar="SECONDS",
                help="Time between checkpoints within an epoch.",
            ),
        )
    ):
        f = option(f)
    return f


def latency_options(f: F) -> F:
    """`--latency-table FILE` and `--latency-budget MS`."""
    return _budget_option(_table_option(multiple=False)(f))


def latencies_options(f: F) -> F:
    """`--latency-table FILE`, as often as there are macros to choose from, and `--latency-budget MS`."""
    return _budget_option(_table_option(multiple=True)(f))


def _budget_option(f: F) -> F:
    return click.option(
        "--latency-budget",
        type=click.FloatRange(min=0, min_open=True),
        metavar="MS",
        help="What the network may take; needs a table.",
    )(f)


def _table_option(*, multiple: bool) -> Callable[[F], F]:
    again = (
        "; several for `race`, one a width: cells run in the widest that the budget allows"
        if multiple
        else ""
    )
    return click.option(
        "--latency-table",
        "latency_tables" if multiple else "latency_table",
        type=click.Path(path_type=Path),
        metavar="FILE",
        multiple=multiple,
        help=f"Table of `python -m search profile`{again}.",
    )


def read_table(path: Path | None, config: RunConfig, budget: float) -> LatencyTable | None:
    """Read a latency table where there is one.

    Raises:
        InputError: a budget is set without a table, or the table is of another macro.
    """
    from search.latency import load_table

    if path is None:
        if budget:
            raise InputError(
                f"a latency budget of {budget} ms needs measured ops: make a table with `python -m search "
                "profile CONFIG -o latency.json` and name it with --latency-table latency.json"
            )
        return None
    return load_table(path, config.network)


def run_folder(out: Path | None, name: str, resume: bool) -> Path:
    """The folder of a run, which must not hold another one.

    Raises:
        InputError: it holds a run, and nobody said to go on with it.
    """
    folder = out or Path("runs") / name
    if (folder / "last.pt").exists() and not resume:
        raise InputError(
            f"{folder} holds a run already; add --resume to go on with it, or choose another --out"
        )
    return folder


def choose_device(wanted: str) -> torch.device:
    """Join the other processes, if there are any, and take a device."""
    import torch

    from search import distributed
    from search.memory import keep_freed_memory

    keep_freed_memory()
    return distributed.start(wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu")


def read_crops(
    what: str, listed: list[Labelled], size: tuple[int, int], strict: bool, cache: Path | None = None
) -> Crops:
    """Load crops behind a bar, and name those that can't be read."""
    from search import distributed, monitor
    from search.data import load_crops

    lead = distributed.rank() == 0
    with monitor.progress(len(listed), 0, "crop", f"read {what}", shown=lead) as bar:
        crops = load_crops(listed, size, strict=strict, cache=cache, tick=bar.update)
    if lead:
        for failure in crops.failures:
            click.echo(f"left out: {failure}", err=True)
        click.echo(f"{what}: {len(crops.records)} crops of {crops.people} people", err=True)
    return crops
