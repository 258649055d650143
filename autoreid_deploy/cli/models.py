"""`reid-index models`: which models come with the package."""

from collections.abc import Mapping
from typing import Any

import click

from autoreid_deploy.cli.common import json_option, pace, pace_text, print_json, shown


@click.command(epilog="\b\nExamples:\n  reid-index models\n  reid-index models --json | jq '.[].terms'")
@json_option
def models(as_json: bool) -> None:
    """List the bundled models, any of which --model takes by its name, and what they may be used for."""
    from autoreid_deploy.embedder import Embedder
    from autoreid_deploy.model import DEFAULT_MODEL, bundled_models

    rows = []
    for name, path in bundled_models().items():
        with Embedder.load(name, workers=1) as embedder:
            spec = embedder.spec
            rows.append(
                {
                    "name": name,
                    "default": name == DEFAULT_MODEL,
                    "model_id": embedder.id,
                    "bytes": path.stat().st_size,
                    "height": spec.height,
                    "width": spec.width,
                    "dim": spec.dim,
                    "ms_a_crop": pace(embedder),
                    "terms": spec.terms,
                    "training_data": spec.training.get("data", []),
                }
            )
    if as_json:
        print_json(rows)
        return
    for row in rows:
        size = f"{row['bytes'] / 1e6:.1f} MB, {row['height']}x{row['width']} -> {row['dim']}"
        click.echo(f"{row['name']}{' (default)' if row['default'] else ''}: {row['model_id']}, {size}")
        click.echo(f"  speed       {pace_text(row['ms_a_crop'])}")
        click.echo(f"  terms       {shown(row['terms'])}")
        click.echo(f"  trained on  {shown(trained_on(row['training_data']))}")


def trained_on(sets: list[Mapping[str, Any]]) -> str:
    """Describe what a model was trained on.

    >>> trained_on([{"name": "drawn people", "people": 20, "crops": 1200, "terms": "free"}])
    'drawn people (20 people, 1,200 crops, free)'
    """
    return "; ".join(map(_training_set, sets)) or "not told"


def _training_set(data: Mapping[str, Any]) -> str:
    counts = [f"{data[what]:,} {what}" for what in ("people", "crops") if what in data]
    return f"{data.get('name', '?')} ({', '.join([*counts, *filter(None, [data.get('terms')])])})"
