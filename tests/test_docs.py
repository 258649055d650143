"""Every command that the README or a page of docs/ shows is run as it stands there.

A `console` block holds commands behind `$ ` and, below them, what they print. The commands of one page run in order
in one folder that holds what a reader has: a gallery, some pictures and the checkout's programs.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autoreid_deploy.model import find_model
from tests.people import draw_people, hold_out

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# These need a network or a container engine, or are this very test: their words are checked, not their work.
ONLY_CHECKED = ("make", "pip", "docker", "git", "cd")
NEEDS_DATA = (
    " needs-data"  # a block that needs a data set or hours: its programs are asked for their options only
)


def commands(page: Path, kind: str = "") -> list[str]:
    """The commands of a page's `console` blocks, continued lines joined."""
    blocks = re.findall(rf"^```console{kind}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line[2:] for line in lines if line.startswith("$ ")]


def run(command: str, folder: Path) -> str:
    """Run a command in a reader's folder and return what it prints; it must succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    environment.pop("REID_INDEX", None)
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A reader's folder."""
    queries = hold_out(draw_people(tmp_path / "gallery", people=6), tmp_path / "query")
    shutil.copy(queries[0], tmp_path / "img.jpg")
    shutil.copy(queries[1], tmp_path / "img2.jpg")
    draw_people(tmp_path / "camera5", people=2, seed=1)
    draw_people(tmp_path / "crops", people=8, seed=2)
    (tmp_path / "val_ids.txt").write_text("0001\n0002\n0003\n")
    rows = [f"{crop},{crop.name[:4]},{crop.name[6]}" for crop in (tmp_path / "gallery").glob("*.jpg")]
    (tmp_path / "crops.csv").write_text("\n".join(["path,pid,camid", *rows]) + "\n")
    shutil.copy(find_model("autoreid-s"), tmp_path / "my-model.onnx")
    for name in ("search", "export", "benchmarks", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_runs(page: Path, desk: Path) -> None:
    for command in commands(page):
        if shlex.split(command, comments=True)[0] not in ONLY_CHECKED:
            run(command, desk)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_that_needs_data_exists(page: Path, desk: Path) -> None:
    for command in commands(page, NEEDS_DATA):
        words = shlex.split(command, comments=True)
        if words[0] == "torchrun":
            words = ["python", *words[words.index("-m") :]]
        length = {"python": 3 if words[1] == "-m" else 2, "reid-index": 2}.get(words[0], 1)
        program = words[: length + (words[1:3] == ["-m", "search"])]
        told = run(shlex.join([*program, "--help"]), desk)
        for option in (word for word in words if word.startswith("--")):
            assert option in told, f"{option} of $ {command}"


def test_every_program_that_is_not_run_is_named_rightly() -> None:
    every = [command for page in PAGES for command in commands(page) + commands(page, NEEDS_DATA)]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    extras = re.findall(r"^([a-z0-9-]+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    stages = re.findall(r"^FROM .* AS (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for command in every:
        words = shlex.split(command, comments=True)
        if words[0] == "make":
            assert words[1] in targets, command
        for extra in re.findall(r"\[([a-z0-9,-]+)\]", command) if words[0] == "pip" else ():
            assert set(extra.split(",")) <= set(extras), command
        if "--target" in words:
            assert words[words.index("--target") + 1] in stages, command


def test_the_pages_show_commands_at_all() -> None:
    assert len(commands(ROOT / "README.md")) >= 4
    # A block of another language, or of none, would hide its commands from this test.
    for page in PAGES:
        hidden = re.findall(
            r"^```(?:sh|bash|shell|)\n(?:.*\n)*?(reid-\w+|python -m \w+)", page.read_text(), re.MULTILINE
        )
        assert not hidden, f"{page.name}: write console blocks with '$ ' before {hidden}"


def test_links_and_pictures_are_there() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
