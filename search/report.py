"""One HTML page that tells a search: it stands alone, pictures and all."""

from __future__ import annotations

import base64
import html
import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.derive import by_weight
from search.drawing import COLOURS, draw_cells
from search.files import replacing
from search.genotype import ALL_EDGES, CHOSEN_OPS, OPS, Genotype, load_genotype
from search.relaxation import KINDS

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 1080px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #e5e7eb }
table { border-collapse: collapse; font-size: 13px } td, th { padding: .2em .7em; text-align: right }
th { color: #6b7280; font-weight: 600; border-bottom: 1px solid #d1d5db }
td:first-child, th:first-child { text-align: left }
img { max-width: 100% } pre { background: #f3f4f6; padding: 1em; font-size: 12px; overflow-x: auto }
.alarm { background: #fef2f2; border-left: 4px solid #dc2626; padding: .5em 1em }
.fine { background: #f0fdf4; border-left: 4px solid #16a34a; padding: .5em 1em }
"""


def write_report(state: Mapping[str, Any], folder: Path) -> Path:
    """Write `report.html`.

    Args:
        state: of a search, as its checkpoint holds it.
        folder: of the run; its `genotype.json` is drawn where it is there.

    Returns:
        The page's path.
    """
    path = folder / "report.html"
    with replacing(path) as temporary:
        temporary.write_text(page(state, _cells(state, folder)), encoding="utf-8")
    return path


def _cells(state: Mapping[str, Any], folder: Path) -> Genotype | None:
    if (folder / "genotype.json").is_file():
        return load_genotype(folder / "genotype.json")
    if not state["curves"]:
        return None
    import numpy as np

    weights = {kind: np.array(state["curves"][-1][kind]) for kind in KINDS}
    told = state["config"]
    return by_weight(weights, told["name"], told["search"].get("weighted", 0))


def page(state: Mapping[str, Any], cells: Genotype | None) -> str:
    """The page of a search's state."""
    name, history = str(state["config"]["name"]), state["history"]
    parts = [f"<h1>Search {html.escape(name)}</h1>", _summary(state)]
    parts += [
        f"<p class=alarm>after epoch {r['epoch']}: {html.escape(r['alarm'])}</p>" for r in _alarms(history)
    ]
    if history and not _alarms(history):
        parts.append(
            "<p class=fine>No alarm: neither ops without weights nor <code>none</code> took over.</p>"
        )
    if cells is not None:
        parts += ["<h2>The cells</h2>", _picture(_cells_png(cells), "both cells")]
        parts.append(f"<pre>{html.escape(str(cells))}</pre>")
    if history:
        parts += ["<h2>How it went</h2>", _picture(_curves_png(history), "losses, entropy, scores, latency")]
        parts += ["<h2>Ops of the cells, epoch by epoch</h2>", _op_table(history)]
    for kind in KINDS if state["curves"] else ():
        parts.append(f"<h2>Weights of the ops, {kind} cell</h2>")
        parts.append(_picture(_alphas_png(state["curves"], kind), f"a plot an edge of the {kind} cell"))
    config = html.escape(json.dumps(state["config"], indent=1))
    parts.append(
        f"<h2>Configuration</h2><details><summary>as it was run</summary><pre>{config}</pre></details>"
    )
    body = "\n".join(parts)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Search {html.escape(name)}</title>'
        f"<style>{_STYLE}</style><body>\n{body}\n</body></html>\n"
    )


def _alarms(history: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in history if row["alarm"]]


def _summary(state: Mapping[str, Any]) -> str:
    config, people = state["config"], state["people"]
    how, scored = config["search"], [row for row in state["history"] if "mAP" in row]
    lines = [
        f"{state['epoch']} of {config['recipe']['epochs']} epochs; {how['relaxation']}, "
        f"{how['balance']:g} cross-entropy + {1 - how['balance']:g} triplet; seed {config['recipe']['seed']}",
        f"people: {people[0]} for the weights, {people[1]} for the alphas "
        f"({'other people' if how['split'] == 'people' else 'the same people, other crops'}), "
        f"{people[2]} more for the scores",
    ]
    if how["latency_budget"]:
        last = state["history"][-1]["derived_ms"] if state["history"] else float("nan")
        lines.append(
            f"latency: budget {how['latency_budget']:.3f} ms, the cells take {last:.3f} ms (predicted)"
        )
    if how.get("parameter_budget"):
        lines.append(f"parameters: budget {how['parameter_budget']:g} M")
    if how.get("weighted"):
        lines.append(f"ops with weights in the normal cell: {how['weighted']} or more")
    if scored:
        last_score = scored[-1]
        lines.append(
            f"in the supernet the cells score rank-1 {100 * last_score['rank1']:.1f} %, "
            f"mAP {100 * last_score['mAP']:.1f} %"
        )
    return "<p>" + "<br>".join(html.escape(line) for line in lines) + "</p>"


def _op_table(history: Sequence[Mapping[str, Any]]) -> str:
    columns = ("epoch", *CHOSEN_OPS, "mAP")
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell_text(row.get(column, ''))}</td>" for column in columns) + "</tr>"
        for row in history
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell_text(value: Any) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, float) else str(value)


def _picture(png: bytes, alt: str) -> str:
    return f'<img alt="{alt}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _cells_png(cells: Genotype) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.png"
        draw_cells(cells, path)
        return path.read_bytes()


def _png(figure: Any) -> bytes:
    packed = io.BytesIO()
    figure.savefig(packed, format="png", dpi=90)
    return packed.getvalue()


def _curves_png(history: Sequence[Mapping[str, Any]]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    plots = (
        ("weights' loss", ("cross_entropy", "triplet")),
        ("alphas' loss", ("alpha_cross_entropy", "alpha_triplet")),
        (
            "entropy of an edge (nats), share of none",
            ("entropy_normal", "entropy_reduce", "none_normal", "none_reduce"),
        ),
        ("in the supernet: rank-1, mAP", ("rank1", "mAP")),
    )
    for axis, (title, keys) in zip(axes, plots, strict=True):
        for key in keys:
            points = [(row["epoch"], row[key]) for row in history if key in row]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", ms=3, label=key.replace("_", " "))
        axis.set(title=title, xlabel="epoch", ylim=(0, None))
        if axis.lines:
            axis.legend(fontsize=8)
    if any("expected_ms" in row for row in history):
        right = axes[3].twinx()
        points = [(row["epoch"], row["expected_ms"]) for row in history]
        right.plot(*zip(*points, strict=True), color="#6b7280", ls=":", label="expected ms")
        right.set(ylabel="expected ms", ylim=(0, None))
        right.legend(fontsize=8, loc="lower right")
    return _png(figure)


def _alphas_png(curves: Sequence[Mapping[str, Sequence[Sequence[float]]]], kind: str) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes = figure.subplots(3, 5, sharex=True, sharey=True).ravel()
    epochs = range(1, len(curves) + 1)
    for i, (source, target) in enumerate(ALL_EDGES):
        for o, op in enumerate(OPS):
            axes[i].plot(epochs, [epoch[kind][i][o] for epoch in curves], color=COLOURS[op], lw=1.5, label=op)
        axes[i].set_title(f"{source} -> {target}", fontsize=9)
    axes[-1].axis("off")
    axes[-1].legend(*axes[0].get_legend_handles_labels(), fontsize=8, loc="center")
    return _png(figure)
