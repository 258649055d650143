from pathlib import Path

import numpy as np
import pytest

from autoreid_deploy.errors import InputError
from autoreid_deploy.protocols import half_draws, heldout_split, single_shot_split
from autoreid_deploy.records import Record, scan


def crop(name, pid, camid="1"):
    return Record(Path(name), pid, camid)


def test_the_first_crop_by_name_of_each_person_in_each_camera_asks():
    records = [
        crop("z/0001_c1_2.jpg", "0001"),
        crop("z/0001_c2_9.jpg", "0001", "2"),
        crop("z/0002_c1_1.jpg", "0002"),
        crop("a/0001_c1_3.jpg", "0001"),  # first by path, not by name
        crop("z/0001_c1_1.jpg", "0001"),
    ]
    assert heldout_split(records) == ([1, 2, 4], [0, 1, 2, 3, 4])


def test_junk_and_distractors_answer_but_never_ask():
    records = [crop("0000_c1.jpg", "0000"), crop("-1_c1.jpg", "-1"), crop("0001_c1.jpg", "0001")]
    assert heldout_split(records) == ([2], [0, 1, 2])


def test_without_cameras_each_person_asks_once():
    records = [crop("b.jpg", "x", None), crop("a.jpg", "x", None), crop("c.jpg", "y", None)]
    assert heldout_split(records) == ([1, 2], [0, 1, 2])


@pytest.mark.parametrize("split", [heldout_split, single_shot_split])
def test_a_crop_of_nobody_known_is_named(split):
    with pytest.raises(InputError, match=r"^holiday\.jpg: nothing tells which person .* \(1 of 2 crops\)"):
        split([crop("a.jpg", "x"), Record(Path("holiday.jpg"))])


def test_cuhk01_asks_with_001_and_answers_with_003(tmp_path):
    for pid in range(1, 972):
        for shot in range(1, 5):
            (tmp_path / f"{pid:04d}{shot:03d}.png").touch()
    records = scan(tmp_path, names="cuhk01")
    query, gallery = single_shot_split(records)
    assert [records[i].path.name for i in query] == [f"{pid:04d}001.png" for pid in range(1, 972)]
    assert [records[i].path.name for i in gallery] == [f"{pid:04d}003.png" for pid in range(1, 972)]


def test_ten_draws_take_the_same_half_every_time():
    draws = half_draws(971)
    assert len(draws) == 10
    assert all(len(set(draw.tolist())) == 485 for draw in draws)
    for seed, draw in enumerate(draws):
        assert np.array_equal(draw, np.random.RandomState(seed).permutation(971)[:485])
    assert draws[0][:4].tolist() == [934, 279, 14, 681]
    assert draws[9][:4].tolist() == [651, 2, 498, 255]


def test_who_was_seen_by_one_camera_takes_no_part_in_single_shot():
    records = [crop("1.jpg", "a"), crop("2.jpg", "b"), crop("3.jpg", "b", "2"), crop("4.jpg", "c", "2")]
    assert single_shot_split(records) == ([1], [2])
    with pytest.raises(InputError, match="nobody was seen by both cameras, 1 and 2"):
        single_shot_split([records[0], records[3]])


@pytest.mark.parametrize(
    ("cameras", "told"),
    [(["1"], r"got 1 \(1\)"), (["1", "2", "3"], r"got 3 \(1, 2, 3\)"), (["1", None], r"got 2 \(1, None\)")],
)
def test_single_shot_wants_two_cameras(cameras, told):
    records = [crop(f"{i}.jpg", "a", camid) for i, camid in enumerate(cameras)]
    with pytest.raises(InputError, match=f"two cameras for single-shot, {told}"):
        single_shot_split(records)
