"""What a person sees of a run: a progress bar, a CSV log, a curve."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from search.files import replacing


def progress(total: int, done: int, unit: str, label: str, *, shown: bool = True) -> Any:
    """A bar on stderr with rate and ETA; where stderr is no terminal, a line every half minute."""
    quick = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=done,
        unit=unit,
        desc=label,
        mininterval=0.2 if quick else 30,
        maxinterval=1 if quick else 60,
        smoothing=0.05,
        dynamic_ncols=quick,
        disable=not shown,
    )


def say(line: str) -> None:
    """Write a line on stderr without breaking the bar."""
    tqdm.write(line, file=sys.stderr)


def write_log(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write one row an epoch; the whole file is replaced, so a resumed run leaves no double rows."""
    columns = list(dict.fromkeys(key for row in history for key in row))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(history)


def draw_curve(history: Sequence[Mapping[str, Any]], path: Path, title: str) -> None:
    """Plot losses, and validation rank-1 and mAP, over epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    for key in ("cross_entropy", "triplet", "contrastive", "teacher"):
        if key in history[-1]:
            left.plot(epochs, [row[key] for row in history], label=key.replace("_", "-"))
    left.set(title=f"{title}: loss", xlabel="epoch", ylabel="loss", ylim=(0, None))
    left.legend()
    scored = [row for row in history if row.get("mAP") not in (None, "")]
    for key, label in (("rank1", "rank-1"), ("mAP", "mAP")):
        right.plot(
            [r["epoch"] for r in scored], [100 * r[key] for r in scored], marker="o", ms=3, label=label
        )
    right.set(title=f"{title}: validation", xlabel="epoch", ylabel="%", ylim=(0, 100))
    right.grid(alpha=0.3)
    right.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
