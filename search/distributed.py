"""One process or many, the same result.

A batch is cut into equal slices, one a process. Two things look beyond a slice: BN's statistics and the
hardest positive and negative of the triplet loss. Both go through one differentiable sum over the processes,
so that the gradients that DDP averages are those of the undivided batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from autoreid_deploy.errors import DeviceError


def world_size() -> int:
    """How many processes train together; 1 outside `torchrun`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def start(device: str) -> torch.device:
    """Join the group that `torchrun` describes in the environment, if it does.

    Args:
        device: `cpu` or `cuda`.

    Returns:
        This process's device.

    Raises:
        DeviceError: CUDA is asked for and is not there, or there are more processes than devices.
    """
    home = torch.device(device)
    if device == "cuda":
        number, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if number >= devices:
            raise DeviceError(
                f"--device cuda: torch finds {devices} CUDA devices here, process {number} needs one of "
                "its own; use --device cpu, fewer processes or a CUDA build of torch"
            )
        home = torch.device("cuda", number)
        torch.cuda.set_device(home)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    return home


def stop() -> None:
    """Leave the group, if there is one."""
    if world_size() > 1:
        dist.destroy_process_group()


class _Sum(torch.autograd.Function):
    """All-reduce whose gradient is the all-reduce of the gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone().contiguous()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone().contiguous()
        dist.all_reduce(total)
        return total


_sum: Callable[[Tensor], Tensor] = _Sum.apply


def all_sum(x: Tensor) -> Tensor:
    """Sum a tensor over the processes; gradients flow back to every process's share."""
    return x if world_size() == 1 else _sum(x)


def mean(values: Sequence[float], device: torch.device) -> list[float]:
    """Average plain numbers over the processes; all of them get the same answer."""
    if world_size() == 1:
        return list(values)
    total = all_sum(torch.tensor(values, dtype=torch.float64, device=device))
    averaged: list[float] = (total / world_size()).tolist()
    return averaged


def gather(x: Tensor) -> Tensor:
    """(n, ...) in each process -> (world * n, ...) in all, by rank; gradients flow back to the owner."""
    if world_size() == 1:
        return x
    before, after = rank(), world_size() - 1 - rank()
    parts = [x.new_zeros((before * len(x), *x.shape[1:])), x, x.new_zeros((after * len(x), *x.shape[1:]))]
    return all_sum(torch.cat(parts))


def keep_to_slices(network: nn.Module) -> None:
    """Let each norm of a network take the statistics of its process's slice alone."""
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.across = False


class BatchNorm(nn.BatchNorm2d):
    """BN over (N, C, H, W) or (N, C) whose statistics are those of the whole batch, on a CPU too.

    torch's SyncBatchNorm refuses CPU tensors; in one process this is plain `BatchNorm2d`.

    Attributes:
        across: whether it looks beyond its process's slice; if not, slices should be as large as a good batch.
    """

    across = True

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 4):
            raise ValueError(f"expected (N, C) or (N, C, H, W), got {tuple(input.shape)}")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) or (N, C) -> the same shape."""
        if not (self.training and self.across) or world_size() == 1:
            return super().forward(x)
        axes = [0, *range(2, x.dim())]
        wide = x.float()
        count = x.numel() // x.shape[1] * world_size()
        mean = all_sum(wide.mean(axes)) / world_size()
        shape = [1, -1] + [1] * (x.dim() - 2)
        # Two passes: E[x^2] - E[x]^2 cancels in float32.
        variance = all_sum((wide - mean.view(shape)).square().mean(axes)) / world_size()
        self._track(mean.detach(), variance.detach() * count / max(count - 1, 1))
        out = (wide - mean.view(shape)) * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(x.dtype)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if self.num_batches_tracked is None or self.running_mean is None or self.running_var is None:
            return
        self.num_batches_tracked.add_(1)
        # As in torch, no momentum means a plain mean over the batches.
        momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)
