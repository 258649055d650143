"""Small networks on one thread: what they compute is then the same bit for bit."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autoreid_deploy.cli.common import run
from search.__main__ import cli
from search.commands.run import make_searcher as set_up
from search.config import RunConfig, Source
from search.data import Crops, list_crops, load_crops
from search.genotype import load_genotype
from search.latency import LatencyTable
from search.network import NetworkConfig
from search.recipe import Recipe
from search.search_config import SearchConfig
from search.searcher import Searcher
from search.trainer import Trainer
from tests.people import draw_people

SMALL = RunConfig(
    name="small",
    network=NetworkConfig(channels=6, cells=(1, 1), height=32, width=16, stem_stride=1, dim=16),
    recipe=Recipe(epochs=2, people=4, shots=2, lr=0.03, warmup=1, pad=2, ema=0.9, val_every=1),
    train=(Source(path="train"),),
    val=(Source(path="val"),),
)
TOML = """
name = "small"
[network]
channels = 6
cells = [1, 1]
height = 32
width = 16
stem_stride = 1
dim = 16
[recipe]
epochs = 2
people = 4
shots = 2
lr = 0.03
warmup = 1
pad = 2
ema = 0.9
val_every = 1
[[train]]
path = "train"
[[val]]
path = "val"
"""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train/ (8 people) and val/ (6 others), 3 cameras, 2 shots each."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_people(folder / "train", people=8, seed=1)
    draw_people(folder / "val", people=6, seed=2)
    return folder


@pytest.fixture(scope="session")
def crops(drawn: Path) -> dict[str, Crops]:
    """Both sides of `drawn`, in memory."""
    return {
        side: load_crops(list_crops(sources, drawn, drawn), (32, 16))
        for side, sources in (("train", SMALL.train), ("val", SMALL.val))
    }


@pytest.fixture
def make_trainer(crops: dict[str, Crops], tmp_path: Path) -> Callable[..., Trainer]:
    """A function that starts a run of SMALL in a folder, with a changed recipe."""

    def make(folder: str = "run", val: bool = True, **changes: object) -> Trainer:
        config = replace(SMALL, recipe=replace(SMALL.recipe, **changes))
        (tmp_path / folder).mkdir(exist_ok=True)
        return Trainer(
            config=config,
            genotype=load_genotype(config.genotype),
            train=crops["train"],
            val=crops["val"] if val else None,
            folder=tmp_path / folder,
            device=torch.device("cpu"),
        )

    return make


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """SMALL as a TOML file."""
    path = tmp_path / "small.toml"
    path.write_text(TOML)
    return path


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `python -m search` in this process; returns the exit code."""
    # The setting is for good, and the other tests would have to live with it.
    monkeypatch.setattr("search.memory.keep_freed_memory", lambda: None)

    def call(*arguments: object) -> int:
        monkeypatch.setattr("sys.argv", ["python -m search", *map(str, arguments)])
        return run(cli)

    return call


SEARCH_TOML = (
    TOML.replace('name = "small"', 'name = "sought"')
    .replace("epochs = 2", "epochs = 3")
    .replace("cells = [1, 1]", "cells = [2]")
    + """
[search]
alpha_share = 0.5
frozen = 0.34
"""
)


@pytest.fixture
def search_file(tmp_path: Path) -> Path:
    """A small search as a TOML file: three epochs, the alphas frozen in the first."""
    path = tmp_path / "sought.toml"
    path.write_text(SEARCH_TOML)
    return path


@pytest.fixture
def make_searcher(drawn: Path, search_file: Path, tmp_path: Path) -> Callable[..., Searcher]:
    """A function that starts the small search in a folder, with a changed `[search]` and a table or none."""

    def make(folder: str = "sought", table: LatencyTable | None = None, **changes: object) -> Searcher:
        told = SearchConfig.load(search_file)
        told = replace(told, search=replace(told.search, **changes))
        (tmp_path / folder).mkdir(exist_ok=True)
        return set_up(told, tmp_path, drawn, table, tmp_path / folder, torch.device("cpu"))

    return make
