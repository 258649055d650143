import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreid_deploy.crops import read_crop, resize_crop
from autoreid_deploy.errors import CropError, InputError
from autoreid_deploy.records import Record, read_ids
from search.config import SPLITS, RunConfig, Source
from search.data import Crops, Labelled, list_crops, load_crops, refuse_known_people, split_crops


def draw(folder: Path, *names: str) -> None:
    """One plain picture a name, each of another colour."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((20, 10, 3), 20 * i, np.uint8))


def people(listed: list[Labelled]) -> set[tuple[int, str]]:
    return {crop.person for crop in listed}


def load(root: Path, *sources: Source, **options: Any) -> Crops:
    return load_crops(list_crops(sources, root, root), (16, 8), **options)


def test_every_layout_is_read(tmp_path: Path):
    draw(tmp_path / "market", "0002_c1s1_000001_00.jpg", "0007_c2s1_000001_00.jpg", "-1_c1s1_000001_00.jpg")
    draw(tmp_path / "market", "0000_c1s1_000001_00.jpg")
    draw(tmp_path / "one", "0001001.png", "0001003.png", "0002001.png")
    draw(tmp_path / "three", "0000_00.png", "0000_05.png", "0001_01.png")
    draw(tmp_path / "free", "a.png", "b.png")
    (tmp_path / "free.csv").write_text("path,pid,camid\nfree/a.png,ann,door\nfree/b.png,bob,hall\n")
    sources = [Source(path=path) for path in ("market", "one", "three", "free.csv")]
    assert people(list_crops(sources, tmp_path, tmp_path)) == {
        *((0, pid) for pid in ("0002", "0007")),  # junk and distractors teach nothing
        *((1, pid) for pid in ("cuhk01-0001", "cuhk01-0002")),
        *((2, pid) for pid in ("cuhk03-0000", "cuhk03-0001")),
        *((3, pid) for pid in ("ann", "bob")),
    }


def test_people_of_two_sources_are_never_the_same(tmp_path: Path):
    for folder in ("a", "b"):
        draw(
            tmp_path / folder, "0001_c1s1_000001_00.jpg", "0001_c2s1_000001_00.jpg", "0002_c1s1_000001_00.jpg"
        )
    crops = load(tmp_path, Source(path="a"), Source(path="b"))
    assert crops.labels.tolist() == [0, 0, 1, 2, 2, 3]
    assert crops.people == 4
    assert [crops.count(i) for i in range(2)] == [{"people": 2, "crops": 3}] * 2


def test_crops_are_resized_by_the_function_that_serves_them(drawn: Path):
    listed = list_crops([Source(path="val")], drawn, drawn)
    crops = load_crops(listed, (32, 16))
    assert crops.images.dtype == np.uint8
    for image, item in zip(crops.images, listed, strict=True):
        np.testing.assert_array_equal(image, resize_crop(read_crop(item.record.path), 32, 16))


def test_a_corrupt_crop_is_left_out_by_name_and_shifts_nobody(drawn: Path, tmp_path: Path):
    shutil.copytree(drawn / "val", tmp_path / "val")
    whole = load(tmp_path, Source(path="val"))
    bad = sorted((tmp_path / "val").iterdir())[4]
    bad.write_bytes(bad.read_bytes()[:200])
    crops = load(tmp_path, Source(path="val"))
    assert [failure.path for failure in crops.failures] == [str(bad)]
    np.testing.assert_array_equal(crops.images[:], np.delete(whole.images, 4, axis=0))
    np.testing.assert_array_equal(crops.labels, np.delete(whole.labels, 4))
    assert crops.records == whole.records[:4] + whole.records[5:]
    with pytest.raises(CropError, match=bad.name):
        load(tmp_path, Source(path="val"), strict=True)


def test_a_person_whose_crops_are_all_corrupt_leaves_no_gap_in_the_numbers(tmp_path: Path):
    draw(tmp_path / "a", "0001_c1_1.jpg", "0002_c1_1.jpg", "0003_c1_1.jpg")
    (tmp_path / "a" / "0002_c1_1.jpg").write_bytes(b"")
    assert load(tmp_path, Source(path="a")).labels.tolist() == [0, 1]


def test_a_source_of_corrupt_crops_alone_counts_nobody(tmp_path: Path):
    draw(tmp_path / "a", "0001_c1_1.jpg")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "0001_c1_1.jpg").write_bytes(b"")
    assert load(tmp_path, Source(path="a"), Source(path="b")).count(1) == {"people": 0, "crops": 0}
    with pytest.raises(InputError, match=r"none of 1 crops can be read; the first: .*0001_c1_1.jpg"):
        load(tmp_path, Source(path="b"))


def test_only_the_listed_people_are_taken(drawn: Path, tmp_path: Path):
    (tmp_path / "ids.txt").write_text("0002\n0005  # a comment\n9999\n")
    listed = list_crops([Source(path="val", ids="ids.txt")], drawn, tmp_path)
    assert people(listed) == {(0, "0002"), (0, "0005")}
    (tmp_path / "ids.txt").write_text("9999\n")
    with pytest.raises(InputError, match=r"none of the 1 people of ids.txt"):
        list_crops([Source(path="val", ids="ids.txt")], drawn, tmp_path)


def test_a_folder_whose_names_tell_nobody_is_refused(tmp_path: Path):
    draw(tmp_path / "plain", "a.jpg", "b.jpg")
    with pytest.raises(InputError, match="no crop names a person; expected PPPP_cC"):
        list_crops([Source(path="plain")], tmp_path, tmp_path)


def test_nobody_is_validated_whom_training_knows(drawn: Path, tmp_path: Path):
    (tmp_path / "a.txt").write_text("0001\n0002\n")
    (tmp_path / "b.txt").write_text("0002\n0003\n")
    a, b = (list_crops([Source(path="val", ids=ids)], drawn, tmp_path) for ids in ("a.txt", "b.txt"))
    with pytest.raises(InputError, match=r"1 are in both, the first 0002 of .*val"):
        refuse_known_people(a, b)
    other = list_crops([Source(path="train", ids="b.txt")], drawn, tmp_path)
    refuse_known_people(a, other)  # the same number in another folder is another person


def test_a_tracklet_is_somebody_of_its_camera(tmp_path: Path):
    for name in ("door/1", "door/2", "hall/1"):
        draw(tmp_path / "tracks" / name, "a.png", "b.png")
    draw(tmp_path / "plain" / "1", "0007_c3_000001.jpg", "b.png")
    rows = ["door/1/a.png,7,x", "hall/1/a.png,8,x", "hall/1/b.png,9,y"]
    (tmp_path / "tracks" / "them.csv").write_text("\n".join(["path,time,tracklet", *rows]))
    found = load(tmp_path, *(Source(path=p, tracklets=True) for p in ("tracks", "plain", "tracks/them.csv")))
    assert [found.count(i)["people"] for i in range(3)] == [3, 2, 2]
    told = [(record.camid, record.tracklet, record.time) for record in found.records]
    assert told[:6] == [
        (camera, name, None)
        for camera, name in (
            ("door", "1"),
            ("door", "1"),
            ("door", "2"),
            ("door", "2"),
            ("hall", "1"),
            ("hall", "1"),
        )
    ]
    assert told[6:8] == [("3", "1", None), (None, "1", None)]  # a name may still tell the camera
    assert told[8:] == [(None, "x", 7.0), (None, "x", 8.0), (None, "y", 9.0)]


def test_tracklets_that_cannot_be_learnt_from_are_refused(tmp_path: Path):
    draw(tmp_path / "flat", "a.png")
    tracks = Source(path="flat", tracklets=True)
    with pytest.raises(
        InputError, match=r"a.png: expected a crop of a tracklet; give a CSV with path,camid,time,tra"
    ):
        list_crops([tracks], tmp_path, tmp_path)
    with pytest.raises(InputError, match="flat: tracklets have no names, so ids cannot choose among them"):
        Source(path="flat", tracklets=True, ids="some.txt")
    with pytest.raises(
        InputError, match="val: flat: tracklets have no names, so nobody can be scored by them"
    ):
        RunConfig(val=(tracks,))


def test_nobody_is_validated_who_may_be_in_the_tracklets(tmp_path: Path):
    draw(tmp_path / "all" / "1", "0001_c1_1.jpg", "0001_c2_1.jpg")
    draw(tmp_path / "more" / "1", "0001_c1_1.jpg", "0001_c2_1.jpg")
    for train, val, known in (
        (("all", ""), ("all", ""), True),
        (("all", "shop"), ("more", "shop"), True),
        (("all", ""), ("more", ""), False),
    ):
        learnt = list_crops([Source(path=train[0], people=train[1], tracklets=True)], tmp_path, tmp_path)
        asked = list_crops([Source(path=val[0], people=val[1])], tmp_path, tmp_path)
        if known:
            with pytest.raises(InputError, match="nobody knows who is in the tracklets of"):
                refuse_known_people(learnt, asked)
        else:
            refuse_known_people(learnt, asked)


def test_sources_that_say_so_show_the_same_people(tmp_path: Path):
    for folder in ("detected", "labeled"):
        draw(tmp_path / folder, "0000_00.png", "0000_05.png", "0001_00.png")
    draw(tmp_path / "other", "0000_00.png")
    told = [
        Source(path="other", names="cuhk03"),
        Source(path="detected", names="cuhk03", people="cuhk03"),
        Source(path="labeled", names="cuhk03", people="cuhk03"),
    ]
    crops = load(tmp_path, *told)
    assert crops.labels.tolist() == [0, 1, 1, 2, 1, 1, 2]
    assert crops.origins.tolist() == [0, 1, 1, 1, 2, 2, 2]
    assert crops.count(2) == {"people": 2, "crops": 3}
    learnt, asked = (list_crops([source], tmp_path, tmp_path) for source in told[1:])
    with pytest.raises(InputError, match="2 are in both"):
        refuse_known_people(learnt, asked)


def test_a_cache_gives_the_same_crops_without_decoding_again(
    tmp_path: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch
):
    sources, cache, ticks = [Source(path="val"), Source(path="train")], tmp_path / "cache", []
    listed = list_crops(sources, drawn, drawn)
    plain = load_crops(listed, (16, 8))
    first = load_crops(listed, (16, 8), cache=cache)
    monkeypatch.setattr("search.pixels.read_crop", lambda path: pytest.fail(f"{path} was decoded again"))
    again = load_crops(listed, (16, 8), cache=cache, tick=ticks.append)
    assert sum(ticks) == len(listed)
    for crops in (first, again):
        np.testing.assert_array_equal(crops.images[:], plain.images[:])
        np.testing.assert_array_equal(crops.labels, plain.labels)
        assert len(crops.images) == len(listed)
    some = np.array([70, 3, 50, 3])
    np.testing.assert_array_equal(again.images[some], plain.images[:][some])
    again.images[some][:] = 0  # a copy: what is mapped stays
    np.testing.assert_array_equal(again.images[some], plain.images[:][some])
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".json", ".npy", ".npy"]
    part = [crop for crop in listed if crop.source == 0]
    assert isinstance(load_crops(part, (16, 8), cache=cache).images, np.memmap)


def test_a_cache_is_of_one_size_and_of_files_that_have_not_changed(tmp_path: Path):
    draw(tmp_path / "a", "0001_c1_1.jpg", "0002_c1_1.jpg")
    cache = tmp_path / "cache"
    before = load(tmp_path, Source(path="a"), cache=cache)
    assert load_crops(list_crops([Source(path="a")], tmp_path, tmp_path), (8, 8), cache=cache).images[
        :
    ].shape == (2, 8, 8, 3)
    cv2.imwrite(str(tmp_path / "a" / "0001_c1_1.jpg"), np.full((30, 10, 3), 99, np.uint8))
    after = load(tmp_path, Source(path="a"), cache=cache)
    assert (before.images[:][0] != after.images[:][0]).any()
    np.testing.assert_array_equal(before.images[:][1], after.images[:][1])


def test_a_cache_remembers_what_could_not_be_read(tmp_path: Path):
    draw(tmp_path / "a", "0001_c1_1.jpg", "0002_c1_1.jpg", "0003_c1_1.jpg")
    (tmp_path / "a" / "0002_c1_1.jpg").write_bytes(b"")
    cache = tmp_path / "cache"
    for _ in range(2):
        crops = load(tmp_path, Source(path="a"), cache=cache)
        assert [str(failure) for failure in crops.failures] == [
            f"{tmp_path / 'a' / '0002_c1_1.jpg'}: the file is empty (0 bytes)"
        ]
        np.testing.assert_array_equal(crops.images[:], load(tmp_path, Source(path="a")).images[:])
        with pytest.raises(CropError, match="0002"):
            load(tmp_path, Source(path="a"), cache=cache, strict=True)


def test_a_cache_whose_making_is_stopped_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    draw(tmp_path / "a", "0001_c1_1.jpg", "0002_c1_1.jpg")
    cache = tmp_path / "cache"

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(tmp_path, Source(path="a"), cache=cache, tick=stop)
    assert not list(cache.iterdir())
    assert len(load(tmp_path, Source(path="a"), cache=cache).images) == 2


def test_the_bundled_splits_share_nobody():
    lists = {side: read_ids(SPLITS / f"market1501_{side}_ids.txt") for side in ("train", "val", "test")}
    assert {side: len(ids) for side, ids in lists.items()} == {"train": 451, "val": 100, "test": 200}
    assert all(not one & other for one, other in combinations(lists.values(), 2))


def crowd(*sizes: int, sources: int = 1) -> list[Labelled]:
    """Crops of people who have so many each; the files are not there."""
    return [
        Labelled(source, Path("crops"), Record(Path(f"{pid:04d}_{shot}.jpg"), f"{pid:04d}", "1"))
        for source in range(sources)
        for pid, size in enumerate(sizes)
        for shot in range(size)
    ]


@settings(deadline=None, max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=4, max_size=12),
    share=st.floats(0.2, 0.8),
    seed=st.integers(0, 99),
    sources=st.integers(1, 2),
)
def test_split_by_person_nobody_is_on_both_sides_and_the_share_is_of_people(
    sizes: list[int], share: float, seed: int, sources: int
):
    listed = crowd(*sizes, sources=sources)
    first, second = split_crops(listed, share, seed)
    assert not people(first) & people(second)
    assert len(people(second)) == round(share * len(sizes) * sources)
    assert sorted(first + second, key=listed.index) == listed
    for side in (first, second):
        assert sorted(side, key=listed.index) == side
    assert split_crops(listed, share, seed) == (first, second)


@settings(deadline=None, max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=12).filter(lambda sizes: max(sizes) > 1),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
)
def test_split_by_crop_everybody_is_on_both_sides_with_different_crops(
    sizes: list[int], share: float, seed: int
):
    listed = crowd(*sizes)
    first, second = split_crops(listed, share, seed, by_person=False)
    assert people(first) == people(listed)
    assert people(second) == {(0, f"{pid:04d}") for pid, size in enumerate(sizes) if size > 1}
    assert sorted(first + second, key=listed.index) == listed
    for pid, size in enumerate(sizes):
        count = sum(crop.record.pid == f"{pid:04d}" for crop in second)
        assert count == (0 if size == 1 else min(max(round(share * size), 1), size - 1))
    assert split_crops(listed, share, seed, by_person=False) == (first, second)


@pytest.mark.parametrize("by_person", [True, False])
def test_another_seed_splits_otherwise(by_person: bool):
    listed = crowd(*[4] * 20)
    splits = [split_crops(listed, 0.5, seed, by_person=by_person) for seed in range(3)]
    assert all(one != other for one, other in combinations(splits, 2))


def test_a_split_that_leaves_a_side_empty_is_refused():
    with pytest.raises(InputError, match=r"4 crops cannot be split by 0\.1 into two sides; give more people"):
        split_crops(crowd(2, 2), 0.1, 0)
    with pytest.raises(InputError, match="2 crops cannot be split"):
        split_crops(crowd(1, 1), 0.5, 0, by_person=False)
