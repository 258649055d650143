"""A stopwatch for networks: ONNX Runtime on one thread, as deployed, undisturbed by other processes."""

from __future__ import annotations

import copy
import io
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import onnxslim
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search.genotype import Genotype
from search.network import Network, NetworkConfig, build_network
from search.ops import FactorizedReduce


class Probe(NamedTuple):
    """A session of ONNX Runtime and what it is fed, by name."""

    session: Any
    feed: dict[str, NDArray[np.float32]]


class _Embedding(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.embed(x)


def embedding_probe(build: Callable[[], Network], network: NetworkConfig, batch: int = 1) -> Probe:
    """Any network up to its embedding, as it will be deployed, at a macro's input size."""
    return probe(lambda: _Embedding(build()), (batch, 3, network.height, network.width))


def network_probe(genotype: Genotype, network: NetworkConfig, batch: int = 1) -> Probe:
    """A genotype's network up to its embedding, with random weights."""
    return embedding_probe(lambda: build_network(genotype, network, people=1), network, batch)


def network_ms(genotype: Genotype, network: NetworkConfig, batch: int = 1) -> float:
    """How many ms a call of a genotype's network takes here, measured."""
    return median_ms(*network_probe(genotype, network, batch))


def probe(build: Callable[[], nn.Module], shape: Sequence[int]) -> Probe:
    """Anything that takes one float32 tensor of a shape, with random weights.

    Args:
        build: makes it.
        shape: of its input, batch first.
    """
    with torch.random.fork_rng(devices=[]):  # a profile must not change what its caller draws next
        torch.manual_seed(0)
        example = torch.randn(*shape)
        return Probe(open_session(build(), example), {"images": example.numpy()})


def open_session(module: nn.Module, example: Tensor) -> Any:
    """Export a module as `export/` does, with BN folded and the graph simplified, to a session of one thread.

    Args:
        module: takes one tensor.
        example: what it takes; the batch is free.

    Returns:
        An `onnxruntime.InferenceSession` with the input `images`.
    """
    module = copy.deepcopy(module).eval()
    for part in module.modules():
        # The exporter folds a BN behind one convolution; this one is behind two, and only `export/` folds it.
        if isinstance(part, FactorizedReduce):
            part.bn = nn.Identity()  # type: ignore[assignment]
    buffer, free = io.BytesIO(), {"images": {0: "batch"}}
    with warnings.catch_warnings():
        # It says that it is the old exporter. The new one takes ten times as long to the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (example,),
            buffer,  # type: ignore[arg-type]  # the old exporter writes to memory too
            dynamo=False,
            opset_version=17,
            input_names=["images"],
            dynamic_axes=free,
        )
    graph = onnxslim.slim(onnx.load_from_string(buffer.getvalue())).SerializeToString()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def median_ms(session: Any, feed: dict[str, NDArray[np.float32]]) -> float:
    """How many ms a call takes; see `medians_ms`."""
    return float(medians_ms([Probe(session, feed)])[0])


def medians_ms(
    probes: Sequence[Probe], rounds: int = 40, calls: int = 5, seconds: float = 0.3
) -> NDArray[np.float64]:
    """How many ms a call of each takes: the least of its rounds' medians.

    Other processes slow a core down for a while, so all take turns in every round. What counts is the time of this
    thread, the only one of a session: the clock's time, were there nobody else.

    Args:
        probes: what to measure.
        rounds: at most; five at least.
        calls: a round.
        seconds: for each of the probes, beyond which no further round starts.

    Returns:
        (probes,) ms.
    """
    least = np.full(len(probes), np.inf)
    end = time.monotonic() + seconds * len(probes)
    for done in range(rounds):
        if done >= 5 and time.monotonic() > end:
            break
        for i, timed in enumerate(probes):
            timed.session.run(None, timed.feed)  # the caches were others'
            least[i] = min(least[i], np.median([_call_ms(timed) for _ in range(calls)]))
    return least


def _call_ms(timed: Probe) -> float:
    start = time.thread_time_ns()
    timed.session.run(None, timed.feed)
    return (time.thread_time_ns() - start) / 1e6
