"""`python -m search crowd`, as a user types it."""

import csv
import signal
import subprocess
import sys
import time

import cv2
import pytest

from autoreid_deploy.records import scan

CONFIG = "search/configs/crowd.toml"


@pytest.fixture(autouse=True)
def _able(anatomy, renderer):
    """Skips where nothing can be rendered."""


def test_a_crowd_is_drawn_refused_and_continued(search, tmp_path, capsys):
    out = tmp_path / "crowd"
    told = ("crowd", CONFIG, "-o", out, "--crops", 3, "--workers", 2)
    assert search(*told, "--people", 2) == 0
    assert "6 crops of 2 people" in capsys.readouterr().out
    records = scan(out / "crops", names="market")
    assert sorted({r.pid for r in records}) == ["00001", "00002"] and len(records) == 6
    for record in records:
        assert cv2.imread(str(record.path)).shape == (128, 64, 3)
    assert cv2.imread(str(out / "sheet.jpg")) is not None

    assert search(*told, "--people", 2) == 1
    assert "add --resume to go on with it" in capsys.readouterr().err
    assert search(*told, "--people", 2, "--resume", "--seed", 1) == 1
    assert "holds a crowd with seed = 0, and now seed is 1" in capsys.readouterr().err
    assert search(*told, "--people", 3, "--resume") == 0
    with (out / "crowd.csv").open(newline="") as file:
        assert [row["person"] for row in csv.DictReader(file)] == ["00001"] * 3 + ["00002"] * 3 + [
            "00003"
        ] * 3


def test_ctrl_c_keeps_who_is_done_and_says_how_to_go_on(tmp_path):
    out = tmp_path / "crowd"
    line = [
        sys.executable,
        "-m",
        "search",
        "crowd",
        CONFIG,
        "-o",
        out,
        "--people",
        "400",
        "--crops",
        "2",
        "--workers",
        "2",
    ]
    running = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(list(out.glob("crops/*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert said.strip().splitlines()[-1].endswith("of 400; nothing is lost, go on with --resume")
    assert "Traceback" not in said
    assert len(list(out.glob("crops/*/rows.csv"))) == len(list(out.glob("crops/*"))) >= 2
