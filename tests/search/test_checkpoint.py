import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from autoreid_deploy.errors import InputError
from search import checkpoint

STATE: dict[str, Any] = {
    **{
        "config": {},
        "genotype": {},
        "people": 3,
        "data": [],
        "epoch": 1,
        "step": 2,
        "sums": [0.0],
        "history": [],
    },
    **{key: {"weight": torch.arange(4.0)} for key in ("network", "average", "optimiser")},
}

KILL_SAVERS = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from search import checkpoint

path = Path(sys.argv[1])
keys = "genotype people data network average optimiser epoch step sums history".split()

def state(number):
    # Every value tells the version, so that a file of two versions would be seen.
    return {"config": number, **{key: torch.full((10_000,), number) for key in keys}}

checkpoint.save(state(0), path)
versions, kills = {0}, 0
while kills < 12 or len(versions) < 3:
    kills += 1
    number = 11 * kills % 200
    saver = os.fork()
    if not saver:
        for later in range(number, number + 1000):
            checkpoint.save(state(later % 200), path)
        os._exit(1)
    time.sleep(random.Random(kills).uniform(0.0, 0.02 * kills))
    os.kill(saver, signal.SIGKILL)
    os.waitpid(saver, 0)
    found = checkpoint.load(path)
    assert all((found[key] == found["config"]).all() for key in keys), found
    versions.add(found["config"])
"""


def test_a_state_survives_the_file(tmp_path: Path):
    checkpoint.save(STATE, tmp_path / "last.pt")
    state = checkpoint.load(tmp_path / "last.pt")
    assert state.pop("format") == checkpoint.RETRAINING.format
    assert state.keys() == STATE.keys()
    torch.testing.assert_close(state["network"]["weight"], torch.arange(4.0))
    assert [item.name for item in tmp_path.iterdir()] == ["last.pt"]


def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", KILL_SAVERS, str(tmp_path / "last.pt")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "last.pt"
    checkpoint.save(STATE, path)
    before = path.read_bytes()

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save({**STATE, "epoch": 2}, path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["last.pt"]


class Burglar:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(legacy: bool, tmp_path: Path):
    trace, path = tmp_path / "ran", tmp_path / "bad.pt"
    if legacy:
        path.write_bytes(pickle.dumps({"format": checkpoint.RETRAINING.format, "network": Burglar(trace)}))
    else:
        torch.save({"format": checkpoint.RETRAINING.format, "network": Burglar(trace)}, path)
    with pytest.raises(InputError, match=r"bad\.pt: expected a checkpoint") as error:
        checkpoint.load(path)
    assert "\n" not in str(error.value)
    assert not trace.exists()


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("readme.txt", "hello")
    return packed.getvalue()


def saved(value: object) -> bytes:
    packed = io.BytesIO()
    torch.save(value, packed)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello\n",
        bytes(range(256)) * 8,
        zipped(),
        saved([1]),
        saved({"format": "x"}),
        saved(STATE)[:-400],
    ],
    ids=["empty", "text", "noise", "zip", "list", "another format", "truncated"],
)
def test_another_file_gets_one_line(content: bytes, tmp_path: Path):
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"other\.pt: expected a checkpoint of python -m search retrain"
    ) as error:
        checkpoint.load(path)
    assert "\n" not in str(error.value)


def test_what_is_not_there_or_not_whole_gets_one_line(tmp_path: Path):
    with pytest.raises(InputError, match="no such checkpoint"):
        checkpoint.load(tmp_path / "none.pt")
    with pytest.raises(InputError, match="expected a checkpoint"):
        checkpoint.load(tmp_path)
    checkpoint.save({key: value for key, value in STATE.items() if key != "step"}, tmp_path / "part.pt")
    with pytest.raises(InputError, match="it lacks step"):
        checkpoint.load(tmp_path / "part.pt")
