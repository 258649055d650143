"""A training that starts where another one ended."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autoreid_deploy.errors import InputError
from autoreid_deploy.model import find_model, model_id
from export.to_onnx import read_checkpoint
from search import checkpoint
from search.data import Crops
from search.start import Start
from search.trainer import Trainer
from tests.search.conftest import SMALL
from tests.search.test_trainer import same

Search = Callable[..., int]
MORE = """
name = "more"
terms = "mine"
[recipe]
epochs = 1
people = 4
shots = 2
warmup = 0
val_every = 1
[[train]]
path = "val"
[[val]]
path = "train"
"""


@pytest.fixture
def trained(make_trainer: Callable[..., Trainer]) -> Path:
    """A checkpoint after one epoch."""
    trainer = make_trainer("before", val=False, epochs=1)
    assert trainer.run()
    return trainer.checkpoint_path


@pytest.fixture
def more(tmp_path: Path) -> Path:
    """A configuration that says nothing of network and cells."""
    path = tmp_path / "more.toml"
    path.write_text(MORE)
    return path


def test_a_run_starts_from_the_averaged_weights_with_a_head_of_its_own(
    trained: Path, make_trainer: Callable[..., Trainer]
):
    before, start = checkpoint.load(trained)["average"], Start.load(trained)
    fresh = make_trainer("fresh", val=False)
    trainer = replace(fresh, start=start)
    for network in (trainer.network, trainer.average):
        now = network.state_dict()
        assert not torch.equal(now.pop("classifier.weight"), before["classifier.weight"])
        assert same(now, {key: value for key, value in before.items() if key in now})
    assert not same(fresh.network.state_dict(), trainer.network.state_dict())


def test_network_and_cells_come_from_the_model_and_the_card_says_so(
    search: Search, trained: Path, more: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "run"
    assert search("retrain", more, "--data", drawn, "--init", trained, "--out", out) == 0
    name = model_id("small", trained)
    assert f"{name} as it is: rank-1 " in capsys.readouterr().out
    state = checkpoint.load(out / "last.pt")
    assert state["config"]["network"] == checkpoint.load(trained)["config"]["network"]
    spec = read_checkpoint(out / "last.pt").spec
    assert spec.training["init"]["name"] == name
    assert spec.training["init"]["data"][0]["people"] == 8
    assert spec.terms == f"mine; started from {name}: not stated"
    assert json.dumps(spec.training["init"])

    # Crowd first, then real, then yours: the whole way stays on the card.
    third = Start.load(out / "last.pt")
    assert third.origin["init"]["name"] == name


@pytest.mark.parametrize(
    "network", ["cells = [1, 1, 1]", "height = 40\nwidth = 20"], ids=["another block", "larger input"]
)
def test_a_network_grows_out_of_a_smaller_one(
    network: str, search: Search, trained: Path, more: Path, drawn: Path, tmp_path: Path
):
    text = more.read_text()
    more.write_text(f"{text}[network]\n{network}\n")
    assert search("retrain", more, "--data", drawn, "--init", trained, "--out", tmp_path / "run") == 0
    assert search("retrain", more, "--data", drawn, "--out", tmp_path / "run", "--resume") == 0


def test_what_a_grown_network_has_of_the_smaller_one_is_the_same(
    trained: Path, make_trainer: Callable[..., Trainer]
):
    before, start = checkpoint.load(trained)["average"], Start.load(trained)
    fresh = make_trainer("fresh", val=False)
    larger = replace(fresh.config.network, cells=(*fresh.config.network.cells, 1), height=64)
    trainer = replace(fresh, config=replace(fresh.config, network=larger), start=start)
    now = trainer.network.state_dict()
    taken = [key for key in before if key.startswith("backbone.")]
    assert len(taken) > 50
    assert same({key: now[key] for key in taken}, {key: before[key] for key in taken})
    assert len([key for key in now if key.startswith("backbone.")]) > len(taken)


def test_a_started_run_goes_on_without_its_model_but_not_from_another(
    search: Search,
    trained: Path,
    more: Path,
    drawn: Path,
    tmp_path: Path,
    make_trainer: Callable[..., Trainer],
    capsys: pytest.CaptureFixture[str],
):
    arguments = ["retrain", more, "--data", drawn, "--out", tmp_path / "run"]
    assert search(*arguments, "--init", trained) == 0
    ended = checkpoint.load(tmp_path / "run" / "last.pt")
    other = make_trainer("other", val=False, epochs=1, seed=5)
    assert other.run()
    capsys.readouterr()
    assert search(*arguments, "--init", other.checkpoint_path, "--resume") == 1
    assert "was trained with another init" in capsys.readouterr().err
    trained.unlink()
    assert search(*arguments, "--resume") == 0
    assert same(checkpoint.load(tmp_path / "run" / "last.pt"), ended)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "[network]\nchannels = 9\ndim = 64",
            "network: channels is 9 here and 6 in small@{id}; dim is 64 here and 16 in small@{id}; leave [network] "
            "out to take the model's",
        ),
        (
            'genotype = "autoreid_m"',
            "the cells autoreid_m are not those of small@{id} (auto_reid_2019); leave genotype out to take the model's",
        ),
    ],
)
def test_a_model_of_another_shape_gets_one_line(
    line: str,
    message: str,
    search: Search,
    trained: Path,
    more: Path,
    drawn: Path,
    capsys: pytest.CaptureFixture[str],
):
    text = more.read_text()
    more.write_text(f"{line}\n{text}" if line.startswith("genotype") else f"{text}\n{line}\n")
    assert search("retrain", more, "--data", drawn, "--init", trained) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == "error: " + message.format(id=model_id("", trained)[1:])
    assert len(told) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("autoreid-z", "no model 'autoreid-z': neither a file nor one of the bundled models"),
        ("nothing.pt", "nothing.pt: no such checkpoint"),
        ("text.onnx", "text.onnx: "),
        ("text.pt", "text.pt: expected a checkpoint of python -m search retrain"),
    ],
)
def test_what_is_no_model_gets_one_line(
    name: str,
    message: str,
    search: Search,
    more: Path,
    drawn: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    for file in ("text.onnx", "text.pt"):
        (tmp_path / file).write_text("words")
    model = tmp_path / name if "." in name else name
    assert search("retrain", more, "--data", drawn, "--init", model) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert message in told[0]


def test_a_model_that_does_not_say_how_it_is_built_is_refused(tiny_model: Path):
    with pytest.raises(InputError, match="it does not say what its network is built of"):
        Start.load(tiny_model)


def test_a_bundled_model_learns_on_and_loses_nothing_before_that(crops: dict[str, Crops], tmp_path: Path):
    start = Start.load("autoreid-s")
    assert start.origin["name"] == model_id("autoreid-s", find_model("autoreid-s"))
    assert start.told["genotype"] == "autoreid_s"
    trainer = Trainer(
        config=replace(SMALL, network=start.config),
        genotype=start.genotype,
        train=replace(
            crops["train"], images=torch.zeros(len(crops["train"].labels), 128, 64, 3).byte().numpy()
        ),
        val=None,
        folder=tmp_path,
        device=torch.device("cpu"),
        start=start,
    )
    assert all(torch.isfinite(value).all() for value in trainer.network.state_dict().values())
    loss = trainer.train_step(trainer.sampler.epoch(0)[0])
    assert all(torch.isfinite(torch.tensor(loss)))
