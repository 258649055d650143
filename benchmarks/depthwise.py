"""A dilated depthwise 3x3 by phases against torch's own dilated kernel, forward and backward, on the CPU.

    python -m benchmarks.depthwise [--batch 64] [--repeat 9] [--json]

The two take turns within each repetition, in alternating order; times are medians, the ratio is the median of the
ratios within a repetition. Times are CPU seconds of one thread, so that other work on the machine counts little. Both
compute the same numbers, which is checked first. Maps are channels_last, as in training; bf16 is measured where the
processor has it.
"""

import argparse
import datetime
import json
import platform
import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn

from search.memory import keep_freed_memory
from search.ops import DepthwiseConv
from search.optim import native_bf16

CHANNELS = (16, 32, 64)
MAPS = ((64, 32), (32, 16))


def step(conv: nn.Module, x: Tensor, grad: Tensor) -> float:
    """CPU seconds of one forward and backward pass."""
    x = x.detach().requires_grad_()
    start = time.process_time()
    conv(x).backward(grad)
    return time.process_time() - start


def compare(
    channels: int, size: tuple[int, int], batch: int, dtype: torch.dtype, repeat: int
) -> dict[str, Any]:
    phases = DepthwiseConv(channels, 1, dilation=2)
    plain = nn.Conv2d(channels, channels, 3, padding=2, dilation=2, groups=channels, bias=False)
    plain.load_state_dict(phases.state_dict())
    phases, plain = phases.to(dtype), plain.to(dtype)
    x = torch.randn(batch, channels, *size).to(dtype).contiguous(memory_format=torch.channels_last)
    grad = torch.randn_like(x)
    torch.testing.assert_close(phases(x), plain(x), atol=1e-5 if dtype == torch.float32 else 5e-2, rtol=1e-2)

    contestants = {"phases": phases, "torch": plain}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for repetition in range(repeat + 1):
        order = list(contestants) if repetition % 2 else list(reversed(contestants))
        for name in order:
            times[name].append(step(contestants[name], x, grad))
    warm = {name: taken[1:] for name, taken in times.items()}
    return {
        "channels": channels,
        "map": list(size),
        "dtype": str(dtype).removeprefix("torch."),
        "phases_ms": 1000 * statistics.median(warm["phases"]),
        "torch_ms": 1000 * statistics.median(warm["torch"]),
        "ratio": statistics.median(b / a for a, b in zip(warm["phases"], warm["torch"], strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    dtypes = [torch.float32, torch.bfloat16] if native_bf16() else [torch.float32]
    rows = [
        compare(channels, size, args.batch, dtype, args.repeat)
        for dtype in dtypes
        for size in MAPS
        for channels in CHANNELS
    ]
    if args.json:
        about = {
            "batch": args.batch,
            "repeat": args.repeat,
            "machine": platform.processor() or platform.machine(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "torch": torch.__version__,
            "date": datetime.date.today().isoformat(),
        }
        print(json.dumps({**about, "rows": rows}))
        return
    print(f"{'type':9} {'channels':>8} {'map':>7} {'by phases':>12} {'torch':>10}   torch / phases")
    for row in rows:
        size = "x".join(map(str, row["map"]))
        print(
            f"{row['dtype']:9} {row['channels']:8} {size:>7} {row['phases_ms']:9.2f} ms {row['torch_ms']:7.2f} ms"
            f"   {row['ratio']:.1f}"
        )


if __name__ == "__main__":
    main()
