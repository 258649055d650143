import os
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from torch import nn

from autoreid_deploy.errors import DeviceError
from search import checkpoint, distributed
from search.distributed import BatchNorm
from search.losses import batch_hard_triplet, contrastive

# Sums in another order part by 2e-6 in the first step and by ten times more in each that follows; the low rate keeps
# six steps of that below the tolerance. Statistics or negatives of a slice alone part by more in the first step.
RATE, TOLERANCE = 0.003, 1e-4


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_two_processes_train_the_same_network_as_one(
    search: Callable[..., int], drawn: Path, config_file: Path, tmp_path: Path
):
    """Slices hold other people: without common BN statistics and common negatives the weights would part."""
    text = config_file.read_text().replace("epochs = 2", "epochs = 1").replace("lr = 0.03", f"lr = {RATE}")
    # A processor that computes in bf16 would round the sums of two slices otherwise than that of one.
    text = text.replace("[recipe]", '[recipe]\nprecision = "float32"')
    config_file.write_text(text)
    arguments = ["retrain", config_file, "--data", drawn, "--device", "cpu"]
    assert search(*arguments, "--out", tmp_path / "one") == 0
    port = str(free_port())
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    done = subprocess.run(
        [
            sys.executable,
            *launch,
            "--master-port",
            port,
            "-m",
            "search",
            *arguments,
            "--out",
            tmp_path / "two",
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("training: 48 crops of 8 people") == 1  # one process speaks

    one, two = (checkpoint.load(tmp_path / side / "last.pt") for side in ("one", "two"))
    assert one["step"] == two["step"] == 0
    for key in ("network", "average"):
        for name, expected in one[key].items():
            difference = (two[key][name] - expected).abs().max()
            assert difference <= TOLERANCE * (1 + expected.abs().max()), name
    for key in ("cross_entropy", "triplet"):
        assert two["history"][0][key] == pytest.approx(one["history"][0][key], rel=1e-4)


LOSSES = {
    "triplet": partial(batch_hard_triplet, margin=0.3),
    "contrastive": partial(contrastive, temperature=0.1),
}


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """People 0 and 1 have crops in both halves."""
    rows = torch.randn(16, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return rows, torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 0, 1])


def gradients_of_a_half(rank: int, store: str, folder: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    found = {}
    for name, loss in LOSSES.items():
        rows, labels = (part.chunk(2)[rank] for part in batch())
        rows.requires_grad_()
        torch.autograd.backward(loss(rows, labels))
        found[name] = rows.grad / 2  # DDP takes the mean over the processes
    torch.save(found, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_have_the_losses_gradients_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    torch.multiprocessing.spawn(gradients_of_a_half, (str(tmp_path / "store"), tmp_path), nprocs=2)
    halves = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for name, loss in LOSSES.items():
        rows, labels = batch()
        torch.autograd.backward(loss(rows.requires_grad_(), labels))
        torch.testing.assert_close(torch.cat([half[name] for half in halves]), rows.grad, msg=name)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3, 2)])
def test_the_common_norm_is_torchs_own(
    shape: tuple[int, ...], momentum: float | None, monkeypatch: pytest.MonkeyPatch
):
    """Two processes with the same slice see the statistics of that slice twice over."""
    generator = torch.Generator().manual_seed(0)
    ours = BatchNorm(5, momentum=momentum)
    whole = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(5, momentum=momentum)
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_sum", lambda value: 2 * value)
    for _ in range(3):
        x = torch.randn(shape, generator=generator)
        torch.testing.assert_close(ours(x), whole(torch.cat([x, x]))[: len(x)])
    torch.testing.assert_close(ours.running_mean, whole.running_mean)
    torch.testing.assert_close(ours.running_var, whole.running_var)
    assert int(ours.num_batches_tracked) == 3


def test_a_norm_may_keep_to_its_slice(monkeypatch: pytest.MonkeyPatch):
    network = nn.Sequential(nn.Conv2d(3, 5, 1), BatchNorm(5))
    plain = nn.BatchNorm2d(5)
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_sum", lambda _: pytest.fail("a norm asked the others"))
    x = torch.randn(4, 3, 6, 2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(pytest.fail.Exception):
        network(x)
    distributed.keep_to_slices(network)
    torch.testing.assert_close(network(x), plain(network[0](x)))


def test_another_rank_of_map_is_refused():
    with pytest.raises(ValueError, match=r"expected \(N, C\) or \(N, C, H, W\)"):
        BatchNorm(3)(torch.zeros(2, 3, 4))


def test_more_processes_than_devices_get_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match="torch finds 1 CUDA devices here, process 1 needs one of its own"):
        distributed.start("cuda")


def test_one_process_is_its_own_world():
    assert (distributed.world_size(), distributed.rank()) == (1, 0)
    assert distributed.mean([1.0, 2.5], torch.device("cpu")) == [1.0, 2.5]
    x = torch.ones(3)
    assert distributed.gather(x) is x
