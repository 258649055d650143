"""Laws of rows without what is common to their camera."""

from pathlib import Path

import numpy as np
import pytest

from autoreid_deploy.centring import CameraMeans
from autoreid_deploy.errors import GalleryError, InputError
from autoreid_deploy.gallery import Gallery
from autoreid_deploy.metrics import evaluate_embeddings
from autoreid_deploy.records import Record

DIM = 32
PEOPLE = 80


def seen(seed: int, strength: float = 0.6) -> tuple[np.ndarray, list[str], list[str]]:
    """Unit rows of 80 people by three cameras that each have a strong light of their own, people and cameras."""
    rng = np.random.default_rng(0)
    people, lights = rng.normal(size=(PEOPLE, DIM)), strength * rng.normal(size=(3, DIM))
    rng = np.random.default_rng([seed, 1])
    pid, cam = (axis.ravel() for axis in np.meshgrid(np.arange(PEOPLE), np.arange(3), indexing="ij"))
    rows = people[pid] + lights[cam] + 0.7 * rng.normal(size=(len(pid), DIM))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), [str(p) for p in pid], [f"c{c}" for c in cam]


def score(query: np.ndarray, gallery: np.ndarray) -> float:
    _, people, cameras = seen(0)
    pids, cams = np.array(people), np.array(cameras)
    return evaluate_embeddings(query, gallery, pids, pids, cams, cams).mAP


def test_people_are_found_better_before_cameras_with_a_light_of_their_own() -> None:
    (gallery, _, cameras), (query, _, _) = seen(1), seen(2)
    means = CameraMeans.of(gallery, cameras)
    centred = means.centred(gallery, cameras)
    plain = score(query, gallery)
    assert score(means.centred(query, cameras), centred) > plain + 0.15
    # Nobody knows which camera took the query: that the gallery's cameras are level helps all the same.
    assert score(means.centred(query, [None] * len(query)), centred) > plain + 0.1


def test_a_camera_with_many_crops_loses_its_mean_and_one_with_few_that_of_all() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(5021, DIM)) + 0.5).astype(np.float32)
    rows[:20, ::2] -= 1  # as far from 0, elsewhere
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cameras = ["few"] * 20 + ["many"] * 5000
    means = CameraMeans.of(rows, [*cameras, None])
    assert np.allclose(means.overall, rows.mean(0), atol=1e-5)
    assert np.allclose(means.of_cameras["many"], rows[20:5020].mean(0), atol=1e-3)
    expected = (20 * rows[:20].mean(0) + 50 * rows.mean(0)) / 70
    assert np.allclose(means.of_cameras["few"], expected, atol=1e-5)
    left = means.centred(rows, [*cameras, None])
    assert np.allclose(np.linalg.norm(left, axis=1), 1, atol=1e-5)
    expected = rows[5020] - means.overall
    assert np.allclose(left[5020], expected / np.linalg.norm(expected), atol=1e-5)


def test_a_camera_that_saw_one_person_all_day_keeps_what_they_are_known_by() -> None:
    (rows, people, cameras), (query, _, _) = seen(1), seen(2)
    all_day = np.concatenate([rows, *[query[people.index("7")][None]] * 500])
    means = CameraMeans.of(all_day, [*cameras, *["desk"] * 500])
    assert set(means.of_cameras) == {"c0", "c1", "c2"}
    [asked] = means.centred(query[people.index("7")][None], ["desk"])
    closest = np.argmax(means.centred(rows, cameras) @ asked)
    assert people[closest] == "7"


def test_an_unknown_camera_is_no_camera_and_no_name_is_special() -> None:
    rows, _, _ = seen(1)
    means = CameraMeans.of(rows, [None] * len(rows))
    assert means.of_cameras == {}
    assert np.array_equal(means.centred(rows, [None] * len(rows)), means.centred(rows, ["hall"] * len(rows)))
    with_names = CameraMeans.of(rows, ["None"] * len(rows))
    assert list(with_names.of_cameras) == ["None"]


def test_a_row_that_is_the_mean_stays_as_it_is() -> None:
    row = np.eye(DIM, dtype=np.float32)[:1]
    means = CameraMeans.of(row, ["c0"])
    assert np.array_equal(means.centred(row, ["c0"]), row)
    assert means.centred(np.empty((0, DIM)), []).shape == (0, DIM)


def test_what_does_not_fit_is_one_line() -> None:
    with pytest.raises(InputError, match="expected rows to take the means of cameras from, got none"):
        CameraMeans.of(np.empty((0, DIM)), [])
    with pytest.raises(InputError, match=r"expected rows \(N, D\) and N cameras, got \(2, 32\) and 1"):
        CameraMeans.of(np.eye(DIM)[:2], ["c0"])


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    rows, people, cameras = seen(1)
    records = [
        Record(Path(f"/{i}.jpg"), pid, cam) for i, (pid, cam) in enumerate(zip(people, cameras, strict=True))
    ]
    with Gallery.create(tmp_path, model_id="m@1", dim=DIM) as made:
        made.add(records, rows)
        yield made


@pytest.mark.parametrize("compacted", [False, True])
def test_a_gallery_orders_hits_by_centred_distance_and_keeps_the_others(
    gallery: Gallery, compacted: bool
) -> None:
    if compacted:
        gallery.compact()
    (rows, _, cameras), (query, _, asking) = seen(1), seen(2)
    rows = rows.astype(np.float16).astype(np.float32)  # as a gallery keeps them
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    means = CameraMeans.of(rows, cameras)
    apart = 1 - means.centred(query, asking) @ means.centred(rows, cameras).T
    plain = 1 - query @ rows.T
    found = gallery.query(query, 20, centred=True, cameras=asking)
    for at, hits in enumerate(found):
        places = [int(hit.record.path.stem) for hit in hits]
        assert np.allclose([hit.centred for hit in hits], np.sort(apart[at])[:20], atol=1e-5)
        assert np.allclose([hit.centred for hit in hits], apart[at][places], atol=1e-5)
        assert np.allclose([hit.distance for hit in hits], plain[at][places], atol=1e-5)
        assert [hit.rank for hit in hits] == list(range(1, 21))
    unknown = gallery.query(query, 20, centred=True)
    assert unknown != found
    [one] = gallery.query(query[0], 20, centred=True, cameras=[None])
    assert [hit.id for hit in unknown[0]] == [hit.id for hit in one]


def test_centring_goes_before_grouping_re_ranking_and_filters(gallery: Gallery) -> None:
    query, people, asking = seen(2)
    how = {"centred": True, "cameras": asking}
    right = {}
    for name, more in {"plain": {}, "centred": how, "both": {**how, "rerank": 60}}.items():
        found = gallery.query(query, 3, group="person", **more)
        right[name] = np.mean([hits[0].record.pid == pid for hits, pid in zip(found, people, strict=True)])
        assert all(len({hit.record.pid for hit in hits}) == 3 for hits in found)
    assert right["centred"] > right["plain"]
    assert right["both"] > right["plain"]
    [hits] = gallery.query(query[0], 5, centred=True, rerank=60)
    assert [hit.reranked for hit in hits] == sorted(hit.reranked for hit in hits)
    assert all(hit.centred is not None for hit in hits)
    [hits] = gallery.query(query[:3], 5, pool="mean", centred=True, cameras=asking[:3])
    assert len(hits) == 5


def test_a_stored_crop_asks_with_its_own_camera(gallery: Gallery) -> None:
    from autoreid_deploy.gallery.filters import path

    rows, _, cameras = seen(1)
    [known] = gallery.query_stored(path("/7.jpg"), 5, centred=True)
    [told] = gallery.query(rows[7], 6, centred=True, cameras=[cameras[7]])
    assert [hit.id for hit in known] == [hit.id for hit in told if hit.record.path.stem != "7"]


def test_means_follow_what_comes(gallery: Gallery) -> None:
    query = seen(2)[0]
    before = gallery.query(query[0], 3, centred=True)
    lit = np.eye(DIM, dtype=np.float32)[0] * 5
    more = seen(3)[0] + lit
    gallery.add([Record(Path(f"/new/{i}.jpg"), None, "c0") for i in range(len(more))], more)
    after = gallery.query(query[0], 3, centred=True)
    assert [hit.centred for hit in before[0]] != [hit.centred for hit in after[0]]


def test_an_empty_gallery_has_no_means(tmp_path: Path) -> None:
    with Gallery.create(tmp_path, model_id="m@1", dim=DIM) as gallery:
        assert gallery.query(np.eye(DIM)[0], centred=True) == [[]]
        gallery.add([Record(Path("/a.jpg"), "1", "c0")], np.eye(DIM)[:1])
        [[hit]] = gallery.query(np.eye(DIM)[0], centred=True)
        assert (hit.record.pid, hit.centred) == ("1", None)


def test_a_crop_that_the_store_has_lost_is_told(gallery: Gallery) -> None:
    assert list(gallery.store.cameras([2, 1])) == [1, 2]
    with pytest.raises(GalleryError, match="crop 999 is missing"):
        gallery.store.cameras([1, 999])


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ({"centred": True, "pool": "max"}, "centring by camera compares one row a query"),
        ({"centred": True, "cameras": ["c0"]}, "a camera, or None, for each of 2 pictures, got 1"),
    ],
)
def test_what_cannot_be_asked_of_a_gallery_is_one_line(gallery: Gallery, how: dict, line: str) -> None:
    with pytest.raises(InputError, match=line):
        gallery.query(seen(2)[0][:2], **how)
