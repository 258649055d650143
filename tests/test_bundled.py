"""The model that comes with the package, as a stranger meets it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autoreid_deploy import Embedder
from autoreid_deploy.calibration import Calibration
from autoreid_deploy.crops import read_crop, resize_crop
from autoreid_deploy.metrics import evaluate_records
from autoreid_deploy.model import DEFAULT_MODEL, find_model
from autoreid_deploy.protocols import heldout_split
from autoreid_deploy.records import scan
from tests.people import draw_people, hold_out

MODEL = find_model(DEFAULT_MODEL)


def test_the_file_is_small() -> None:
    assert MODEL.stat().st_size < 3e6


def test_the_card_and_the_file_tell_the_same() -> None:
    card = MODEL.with_suffix(".md").read_text(encoding="utf-8")
    with Embedder.load() as embedder:
        spec, model_id = embedder.spec, embedder.id
    assert model_id in card, "the card is of another file"
    assert spec.terms.startswith("research only") and "research only" in card
    for source in spec.training["data"]:
        assert source["name"] in card and f"{source['crops']:,}" in card
    for name, figures in spec.metrics.items():
        if not name.startswith("validation"):
            assert name in card and f"{100 * figures['rank1']:.1f}" in card and figures["protocol"]


def test_the_card_tells_what_the_calibration_in_the_file_was_fitted_on() -> None:
    card = MODEL.with_suffix(".md").read_text(encoding="utf-8")
    with Embedder.load() as embedder:
        table = Calibration.from_dict(embedder.spec.calibration, embedder.id)
    assert table.source.endswith("the people of market1501_val_ids.txt")
    for count in (table.people, table.genuine, table.impostors):
        assert f"{count:,}" in card
    for fpr in (1e-2, 1e-3, 1e-4):
        assert f"| {table.threshold(fpr):.4f} |" in card


def test_it_ranks_drawn_people_sensibly(tmp_path: Path) -> None:
    # Synthetic people are far from what it was trained on; guessing would find 1 in 20.
    draw_people(tmp_path, people=20, seed=3)
    records = scan(tmp_path)
    with Embedder.load() as embedder:
        rows = embedder.embed([record.path for record in records])
    query, gallery = heldout_split(records)
    score = evaluate_records(
        rows[query], [records[i] for i in query], rows[gallery], [records[i] for i in gallery]
    )
    assert score.rank(1) > 0.7
    assert score.mAP > 0.5


def test_colour_order_matters_to_it(tmp_path: Path) -> None:
    # If it did not, a swapped channel order would go unseen.
    paths = draw_people(tmp_path, people=4, cameras=1)
    with Embedder.load() as embedder:
        size = (embedder.spec.height, embedder.spec.width)
        crops = np.stack([resize_crop(read_crop(path), *size) for path in paths])
        right, wrong = embedder.embed(crops, color="rgb"), embedder.embed(crops, color="bgr")
    assert (right * wrong).sum(1).min() < 0.9


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
