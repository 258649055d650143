"""`reid-index info` and `audit`: what an index holds, how it is searched, and what was done to it."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoreid_deploy.cli.common import (
    index_option,
    json_option,
    load_model,
    pace,
    pace_text,
    plural,
    print_json,
    shown,
)
from autoreid_deploy.cli.models import trained_on

if TYPE_CHECKING:
    from autoreid_deploy.gallery import GalleryInfo


@click.command(epilog="\b\nExamples:\n  reid-index info\n  reid-index info --json | jq .cameras")
@index_option
@json_option
def info(index: Path, as_json: bool) -> None:
    """Say what the index holds, how it is searched, and what its model was trained on."""
    from autoreid_deploy.errors import ReidError
    from autoreid_deploy.gallery import Gallery

    with Gallery.open(index) as gallery:
        facts = gallery.info()
        try:
            with load_model(gallery, None, "cpu") as embedder:
                spec, speed, trouble = embedder.spec, pace(embedder), None
        except ReidError as error:
            spec, speed, trouble = None, {}, str(error)
    values = {**asdict(facts), "model_error": trouble}
    if spec:
        sets = spec.training.get("data", [])
        values |= {"height": spec.height, "width": spec.width, "ms_a_crop": speed}
        values |= {"terms": spec.terms, "training_data": sets}
    if as_json:
        print_json(values)
        return
    made = _minute(facts.created)
    lines = {
        "index": f"{index} ({_mib(facts.bytes)}, schema {facts.schema}, made {made})",
        "crops": f"{facts.crops:,} of {plural(facts.people, 'known person', 'known people')}",
        "cameras": ", ".join(f"{name}: {count:,} crops" for name, count in facts.cameras.items())
        or "none known",
        "search": _search(facts),
        "on disk": f"database {_mib(facts.database_bytes)}, index {_mib(facts.index_bytes)}",
        "kept": _kept(facts),
        "model": f"{facts.model_id}, rows of {facts.dim} numbers",
    }
    if facts.trouble:
        lines["wrong"] = facts.trouble
    if spec:
        lines["input"] = f"{spec.height}x{spec.width}"
        lines["speed"] = pace_text(speed)
        lines["terms"] = spec.terms
        lines["trained on"] = trained_on(sets)
    else:
        lines["trouble"] = str(trouble)
    for name, text in lines.items():
        click.echo(f"{name:<11}{shown(text)}")


def _search(facts: "GalleryInfo") -> str:
    if facts.generation is None:
        return "exact, all rows from the database"
    how = facts.kind
    if facts.depth:
        how += f" to depth {facts.depth}, recall {facts.recall:.3f} of {facts.target:g} asked for"
    speed = f", {facts.milliseconds:.2g} ms a query" if facts.milliseconds else ""
    told = f"{how}{speed}; generation {facts.generation}"
    since = [f"{facts.delta:,} rows newer"] * bool(facts.delta)
    since += [f"{facts.tombstones:,} removed"] * bool(facts.tombstones)
    return ", ".join([told, *since])


def _kept(facts: "GalleryInfo") -> str:
    if facts.keep_days is None:
        return "without a limit"
    told = plural(facts.keep_days, "day")
    return f"{told}; {plural(facts.undated, 'crop')} without a time stay" if facts.undated else told


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _minute(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


@click.command(epilog="\b\nExamples:\n  reid-index audit\n  reid-index audit --json | jq '.[-1]'")
@index_option
@json_option
def audit(index: Path, as_json: bool) -> None:
    """Show what was forgotten, corrected, exported and imported: when and how many, never whom."""
    from autoreid_deploy.gallery import Gallery

    with Gallery.open(index) as gallery:
        lines = gallery.store.audit()
    if as_json:
        print_json([{"time": seconds, "line": line} for seconds, line in lines])
        return
    for seconds, line in lines:
        click.echo(f"{_minute(seconds)}  {shown(line)}")
    if not lines:
        click.echo("nothing was forgotten, corrected, exported or imported yet", err=True)
