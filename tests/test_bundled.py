"""The models that come with the package, as a stranger meets them."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autoreid_deploy import Embedder
from autoreid_deploy.calibration import Calibration
from autoreid_deploy.crops import read_crop, resize_crop
from autoreid_deploy.metrics import evaluate_records
from autoreid_deploy.model import DEFAULT_MODEL, bundled_models
from autoreid_deploy.protocols import heldout_split
from autoreid_deploy.records import scan
from tests.people import draw_people, hold_out

MODELS = bundled_models()
# Bytes that a model may have: 4 a parameter, and a tenth for graph and metadata; small ones 0.6 M, medium ones 2.2 M.
BUDGETS = {"s": 2.7e6, "m": 9.7e6}
WHEEL = 16e6  # all of them together; a user downloads them whichever one is wanted
every_model = pytest.mark.parametrize("name", MODELS)


def test_the_default_is_bundled_and_all_of_them_are_small() -> None:
    assert DEFAULT_MODEL in MODELS
    for name, path in MODELS.items():
        family, size = name.split("-")[:2]
        assert family == "autoreid"
        assert path.stat().st_size < BUDGETS[size], name
    assert sum(path.stat().st_size for path in MODELS.values()) < WHEEL


@every_model
def test_the_card_and_the_file_tell_the_same(name: str) -> None:
    card = MODELS[name].with_suffix(".md").read_text(encoding="utf-8")
    with Embedder.load(name) as embedder:
        spec, model_id = embedder.spec, embedder.id
    assert spec.name == name
    assert model_id in card, "the card is of another file"
    assert spec.terms.split(":")[0] in card
    for source in spec.training["data"]:
        assert source["name"] in card and f"{source['crops']:,}" in card
    for what, figures in spec.metrics.items():
        if not what.startswith("validation"):
            assert what in card and f"{100 * figures['rank1']:.1f}" in card and figures["protocol"]


@every_model
def test_weights_from_research_data_are_for_research_and_no_others_are(name: str) -> None:
    with Embedder.load(name) as embedder:
        spec = embedder.spec
    bound = [
        source["name"] for source in spec.training["data"] if source["terms"].startswith("research only")
    ]
    assert spec.terms.startswith("research only") == bool(bound)


@every_model
def test_the_card_tells_what_the_calibration_in_the_file_was_fitted_on(name: str) -> None:
    card = MODELS[name].with_suffix(".md").read_text(encoding="utf-8")
    with Embedder.load(name) as embedder:
        table = Calibration.from_dict(embedder.spec.calibration, embedder.id)
    assert "the people of " in table.source
    assert table.source.rpartition(" ")[2] in card
    assert "test" not in table.source
    for count in (table.people, table.genuine, table.impostors):
        assert f"{count:,}" in card
    for fpr in (1e-2, 1e-3, 1e-4):
        assert f"| {table.threshold(fpr):.4f} |" in card


@every_model
def test_it_ranks_drawn_people_sensibly(name: str, tmp_path: Path) -> None:
    # Synthetic people are far from what it was trained on; guessing would find 1 in 20.
    draw_people(tmp_path, people=20, seed=3)
    records = scan(tmp_path)
    with Embedder.load(name) as embedder:
        rows = embedder.embed([record.path for record in records])
    query, gallery = heldout_split(records)
    score = evaluate_records(
        rows[query], [records[i] for i in query], rows[gallery], [records[i] for i in gallery]
    )
    assert score.rank(1) > 0.7
    assert score.mAP > 0.5


@every_model
def test_colour_order_matters_to_it(name: str, tmp_path: Path) -> None:
    # If it did not, a swapped channel order would go unseen.
    paths = draw_people(tmp_path, people=4, cameras=1)
    with Embedder.load(name) as embedder:
        size = (embedder.spec.height, embedder.spec.width)
        crops = np.stack([resize_crop(read_crop(path), *size) for path in paths])
        right, wrong = embedder.embed(crops, color="rgb"), embedder.embed(crops, color="bgr")
    assert (right * wrong).sum(1).min() < 0.9


def test_everything_beside_a_model_goes_into_the_wheel() -> None:
    root = Path(__file__).parents[1]
    lines = (root / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    start = lines.index("[tool.setuptools.package-data]")
    (told,) = (line for line in lines[start + 1 : start + 3] if line.startswith("autoreid_deploy = "))
    patterns = ast.literal_eval(told.partition("= ")[2])
    package = root / "autoreid_deploy"
    shipped = {path for pattern in patterns for path in package.glob(pattern)}
    assert set((package / "models").iterdir()) <= shipped


@pytest.mark.parametrize("folder", ["gallery", "Galerie für Ångström"])
def test_two_commands_without_any_option_find_the_person(folder: str, tmp_path: Path) -> None:
    query = hold_out(draw_people(tmp_path / folder, people=6), tmp_path / "query")[0]
    for program, argument in (("index", ["build", folder]), ("query", [str(query), "-k", "1"])):
        code = f"from autoreid_deploy.cli.{program} import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *argument], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / ".reid" / "gallery.db").is_file()
    assert done.stdout.splitlines()[-1].split()[3] == query.name[:4]
