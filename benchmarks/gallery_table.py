"""How the benchmarks of the gallery print what they found: Markdown tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]


def markdown(rows: Sequence[Row]) -> str:
    """Print rows as a table; a column that is empty throughout is left out."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    names = [name for name in names if any(row.get(name) not in (None, "") for row in rows)]
    lines = [names, ["---"] * len(names)]
    lines += [[_told(row.get(name)) for name in names] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _told(value: object) -> str:
    """Three digits are more than any of this is repeatable to."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}" if value < 0.99 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def ms(seconds: Sequence[float], percent: float) -> float:
    """A percentile in milliseconds."""
    return 1000 * float(np.percentile(seconds, percent))


def verdict(met: bool) -> str:
    """The word for the table."""
    return "met" if met else "missed"
