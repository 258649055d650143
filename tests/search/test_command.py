import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from search import checkpoint
from search.genotype import load_genotype
from search.trainer import Trainer
from tests.search.conftest import SMALL
from tests.search.test_trainer import same

Search = Callable[..., int]


def test_describe_prints_the_cells_and_the_papers_table(search: Search, capsys: pytest.CaptureFixture[str]):
    assert search("describe", "auto_reid_2019", "--config", "search/configs/autoreid-s.toml") == 0
    out = capsys.readouterr().out
    assert "node 2 = max_pool_3x3(0) + part_aware(1)" in out
    assert [line.split()[3:] for line in out.splitlines() if line.startswith("C = 64, ")] == [
        ["384x128", "9.87", "M", "11.41", "M", "1.888", "G"]
    ]
    assert "autoreid-s, 128x64" in out
    assert "54.4 % fewer parameters, 52.8 % fewer MACs" in out


def test_describe_draws_what_it_describes(search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert search("describe", "auto_reid_2019", "--draw", tmp_path / "cells.svg") == 0
    assert (tmp_path / "cells.svg").is_file()
    assert "cells drawn to" in capsys.readouterr().out


def test_a_killed_run_goes_on_to_the_same_weights(
    search: Search, drawn: Path, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    arguments = ["retrain", config_file, "--data", drawn, "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "search", *map(str, arguments), "--out", str(killed), "--save-every", "0"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    while not (killed / "last.pt").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    state = checkpoint.load(killed / "last.pt")
    assert (state["epoch"], state["step"]) < (2, 0)

    assert search(*arguments, "--out", killed, "--resume") == 0
    assert search(*arguments, "--out", straight) == 0
    assert "next: python -m export" in capsys.readouterr().out
    one, other = (checkpoint.load(folder / "last.pt") for folder in (killed, straight))
    assert same(one, other)
    assert (killed / "log.csv").read_text() == (straight / "log.csv").read_text()


def test_ctrl_c_says_how_to_go_on(
    search: Search,
    drawn: Path,
    config_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    step = Trainer.train_step

    def interrupted(self: object, indices: np.ndarray) -> tuple[float, float]:
        os.kill(os.getpid(), signal.SIGINT)
        return step(self, indices)

    monkeypatch.setattr(Trainer, "train_step", interrupted)
    assert search("retrain", config_file, "--data", drawn, "--out", tmp_path / "run") == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "stopped in epoch 1 of 2; nothing is lost, go on with --resume"
    assert checkpoint.load(tmp_path / "run" / "last.pt")["step"] == 1


def test_unreadable_crops_are_named(
    search: Search, drawn: Path, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    text = config_file.read_text().replace("epochs = 2", "epochs = 1")
    config_file.write_text(text + '[[train]]\npath = "more"\n')
    data = tmp_path / "data"
    data.mkdir()
    for side in ("train", "val"):
        (data / side).symlink_to(drawn / side)
    (data / "more").mkdir()
    (data / "more" / "0099_c1_1.jpg").write_bytes(b"no picture")
    cv2.imwrite(str(data / "more" / "0098_c1_1.jpg"), np.zeros((8, 4, 3), np.uint8))
    arguments = ["retrain", config_file, "--data", data]
    assert search(*arguments, "--out", tmp_path / "strict", "--strict") == 1
    assert "0099_c1_1.jpg" in capsys.readouterr().err.splitlines()[-1]
    assert search(*arguments, "--out", tmp_path / "run") == 0
    err = capsys.readouterr().err
    assert "left out: " in err
    assert "training: 49 crops of 9 people" in err


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ("", ["--data", "{tmp}/nowhere"], "nowhere/train: no such folder"),
        ("", ["--data", "{tmp}/plain"], "plain/train: no crop names a person; expected PPPP_cC"),
        ("people = 40", [], "a batch needs 40 people of all sources, there are 8"),
        ("epoch = 3", [], "unknown key 'epoch'; did you mean epochs"),
        ("", ["--resume"], "last.pt: no such checkpoint"),
        ("", ["--out", "{tmp}/used"], "holds a run already; add --resume"),
        ("lr = 0.5", ["--out", "{tmp}/used", "--resume"], "was trained with another recipe"),
        ("", ["--device", "cuda"], "--device cuda: torch finds 0 CUDA devices here"),
    ],
)
def test_what_cannot_work_gets_one_line_and_exit_code_1(
    change: str,
    arguments: list[str],
    message: str,
    search: Search,
    drawn: Path,
    config_file: Path,
    tmp_path: Path,
    used_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    (tmp_path / "used").symlink_to(used_run)
    (tmp_path / "plain" / "train").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "plain" / "train" / "a.jpg"), np.zeros((8, 4, 3), np.uint8))
    if change:
        key = change.split(" =")[0]
        lines = [line for line in config_file.read_text().splitlines() if not line.startswith(f"{key} =")]
        lines.insert(lines.index("[recipe]") + 1, change)
        config_file.write_text("\n".join(lines))
    defaults = {"--data": drawn, "--out": tmp_path / "run"}
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    given += [str(part) for pair in defaults.items() if pair[0] not in given for part in pair]
    assert search("retrain", config_file, *given) == 1
    # Progress bars and counts stand above it.
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


@pytest.fixture(scope="session")
def used_run(tmp_path_factory: pytest.TempPathFactory, crops: dict[str, object]) -> Path:
    """The folder of a run that has written its first checkpoint."""
    folder = tmp_path_factory.mktemp("used")
    cpu = torch.device("cpu")
    trainer = Trainer(
        config=SMALL,
        genotype=load_genotype(SMALL.genotype),
        train=crops["train"],
        val=crops["val"],
        folder=folder,
        device=cpu,
    )
    trainer.save()
    return folder


def test_wrong_usage_is_2_and_help_says_how(search: Search, capsys: pytest.CaptureFixture[str]):
    assert search("retrain") == 2
    assert search("retrain", "x.toml", "--data", ".", "--device", "tpu") == 2
    assert search("--help") == 0
    capsys.readouterr()
    assert search("retrain", "--help") == 0
    out = capsys.readouterr().out
    assert "torchrun --nproc-per-node 2 -m search retrain" in out
    assert "--save-every SECONDS" in out


def test_a_wrong_genotype_or_file_gets_one_line(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for arguments, message in [
        (["describe", "auto_reid_2018"], "did you mean auto_reid_2019?"),
        (["describe", "auto_reid_2019", "--draw", tmp_path / "x.jpg"], "ends in .png or .svg"),
        (["describe", "auto_reid_2019", "--config", tmp_path / "x.toml"], "x.toml: expected a TOML file"),
        (["retrain", tmp_path / "x.toml", "--data", tmp_path], "x.toml: expected a TOML file"),
    ]:
        assert search(*arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line


def test_a_missing_package_is_named_with_the_command(
    search: Search, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("search.__main__.find_spec", lambda name: None)
    assert search("describe", "auto_reid_2019") == 1
    assert (
        "torch is not installed; install it with: pip install 'autoreid-deploy[search]'"
        in capsys.readouterr().err
    )
