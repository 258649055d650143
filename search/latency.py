"""How long a network takes: every op of the space, measured in ONNX Runtime where it will run.

An op alone in a session would mostly measure the session and the change of layout at its borders, so it is measured
among convolutions, as in a cell: four branches of `1x1 convolution -> ReLU -> op`, summed, against one branch, less
what a branch takes without the op, four in a row against one. Each branch has a source of its own, because equal
pools of one source would be merged.

    ms(op) = (branches(4) - branches(1)) / 3 - (row(4) - row(1)) / 3

Whatever is no op (stem, alignments, ReLUs, head, the call itself) is the frame: the constant of a line through the
latency of whole networks of random cells over the sum of their ops. The slope of that line, near 1, is the `scale`
of the ops; it stands for what single ops don't show: shared work, fused additions, caches that are fuller.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from autoreid_deploy.errors import InputError
from search.config import RunConfig
from search.genotype import ALL_EDGES, OPS, Genotype, random_genotype
from search.network import NetworkConfig
from search.ops import build_op
from search.stopwatch import Probe, medians_ms, network_probe, probe

FORMAT = "autoreid-latency/1"
BRANCHES = 4
FITTED = 5  # whole networks behind the frame and the scale
_REMEDY = "measure one with `python -m search profile CONFIG -o latency.json`"


class Place(NamedTuple):
    """An op somewhere in a macro; channels, height and width are those of its input."""

    op: str
    channels: int
    stride: int
    height: int
    width: int


@dataclass(frozen=True)
class LatencyTable:
    """What every op of the space costs in one macro on one machine.

    Attributes:
        network: the macro.
        batch: crops a call.
        machine: operating system and architecture.
        cpu: the processor's model.
        onnxruntime: its version.
        date: of the measurement, ISO 8601.
        frame_ms: all of a network but its ops, a call.
        scale: what the sum of the ops is multiplied by.
        rows: ms a call of each op at each place, before the scale.
    """

    network: NetworkConfig
    batch: int
    machine: str
    cpu: str
    onnxruntime: str
    date: str
    frame_ms: float
    scale: float
    rows: Mapping[Place, float]

    @cached_property
    def costs(self) -> dict[str, NDArray[np.float64]]:
        """See `edge_costs`; a search for cells within a budget asks many thousand times."""
        return costs_by_edge(self.network, lambda place: self.scale * self.rows[place])

    def __str__(self) -> str:
        """The ops in microseconds, a line a shape."""
        lines = [f"{'us of input':>16}" + "".join(f"{op:>14}" for op in OPS)]
        for c, stride, height, width in dict.fromkeys(place[1:] for place in self.rows):
            costs = [self.rows[Place(op, c, stride, height, width)] for op in OPS]
            label = f"{c}x{height}x{width}" + (" /2" if stride == 2 else "")
            lines.append(f"{label:>16}" + "".join(f"{1000 * cost:>14.1f}" for cost in costs))
        lines.append(
            f"a network: {self.frame_ms:.3f} ms + {self.scale:.2f} x its ops; batch {self.batch}, 1 thread"
        )
        return "\n".join([*lines, f"{self.cpu}, ONNX Runtime {self.onnxruntime}, {self.date}"])

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; `rows` is a list of `{"op", "channels", "stride", "height", "width", "ms"}`."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["network"] = {**asdict(self.network), "cells": list(self.network.cells)}
        plain["rows"] = [{**place._asdict(), "ms": ms} for place, ms in self.rows.items()]
        return {"format": FORMAT, **plain}

    @classmethod
    def from_dict(cls, plain: Any, where: str = "latency table") -> LatencyTable:
        """Read the JSON form.

        Raises:
            InputError: it is another format, or something is missing or of a wrong type.
        """
        came = plain.get("format") if isinstance(plain, dict) else type(plain).__name__
        if came != FORMAT:
            raise InputError(f"{where}: expected the format {FORMAT}, got {came!r}; {_REMEDY}")
        try:
            values = {field.name: plain[field.name] for field in fields(cls)}
            values["network"] = RunConfig.from_dict({"network": plain["network"]}, where).network
            values |= {key: float(plain[key]) for key in ("frame_ms", "scale")}
            values["rows"] = {
                Place(*(row[n] for n in Place._fields)): float(row["ms"]) for row in plain["rows"]
            }
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: damaged, {type(error).__name__} {error}; {_REMEDY}") from error
        missing = set(places(values["network"])) - set(values["rows"])
        if missing:
            raise InputError(f"{where}: {len(missing)} ops are missing, one is {min(missing)}; {_REMEDY}")
        return cls(**values)


def save_table(table: LatencyTable, path: str | Path) -> None:
    """Write the JSON form, one op a line."""
    plain = table.to_dict()
    rows = ",\n    ".join(json.dumps(row) for row in plain.pop("rows"))
    head = json.dumps(plain, indent=2).removesuffix("\n}")
    Path(path).write_text(f'{head},\n  "rows": [\n    {rows}\n  ]\n}}\n', encoding="utf-8")


def load_table(path: str | Path, network: NetworkConfig | None = None) -> LatencyTable:
    """Read a table and, where a macro is given, make sure that it was measured for that one.

    Raises:
        InputError: there is no table, or one for another macro.
    """
    try:
        plain = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a latency table as JSON; {error}; {_REMEDY}") from error
    table = LatencyTable.from_dict(plain, str(path))
    if network is not None and table.network != network:
        theirs, ours = asdict(table.network), asdict(network)
        differ = ", ".join(
            f"{key} {theirs[key]}, not {ours[key]}" for key in ours if theirs[key] != ours[key]
        )
        raise InputError(f"{path}: expected a table for this macro, got one for {differ}; {_REMEDY}")
    return table


def _cells(network: NetworkConfig) -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Kind of each cell, and (channels, stride, height, width) of ops that read its inputs, and its other nodes."""
    height, width = -(-network.height // network.stem_stride), -(-network.width // network.stem_stride)
    for block, count in enumerate(network.cells):
        channels = network.channels * 2**block
        before, height, width = (channels, 2, height, width), -(-height // 2), -(-width // 2)
        after = (channels, 1, height, width)
        yield "reduce", before, after
        for _ in range(count - 1):
            yield "normal", after, after


def places(network: NetworkConfig) -> list[Place]:
    """Every op at every shape at which a macro can use it, in order."""
    shapes = dict.fromkeys(shape for _, *both in _cells(network) for shape in both)
    return [Place(op, *shape) for shape in shapes for op in OPS]


def costs_by_edge(
    network: NetworkConfig, of_place: Callable[[Place], float]
) -> dict[str, NDArray[np.float64]]:
    """What each op adds on each edge, over all cells of a kind in the macro.

    Args:
        network: the macro.
        of_place: what an op adds at a place.

    Returns:
        By kind of cell (E, O), edges in the order of `ALL_EDGES`, ops in that of `OPS`.
    """
    costs = {kind: np.zeros((len(ALL_EDGES), len(OPS))) for kind in ("normal", "reduce")}
    for kind, at_input, at_node in _cells(network):
        for row, (source, _) in enumerate(ALL_EDGES):
            shape = at_input if source < 2 else at_node
            costs[kind][row] += [of_place(Place(op, *shape)) for op in OPS]
    return costs


def predict(table: LatencyTable, genotype: Genotype) -> float:
    """How many ms a call of a genotype's network takes."""
    return genotype.total(table.costs, table.frame_ms)


def widest(tables: Sequence[LatencyTable], fits: Callable[[LatencyTable], bool]) -> NetworkConfig | None:
    """The widest of several macros in which cells stay within a budget: width is part of the space.

    Wider is not always slower: ONNX Runtime computes 8 or 16 channels at a time, whatever the processor has.

    Args:
        tables: one a macro.
        fits: whether the cells are within the budget in a table's macro.

    Returns:
        None where no macro is narrow enough.
    """
    fitting = [table.network for table in tables if fits(table)]
    return max(fitting, key=lambda network: network.channels, default=None)


def edge_costs(table: LatencyTable) -> dict[str, NDArray[np.float64]]:
    """What each op costs on each edge of a `normal` and a `reduce` cell, over all cells of the kind in the macro.

    Returns:
        By kind (E, O) ms a call, scaled; edges in the order of `ALL_EDGES`, ops in that of `OPS`.
    """
    return {kind: cost.copy() for kind, cost in table.costs.items()}


def profile_steps(network: NetworkConfig) -> int:
    """How often `profile` ticks."""
    return len(places(network)) + FITTED


def profile(
    network: NetworkConfig, batch: int = 1, tick: Callable[[], object] = lambda: None
) -> LatencyTable:
    """Measure every op at every place of a macro, then the frame.

    Args:
        network: the macro.
        batch: crops a call.
        tick: called `profile_steps(network)` times.
    """
    machine = f"{platform.system()} {platform.machine()}"
    rows = _measure_ops(places(network), batch, tick)
    today = date.today().isoformat()
    table = LatencyTable(network, batch, machine, _cpu(), ort.__version__, today, 0.0, 1.0, rows)
    # Random cells from cheap to dear: a line is fitted best through points far apart.
    rng = np.random.default_rng(20190313)
    drawn = sorted((random_genotype(rng) for _ in range(64)), key=lambda genotype: predict(table, genotype))
    chosen = [drawn[i] for i in np.linspace(0, len(drawn) - 1, FITTED).round().astype(int)]
    probes = []
    for genotype in chosen:
        probes.append(network_probe(genotype, network, batch))
        tick()
    measured = medians_ms(probes)
    predicted = np.array([predict(table, genotype) for genotype in chosen])
    # A slope far from 1 is noise, as in a macro so small that its networks hardly differ.
    scale = float(np.clip(np.polyfit(predicted, measured, 1)[0], 0.5, 2.0))
    return replace(table, scale=scale, frame_ms=float(np.mean(measured - scale * predicted)))


def _measure_ops(wanted: Iterable[Place], batch: int, tick: Callable[[], object]) -> dict[Place, float]:
    probes: dict[tuple[Place, int], Probe] = {}
    for place in wanted:
        # `none` stands for what a branch takes without an op.
        for count in (1, BRANCHES):
            shape = (batch, place.channels, place.height, place.width)
            probes[place, count] = probe(partial(_Branches, place, count), shape)
        tick()
    taken = dict(zip(probes, medians_ms(list(probes.values())), strict=True))
    slope = {p: (taken[p, BRANCHES] - taken[p, 1]) / (BRANCHES - 1) for p, _ in probes}
    return {p: max(0.0, float(ms - slope[p._replace(op="none")])) for p, ms in slope.items()}


class _Branches(nn.Module):
    """Branches of `1x1 convolution -> ReLU -> op`, summed and projected; without an op, in a row instead."""

    def __init__(self, place: Place, count: int) -> None:
        super().__init__()
        channels = place.channels
        self.in_a_row = place.op == "none"
        self.enter = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(count))
        self.ops = nn.ModuleList(build_op(place.op, channels, place.stride) for _ in range(count))
        self.leave = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H / stride, W / stride); in a row (N, C, H, W)."""
        if self.in_a_row:
            for enter in self.enter:
                x = F.relu(enter(x))
        else:
            terms = [op(F.relu(enter(x))) for enter, op in zip(self.enter, self.ops, strict=True)]
            x = sum(terms[1:], start=terms[0])
        out: Tensor = self.leave(x)
        return out


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next((s.split(": ", 1)[1] for s in lines if s.startswith("model name")), platform.processor())
