"""The bench that tells what rows without what is common to their camera give."""

from pathlib import Path

import numpy as np
import pytest

from autoreid_deploy.records import Record
from benchmarks import centring
from tests.people import draw_people
from tests.test_centring import seen


def test_cameras_with_a_light_of_their_own_are_made_level() -> None:
    rows, people, cameras = seen(1)
    records = [Record(Path(f"/{i:03d}.jpg"), *who) for i, who in enumerate(zip(people, cameras, strict=True))]
    figures = centring.score(rows, records)
    assert figures["centred"].mAP > figures["untold"].mAP > figures["as they are"].mAP + 0.1
    drawn = centring.draws(rows, records, 20)
    assert drawn["as they are"][1] > figures["as they are"].mAP  # fewer people are easier
    assert drawn["centred"][1] > drawn["as they are"][1]


def test_it_prints_a_line_a_number_of_people(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_people(tmp_path / "crops", people=8, cameras=2)
    ids = tmp_path / "ids.txt"
    ids.write_text("".join(f"{i:04d}\n" for i in range(1, 8)))
    words = ["centring", str(tiny_model), "--market", str(tmp_path / "crops"), "--split", str(ids)]
    monkeypatch.setattr("sys.argv", words)
    centring.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[3:]] == ["5", "7"]
    assert all(0 <= float(cell.split("/")[1]) <= 100 for line in lines[3:] for cell in line.split("|")[2:5])
    assert np.isfinite(
        [float(cell.split("/")[0]) for line in lines[3:] for cell in line.split("|")[2:5]]
    ).all()
