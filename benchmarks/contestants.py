"""Our models and other people's side by side: an embedder, a weight, and calls that can be timed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.embedder import Embedder
from autoreid_deploy.errors import InputError, MissingExtraError
from autoreid_deploy.model import ModelSpec, bundled_models, find_model, model_id
from autoreid_deploy.records import read_ids
from autoreid_deploy.session import ModelSession, Session
from benchmarks.peers import Feed, OpenVinoGraph, find_peers, onnx_session
from benchmarks.weights import Weight, weigh

SPLITS = Path(__file__).parents[1] / "search" / "splits"
Call = Callable[[], object]


@dataclass(frozen=True, eq=False)
class Contestant:
    """One model.

    Attributes:
        path: its file.
        ours: whether it keeps our contract.
        session: runs it, in float32.
        feed: makes crops of its input's size into what its graph takes.
    """

    path: Path
    ours: bool
    session: Session
    feed: Feed

    @property
    def spec(self) -> ModelSpec:
        """What is known of it."""
        return self.session.spec

    @property
    def name(self) -> str:
        """What a table calls it."""
        return self.spec.name

    @property
    def id(self) -> str:
        """Its name and a digest of its file; an IR's weights lie beside it."""
        beside = self.path.with_suffix(".bin")
        weights = beside if self.path.suffix == ".xml" and beside.exists() else self.path
        return model_id(self.name, weights)

    def embedder(self) -> Embedder:
        """The toolkit's own path from pictures, or boxes of a frame, to rows."""
        return Embedder(self.session, self.id)

    def weight(self) -> Weight:
        """What it weighs."""
        return weigh(self.path)

    def calls(self, batch: int) -> dict[str, Call]:
        """The bare network on crops of noise, one thread, by precision and runtime, such as `float32 onnxruntime`.

        ONNX files run in ONNX Runtime, and all of them in OpenVINO where that is installed.
        """
        size = (batch, self.spec.height, self.spec.width, 3)
        fed = self.feed(np.random.default_rng(0).integers(0, 256, size, np.uint8))
        found: dict[str, Call] = {}
        if self.path.suffix == ".onnx":
            session = onnx_session(self.path)
            name = session.get_inputs()[0].name
            found["float32 onnxruntime"] = lambda: session.run(None, {name: fed})
        try:
            graph = OpenVinoGraph(self.path)
        except MissingExtraError:
            return found
        for precision in graph.precisions():
            run = graph.compiled(batch, precision)
            found[f"{precision} openvino"] = lambda run=run: run(fed)
        return found


def load_contestants(names: Sequence[str], peers: Path | None) -> list[Contestant]:
    """Load our models by name or file, all bundled ones without any, and the peers of a folder.

    Raises:
        ReidError: a model is missing, or a file can't be loaded.
    """
    found = []
    for name in names or bundled_models():
        path = find_model(name)
        found.append(Contestant(path, True, ModelSession(path, "cpu"), _as_they_are))
    if peers is not None:
        theirs, others = find_peers(peers)
        found += [Contestant(peer.path, False, peer, peer.feed) for peer in theirs]
        if others:
            print(f"left out, since they don't give a row a crop: {', '.join(others)}", flush=True)
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let a command line name contestants."""
    parser.add_argument("--models", nargs="*", default=[], metavar="NAME|FILE", help="ours; all bundled ones")
    parser.add_argument("--peers", type=Path, help="folder of other people's .xml and .onnx files")


def has_not_seen_market_heldout(contestant: Contestant) -> bool:
    """Whether a model tells that it has learnt from nobody of `val` and `test` of market-heldout.

    A file tells its sources by name and number of people: not more people of Market-1501 than `train` lists is taken
    for that list. Who tells nothing, or was taught by a network that tells nothing, may have seen them.
    """
    training = contestant.spec.training
    return bool(training.get("data")) and not training.get("teacher") and not _extra_market_people(training)


def require_market_test_unseen(spec: ModelSpec) -> None:
    """Refuse to measure a model on people whom it has learnt from.

    Raises:
        InputError: it tells of more people of Market-1501 than `train` lists.
    """
    if extra := _extra_market_people(spec.training):
        raise InputError(
            f"{spec.name}: has learnt from {extra} people of Market-1501 beside those of "
            "market1501_train_ids.txt, so `test` is not held out from it; use `val`"
        )


def _extra_market_people(training: Mapping[str, Any]) -> int:
    listed = len(read_ids(SPLITS / "market1501_train_ids.txt"))
    data = training.get("data", [])
    return max(0, sum(source["people"] for source in data if "market" in source["name"].lower()) - listed)


def median_ms(calls: Sequence[Call], rounds: int = 15, repeat: int = 3) -> list[float]:
    """How many ms of processor time a call of each takes: the median over rounds in which all take turns.

    Processor time of the whole process, since a runtime may work in a thread of its own; what else runs on the machine
    then counts only by the caches that it takes.
    """
    taken: list[list[float]] = [[] for _ in calls]
    for done in range(rounds):
        turns = range(len(calls)) if done % 2 == 0 else reversed(range(len(calls)))
        for i in turns:
            calls[i]()  # the caches were others'
            for _ in range(repeat):
                start = time.process_time_ns()
                calls[i]()
                taken[i].append((time.process_time_ns() - start) / 1e6)
    return [float(np.median(each)) for each in taken]


def _as_they_are(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return images
