"""Weights out of an exported model: the way back from what `export/deploy_model.py` folds.

An export has every batch norm (BN) multiplied into the layer before it. Here each of these layers gets its BN back, in
two steps that change no embedding: `read_onnx` gives BNs that add what the file adds and do nothing else, and `reopen`
gives these the statistics of the crops to come, so that a training starts where the file stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from autoreid_deploy.errors import InputError
from autoreid_deploy.session import ModelSession
from search.augment import normalise
from search.cells import Cell
from search.genotype import Genotype
from search.network import Network, NetworkConfig, build_network
from search.ops import FactorizedReduce, PartAware
from search.pixels import Images

BATCH = 64
MEASURED = 1024  # crops that a BN's statistics are taken from
MAX_DIFFERENCE = 1e-4  # of an entry of a unit row: as much as an export may differ from its network


def read_onnx(path: Path, genotype: Genotype, config: NetworkConfig, mirrored: bool = False) -> Network:
    """Rebuild the network of a file that `python -m export` wrote; its classifier is not in there.

    Args:
        path: the model.
        genotype: its cells.
        config: the rest of it.
        mirrored: the file embeds mirror images too.

    Returns:
        A network in evaluation mode that embeds as the file does, to be given to `reopen` before it learns.

    Raises:
        InputError: weights are missing, do not fit, or embed in another way than the file: it was made smaller, or
            other software wrote it.
    """
    if config.ibn:
        raise InputError(
            f"{path}: cannot be trained on: it normalises by picture; take the checkpoint it came from"
        )
    network, file = build_network(genotype, config, 1).eval(), _File(path)
    sources, twins = _sources(network), _twins(network)
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and name != "classifier":
                file.fill(module.weight, f"{name}.weight")
                if isinstance(module, nn.Linear) and module.bias is not None:
                    file.fill(module.bias, f"{name}.bias", 0)
                elif module.bias is not None:  # its BN adds it
                    module.bias.zero_()
        for name, module in network.named_modules():
            if not isinstance(module, nn.BatchNorm2d):
                continue
            if name in sources:
                _unfold(network, module, sources[name], file)
            else:
                own = file.holds(f"{name}.running_mean")
                _fill_norm(module, name if own else twins.get(name, name), file)
    _require_same(network, path, config, mirrored)
    return network


def reopen(network: Network, images: Images) -> None:
    """Give the BNs of `read_onnx` the statistics of crops; no embedding changes.

    y = x + b is y = g (x - m) / sqrt(v + eps) + c with g = sqrt(v + eps) and c = b + m, whatever the m and v. Those of
    the crops make a BN in training, which takes m and v from its batch, do what it does in evaluation.

    Args:
        network: of `read_onnx`.
        images: (N, H, W, 3) uint8, the crops to learn from.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.affine]
    seen = _statistics(network, norms, images)
    with torch.no_grad():
        for norm in norms:
            mean, variance = _running(norm)
            new_mean, new_variance = seen[norm]
            norm.weight.div_(torch.sqrt(variance + norm.eps))
            if norm is not network.neck:  # whose bias stays 0, so that its mean is the file's
                norm.bias.add_(norm.weight * (new_mean - mean))
                mean.copy_(new_mean)
            norm.weight.mul_(torch.sqrt(new_variance + norm.eps))
            variance.copy_(new_variance)


class _File:
    """The weights of a graph, by the names that they have in a network."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._graph = onnx.load(path).graph
        self._held: dict[str, onnx.TensorProto] = {t.name: t for t in self._graph.initializer}

    def fill(self, target: Tensor, name: str, default: float | None = None) -> None:
        """Copy a tensor of the file; an optimiser of graphs drops biases that are 0.

        Raises:
            InputError: it is not there and has no default, or is of another shape or type.
        """
        found = self._find(name)
        if found is None and default is not None:
            target.fill_(default)
        elif found is None:
            raise InputError(
                f"{self.path}: cannot be trained on: no weights {name}; take the checkpoint it came from"
            )
        elif found.dtype != np.float32 or found.shape != tuple(target.shape):
            raise InputError(
                f"{self.path}: cannot be trained on: expected {name} as float32 {list(target.shape)}, got "
                f"{found.dtype} {list(found.shape)}"
            )
        else:
            target.copy_(torch.from_numpy(found.copy()))

    def holds(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        return f"network.{name}" in self._held

    def _find(self, name: str) -> NDArray[np.generic] | None:
        held = self._held.get(f"network.{name}")
        if held is None and name.endswith((".key.weight", ".query.weight")):
            held = self._projection(*name.rsplit(".", 2)[:2])
            return None if held is None else numpy_helper.to_array(held).T
        return None if held is None else numpy_helper.to_array(held)

    def _projection(self, op: str, wanted: str) -> onnx.TensorProto | None:
        """The weight of a part-aware op's key or query, which is turned in a graph and has no name there.

        Both multiply what the op's convolution puts out; the query is turned before it meets the key.
        """
        convolution = [node for node in self._graph.node if f"network.{op}.local.weight" in node.input]
        for parts in self._readers(self._readers(convolution)):
            if parts.op_type == "MatMul" and parts.input[1] in self._held:
                after = self._readers([parts])
                after = self._readers(after) if after[0].op_type == "Add" else after
                if ("query" if after[0].op_type == "Transpose" else "key") == wanted:
                    return self._held[parts.input[1]]
        return None

    def _readers(self, nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
        given = {name for node in nodes for name in node.output}
        return [node for node in self._graph.node if given & set(node.input)]


def _sources(network: Network) -> dict[str, Sequence[str]]:
    """The layers that each BN was folded into, as `export/deploy_model.py` does it."""
    found: dict[str, Sequence[str]] = {}
    for name, module in network.named_modules():
        if isinstance(module, FactorizedReduce):
            found[f"{name}.bn"] = (f"{name}.even", f"{name}.odd")
        elif isinstance(module, PartAware):
            found[f"{name}.local_bn"] = (f"{name}.local",)
        elif isinstance(module, nn.Sequential):
            for i, (layer, norm) in enumerate(pairwise(module)):
                if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    found[f"{name}.{i + 1}"] = (f"{name}.{i}",)
    if isinstance(network.bottleneck, nn.Linear):
        found["neck"] = ("bottleneck",)
    return found


def _twins(network: Network) -> dict[str, str]:
    """The BNs behind two equal pools of one node, which are one in a graph: the second one's name, and the first's."""
    found: dict[str, str] = {}
    for name, cell in network.named_modules():
        if isinstance(cell, Cell):
            first: dict[tuple[type[nn.Module], int], int] = {}
            for i, (op, (source, _)) in enumerate(zip(cell.ops, cell.sources, strict=True)):
                if isinstance(op, nn.Sequential) and isinstance(op[0], nn.MaxPool2d | nn.AvgPool2d):
                    found[f"{name}.ops.{i}.1"] = f"{name}.ops.{first.setdefault((type(op[0]), source), i)}.1"
    return found


def _fill_norm(norm: nn.BatchNorm2d, name: str, file: _File) -> None:
    """A BN that was not folded is in the file as it was."""
    mean, variance = _running(norm)
    for what, default in (("weight", 1), ("bias", 0)) if norm.affine else ():
        file.fill(getattr(norm, what), f"{name}.{what}", default)
    file.fill(mean, f"{name}.running_mean", 0)
    file.fill(variance, f"{name}.running_var", 1)


def _unfold(network: Network, norm: nn.BatchNorm2d, sources: Sequence[str], file: _File) -> None:
    """A BN that was folded into layers takes back what they add, and the lengths of their filters.

    A filter before a BN may have any length. It gets 1, about what it has in training: the triplet loss looks at the
    feature before the neck, and steps are as long as filters of that length need them.
    """
    mean, variance = _running(norm)
    layers = [cast(nn.Conv2d | nn.Linear, network.get_submodule(name)) for name in sources]
    widths = [len(layer.weight) for layer in layers]
    for name, layer, gain, bias in zip(
        sources, layers, torch.split(norm.weight, widths), torch.split(norm.bias, widths), strict=True
    ):
        file.fill(bias, f"{name}.bias", 0)
        length = layer.weight.flatten(1).norm(dim=1)
        gain.copy_(torch.where(length > 0, length, 1))
        layer.weight /= gain.view(-1, *[1] * (layer.weight.dim() - 1))
    variance.fill_(1 - norm.eps)
    if (
        norm is network.neck
    ):  # the classifier's planes go through the origin: all that it adds comes from its mean
        mean.copy_(-norm.bias / norm.weight)
        norm.bias.zero_()


def _running(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean, norm.running_var


def _statistics(
    network: Network, norms: Sequence[nn.BatchNorm2d], images: Images
) -> dict[nn.BatchNorm2d, tuple[Tensor, Tensor]]:
    """Mean and variance of each channel of what each BN is given, over crops spread evenly."""
    device = network.neck.weight.device
    sums = {norm: torch.zeros(3, len(norm.bias), dtype=torch.float64, device=device) for norm in norms}

    def add(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        x = inputs[0].double().transpose(0, 1).flatten(1)
        sums[cast(nn.BatchNorm2d, norm)] += torch.stack(
            [x.sum(1), x.square().sum(1), torch.full_like(x[:, 0], x.shape[1])]
        )

    hooks = [norm.register_forward_pre_hook(add) for norm in norms]
    places = np.linspace(0, len(images) - 1, min(len(images), MEASURED)).astype(np.int64)
    with torch.no_grad():
        for start in range(0, len(places), BATCH):
            some = torch.from_numpy(images[places[start : start + BATCH]]).to(device)
            network.features(normalise(some))
    for hook in hooks:
        hook.remove()
    return {
        norm: ((total / count).float(), (squares / count - (total / count).square()).clamp(min=0).float())
        for norm, (total, squares, count) in sums.items()
    }


def _require_same(network: Network, path: Path, config: NetworkConfig, mirrored: bool) -> None:
    """Compare with ONNX Runtime on noise and on flat colours."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, config.height, config.width, 3), np.uint8)
    images[4:] = images[4:, :1, :1]
    with torch.no_grad():
        came = network.embed(normalise(torch.from_numpy(images)), mirrored).numpy()
    expected = ModelSession(path, "cpu").run(images)
    difference = np.inf if came.shape != expected.shape else float(np.abs(came - expected).max())
    if not difference < MAX_DIFFERENCE:
        raise InputError(
            f"{path}: cannot be trained on: its weights, read back, embed in another way (difference "
            f"{difference:.1e}); take the checkpoint it came from"
        )
