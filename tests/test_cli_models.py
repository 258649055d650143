"""More than one model comes with the package: each command takes any of them by its name."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest

from autoreid_deploy.cli import common, index, query
from autoreid_deploy.cli import eval as eval_
from autoreid_deploy.model import bundled_models
from tests.conftest import TINY, write_tiny_model

COMMANDS = {"reid-index": index.cli, "reid-query": query.cli, "reid-eval": eval_.cli}
OPEN = "autoreid-s-open"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an empty folder, where two models of other weights are bundled."""
    models = tmp_path / "package" / "models"
    models.mkdir(parents=True)
    data = [{"name": "a rendered crowd", "people": 5000, "crops": 100_000, "terms": "free"}]
    for seed, (name, terms) in enumerate((("autoreid-s", "research only"), (OPEN, "free for any use"))):
        spec = replace(TINY, name=name, terms=terms, training={"data": data if seed else [], "recipe": {}})
        write_tiny_model(models / f"{name}.onnx", metadata=spec.to_metadata(), seed=seed)
    monkeypatch.setattr("autoreid_deploy.model.files", lambda package: models.parent)
    monkeypatch.delenv("REID_INDEX", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        capsys.readouterr()
        return (common.run(COMMANDS[str(words[0])]), *capsys.readouterr())

    return run


def told(run: Run, *words: object) -> object:
    code, out, err = run(*words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_an_index_of_either_is_built_and_asked_and_remembers_its_model(run: Run, crop_folder: Path) -> None:
    for name, options in (("autoreid-s", ()), (OPEN, ("--model", OPEN))):
        built = told(run, "reid-index", "build", crop_folder, "--index", name, *options)
        assert built["model_id"].startswith(f"{name}@")
        crop = sorted(crop_folder.iterdir())[3]
        for words in ((), ("--model", name)):
            [answer] = told(run, "reid-query", crop, "--index", name, *words)
            assert answer["hits"][0]["path"] == str(crop)
        assert told(run, "reid-index", "build", crop_folder, "--index", name)["unchanged"] == 16
        added = told(run, "reid-index", "add", crop, "--index", name)
        assert (added["model_id"], added["crops"]) == (built["model_id"], 16)
        assert told(run, "reid-index", "info", "--index", name)["model_id"] == built["model_id"]


def test_the_other_model_is_refused_with_both_ids(run: Run, crop_folder: Path) -> None:
    assert run("reid-index", "build", crop_folder, "--model", OPEN)[0] == 0
    for words in (("reid-index", "build", crop_folder), ("reid-query", next(crop_folder.iterdir()))):
        code, _, err = run(*words, "--model", "autoreid-s")
        assert code == 1
        assert f"was built with {OPEN}@" in err
        assert "this model is autoreid-s@" in err


def test_an_index_that_goes_elsewhere_finds_its_model_by_name(run: Run, crop_folder: Path) -> None:
    assert run("reid-index", "build", crop_folder, "--model", OPEN)[0] == 0
    assert run("reid-index", "export", "crops.folder")[0] == 0
    assert run("reid-index", "import", "crops.folder", "--index", "other")[0] == 0
    assert told(run, "reid-index", "info", "--index", "other")["model_id"].startswith(f"{OPEN}@")
    shutil.move(".reid", "moved")
    [answer] = told(run, "reid-query", next(crop_folder.iterdir()), "--index", "moved")
    assert len(answer["hits"]) == 10


def test_either_is_measured_by_name(run: Run, crop_folder: Path) -> None:
    for name in ("autoreid-s", OPEN):
        assert told(run, "reid-eval", crop_folder, "--model", name)["model"].startswith(f"{name}@")
    assert told(run, "reid-eval", crop_folder)["model"].startswith("autoreid-s@")


def test_the_doctor_tries_both(run: Run) -> None:
    report = json.loads(run("reid-index", "doctor", "--json")[1])
    found = {finding["what"]: finding for finding in report["findings"]}
    for name in ("autoreid-s", OPEN):
        assert found[f"model {name}"]["state"] == "ok"


def test_the_list_tells_terms_and_what_each_was_trained_on(run: Run) -> None:
    rows = told(run, "reid-index", "models")
    assert [(row["name"], row["default"], row["terms"]) for row in rows] == [
        ("autoreid-s", True, "research only"),
        (OPEN, False, "free for any use"),
    ]
    code, out, _ = run("reid-index", "models")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("autoreid-s (default): autoreid-s@")
    assert lines[4].startswith(f"{OPEN}: {OPEN}@")
    assert re.match(r"  speed       [\d.]+ ms a crop, [\d.]+ in batches of 8, on one thread here$", lines[1])
    assert all(0 < row["ms_a_crop"][batch] < 1000 for row in rows for batch in ("1", "8"))
    assert "  terms       free for any use" in lines
    assert "  trained on  a rendered crowd (5,000 people, 100,000 crops, free)" in lines


def test_a_wrong_name_is_told_the_right_ones(run: Run, crop_folder: Path) -> None:
    code, _, err = run("reid-index", "build", crop_folder, "--model", "autoreid-open")
    assert code == 1
    assert f"(autoreid-s, {OPEN}); did you mean {OPEN}?" in err
    assert common.bundled() == f"autoreid-s, {OPEN}"


@pytest.mark.parametrize("command", [index.cli.commands["build"], eval_.cli], ids=["build", "eval"])
def test_help_names_every_bundled_model(command: click.Command) -> None:
    with click.Context(command, terminal_width=400, max_content_width=400) as context:
        text = command.get_help(context)
    assert f"A bundled model ({', '.join(bundled_models())})" in text
