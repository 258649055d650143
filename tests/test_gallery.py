"""Laws of the gallery: it behaves like a container, answers like brute force, and embeds nothing twice."""

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreid_deploy.embedder import Embedder
from autoreid_deploy.errors import CropError, GalleryError, InputError, ModelMismatchError
from autoreid_deploy.gallery import Gallery
from autoreid_deploy.gallery.filters import camera, person
from autoreid_deploy.gallery.intake import Intake, Tally
from autoreid_deploy.gallery.store import Stamp
from autoreid_deploy.records import Record, scan

DIM = 16


def unit_rows(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "index", model_id="m@1", dim=DIM, model="m") as gallery:
        yield gallery


# Any sequence of operations equals the same on a dictionary: path -> (pid, camid, row).
NAMES = st.sampled_from([f"/crops/{i}.jpg" for i in range(8)])
LABELS = st.sampled_from([None, "1", "2", "-1"])
ADD = st.tuples(
    st.just("add"), st.lists(st.tuples(NAMES, LABELS, LABELS, st.integers(0, 999)), min_size=1, max_size=5)
)
STEPS = st.one_of(
    ADD, st.tuples(st.just("path"), NAMES), st.tuples(st.just("pid"), LABELS), st.just(("reopen", ""))
)


@settings(max_examples=30, deadline=None)
@given(st.lists(STEPS, max_size=12), st.integers(0, 999), st.integers(1, 10))
def test_any_sequence_of_changes_equals_a_dictionary(steps: list, seed: int, k: int) -> None:
    oracle: dict[str, tuple] = {}
    with tempfile.TemporaryDirectory() as folder:
        gallery = Gallery.create(folder, model_id="m@1", dim=DIM)
        for step, value in steps:
            if step == "add":
                rows = np.concatenate([unit_rows(1, seed) for *_, seed in value])
                gallery.add([Record(Path(path), pid, camid) for path, pid, camid, _ in value], rows)
                oracle |= {entry[0]: (*entry[1:3], row) for entry, row in zip(value, rows, strict=True)}
            elif step == "path":
                assert gallery.remove(paths=[value]) == (oracle.pop(value, None) is not None)
            elif step == "pid" and value is not None:
                gone = [path for path, entry in oracle.items() if entry[0] == value]
                assert gallery.remove(pids=[value]) == len([oracle.pop(path) for path in gone])
            else:
                gallery.close()
                gallery = Gallery.open(folder, model_id="m@1")
        assert len(gallery) == len(oracle)
        known = {str(path): row.record for path, row in gallery.known().items()}
        assert {p: (r.pid, r.camid) for p, r in known.items()} == {p: e[:2] for p, e in oracle.items()}
        for camids in (None, ["1"], ["1", "2"]):
            compare_with_brute_force(gallery, oracle, unit_rows(1, seed)[0], k, camids)
        gallery.close()


def compare_with_brute_force(
    gallery: Gallery, oracle: dict[str, tuple], query: np.ndarray, k: int, camids: list[str] | None
) -> None:
    truth = {p: 1 - row @ query for p, (_, camid, row) in oracle.items() if camids is None or camid in camids}
    [hits] = gallery.query(query, k, where=camera(*camids) if camids else None)
    found = [str(hit.record.path) for hit in hits]
    assert len(set(found)) == len(found) == min(k, len(truth))
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    # 16-bit rows move a distance by less than 1e-3, so only rows that are as close as that may trade places.
    assert np.allclose([hit.distance for hit in hits], sorted(truth.values())[: len(hits)], atol=1e-3)
    assert np.allclose([hit.distance for hit in hits], [truth[path] for path in found], atol=1e-3)


def test_many_queries_equal_brute_force_with_and_without_a_filter(gallery: Gallery) -> None:
    rows, queries = unit_rows(500), unit_rows(20, seed=1)
    cameras = [str(i % 7) for i in range(500)]
    gallery.add([Record(Path(f"/{i}.jpg"), None, camera) for i, camera in enumerate(cameras)], rows)
    for camids in (None, ["3"], ["0", "6"]):
        passing = [i for i in range(500) if camids is None or cameras[i] in camids]
        truth = 1 - queries @ rows[passing].T
        for line, hits in zip(
            truth, gallery.query(queries, 10, where=camera(*camids) if camids else None), strict=True
        ):
            assert np.allclose([hit.distance for hit in hits], np.sort(line)[:10], atol=1e-3)
            assert all(camids is None or hit.record.camid in camids for hit in hits)


def test_every_row_finds_itself_first_at_distance_zero(gallery: Gallery) -> None:
    rows = unit_rows(300)
    ids = gallery.add([Record(Path(f"/{i}.jpg")) for i in range(300)], rows)
    hits = gallery.query(rows, k=1)
    assert [hit.id for [hit] in hits] == ids
    assert max(hit.distance for [hit] in hits) < 1e-5


def test_distances_lie_between_zero_and_two_and_ties_follow_the_ids(gallery: Gallery) -> None:
    row = unit_rows(1)
    ids = gallery.add([Record(Path(f"/{i}.jpg")) for i in range(4)], np.concatenate([row, row, -row, row]))
    [hits] = gallery.query(row[0], k=4)
    assert [hit.id for hit in hits] == [ids[0], ids[1], ids[3], ids[2]]
    assert [hit.distance for hit in hits] == pytest.approx([0, 0, 0, 2], abs=1e-5)
    assert all(0 <= hit.distance <= 2 for hit in hits)


def test_a_scaled_embedding_means_the_same(gallery: Gallery) -> None:
    gallery.add([Record(Path("/a.jpg"))], unit_rows(1) * 100)
    assert gallery.query(unit_rows(1) * 7)[0][0].distance < 1e-5


def test_few_rows_give_few_hits_and_none_gives_none(gallery: Gallery) -> None:
    assert gallery.query(unit_rows(2), k=5) == [[], []]
    gallery.add([Record(Path("/a.jpg"), None, "1")], unit_rows(1))
    assert len(gallery.query(unit_rows(1), k=5)[0]) == 1
    assert gallery.query(unit_rows(2), k=5, where=camera("2")) == [[], []]
    assert gallery.query(np.empty((0, DIM))) == []


def test_a_gallery_follows_what_another_writes(gallery: Gallery) -> None:
    rows = unit_rows(2)
    gallery.add([Record(Path("/a.jpg"))], rows[:1])
    with Gallery.open(gallery.store.folder) as reader:
        assert len(reader.query(rows[1])[0]) == 1
        gallery.add([Record(Path("/b.jpg"))], rows[1:])
        assert reader.query(rows[1])[0][0].record.path == Path("/b.jpg")
        gallery.remove(paths=["/b.jpg"])
        assert [hit.record.path for hit in reader.query(rows[1])[0]] == [Path("/a.jpg")]


def test_a_query_sees_each_change_made_through_the_same_gallery(gallery: Gallery) -> None:
    def found() -> set[str]:
        return {hit.record.path.name for hit in gallery.query(unit_rows(1))[0]}

    gallery.add([Record(Path("/a.jpg")), Record(Path("/b.jpg"))], unit_rows(2), [None, Stamp(1, 1, "b")])
    assert found() == {"a.jpg", "b.jpg"}
    gallery.remove(paths=["/a.jpg"])
    assert found() == {"b.jpg"}
    gallery.store.copy(Record(Path("/c.jpg")), Stamp(1, 1, "b"))
    assert found() == {"b.jpg", "c.jpg"}
    with pytest.raises(ZeroDivisionError), gallery.store.write():
        gallery.remove(paths=["/"])
        assert found() == set()
        raise ZeroDivisionError
    assert found() == {"b.jpg", "c.jpg"}


def test_a_closed_gallery_and_one_of_another_thread_say_so(tmp_path: Path) -> None:
    gallery = Gallery.create(tmp_path / "index", model_id="m@1", dim=DIM)
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(GalleryError, match="closed, or used in another thread than it was opened in"),
    ):
        pool.submit(len, gallery).result()
    gallery.close()
    with pytest.raises(GalleryError, match="the gallery is closed"):
        gallery.query(unit_rows(1))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.full((1, DIM), np.nan), "row 0 is not"),
        (np.zeros((1, DIM)), "row 0 is not"),
        (np.full((1, DIM), np.inf), "row 0 is not"),
        (np.ones((1, DIM + 1)), r"expected embeddings \(N, 16\), got \(1, 17\)"),
        (np.ones((2, DIM)), "got 1 records, 2 embeddings and 1 stamps"),
    ],
)
def test_wrong_rows_are_refused_and_nothing_is_kept(gallery: Gallery, rows: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gallery.add([Record(Path("/a.jpg"))], rows)
    assert len(gallery) == 0


def test_wrong_queries_are_refused(gallery: Gallery) -> None:
    for query in (np.zeros(DIM), np.full(DIM, np.nan), np.ones(DIM - 1)):
        with pytest.raises(InputError):
            gallery.query(query)
    with pytest.raises(InputError, match="k of 1 or more, got 0"):
        gallery.query(unit_rows(1), k=0)


def test_another_model_is_refused_with_both_ids(gallery: Gallery) -> None:
    with pytest.raises(ModelMismatchError, match=r"built with m@1, this model is other@2.*--index NEW"):
        Gallery.open(gallery.store.folder, model_id="other@2")


def test_info_counts_people_without_junk(gallery: Gallery) -> None:
    pids = ["1", "1", "2", "-1", "0000", None]
    cameras = ["10", "2", "2", None, "2", "2"]
    records = [Record(Path(f"/{i}.jpg"), *pair) for i, pair in enumerate(zip(pids, cameras, strict=True))]
    gallery.add(records, unit_rows(6))
    info = gallery.info()
    assert (info.crops, info.people, info.cameras) == (6, 2, {"2": 4, "10": 1})
    assert (info.model, info.model_id, info.dim, info.schema) == ("m", "m@1", DIM, 2)
    assert info.bytes > 0


# Taking crops in.


@pytest.fixture(scope="module")
def embedder(tiny_model: Path) -> Iterator[Embedder]:
    with Embedder.load(tiny_model, workers=2, batch_size=4) as embedder:
        yield embedder


class CountingEmbedder:
    """An embedder that counts what it embeds."""

    def __init__(self, inner: Embedder) -> None:
        self.inner = inner
        self.count = 0

    def stream(self, crops: Iterator[bytes]) -> Iterator:
        for batch in self.inner.stream(crops):
            self.count += len(batch.rows)
            yield batch


@pytest.fixture
def intake(tmp_path: Path, embedder: Embedder) -> Iterator:
    """A function that takes a folder into a gallery: (tally, number of crops embedded)."""
    gallery = Gallery.create(tmp_path / "taken", model_id=embedder.id, dim=embedder.spec.dim)

    def take(folder: Path, **options: bool) -> tuple[Tally, int]:
        counting = CountingEmbedder(embedder)
        tally = Intake(gallery, counting, **options).take(scan(folder))
        return tally, counting.count

    take.gallery = gallery
    yield take
    gallery.close()


def rows_by_name(gallery: Gallery) -> dict[str, bytes]:
    _, rows = gallery.store.embeddings()
    return {r.record.path.name: row.tobytes() for r, row in zip(gallery.store.stored(), rows, strict=True)}


def test_building_twice_embeds_nothing_twice(intake, crop_folder: Path) -> None:
    tally, embedded = intake(crop_folder)
    assert (tally.embedded, tally.unchanged, embedded) == (16, 0, 16)
    tally, embedded = intake(crop_folder)
    assert (tally.embedded, tally.unchanged, embedded) == (0, 16, 0)


def test_each_stored_row_is_the_embedding_of_its_own_crop(
    intake, crop_folder: Path, embedder: Embedder
) -> None:
    intake(crop_folder)
    for hits, path in zip(
        intake.gallery.query(embedder.embed(sorted(crop_folder.iterdir())), k=1),
        sorted(crop_folder.iterdir()),
        strict=True,
    ):
        assert hits[0].record.path == path
        assert hits[0].distance < 1e-5


def test_a_touched_crop_is_not_embedded_again_and_a_changed_one_is(intake, crop_folder: Path) -> None:
    intake(crop_folder)
    first, second, *_ = sorted(crop_folder.iterdir())
    first.touch()
    second.write_bytes(sorted(crop_folder.iterdir())[-1].read_bytes() + b"\0")
    tally, embedded = intake(crop_folder)
    assert (tally.embedded, tally.unchanged, embedded) == (1, 15, 1)
    assert len(intake.gallery) == 16
    assert intake(crop_folder)[0].unchanged == 16


def test_moved_and_copied_crops_take_the_stored_row(intake, crop_folder: Path) -> None:
    intake(crop_folder)
    first, second, *_ = sorted(crop_folder.iterdir())
    shutil.copy(first, crop_folder / "copy.jpg")
    second.rename(crop_folder / "moved.jpg")
    tally, embedded = intake(crop_folder)
    assert (tally.copied, tally.unchanged, embedded) == (2, 15, 0)
    rows = rows_by_name(intake.gallery)
    assert rows["copy.jpg"] == rows[first.name]
    assert rows["moved.jpg"] == rows[second.name]


def test_equal_crops_in_one_build_are_embedded_once(intake, crop_folder: Path) -> None:
    for path in sorted(crop_folder.iterdir()):
        shutil.copy(path, path.with_name(f"again_{path.name}"))
    tally, embedded = intake(crop_folder)
    assert (tally.embedded, tally.copied, embedded, len(intake.gallery)) == (16, 16, 16, 32)


def test_crops_that_swapped_names_keep_the_right_rows(intake, crop_folder: Path) -> None:
    intake(crop_folder)
    before = rows_by_name(intake.gallery)
    names = sorted(path.name for path in crop_folder.iterdir())
    contents = [(crop_folder / name).read_bytes() for name in names]
    for name, content in zip(names, contents[1:] + contents[:1], strict=True):
        (crop_folder / name).write_bytes(content)
    tally, embedded = intake(crop_folder)
    assert (tally.copied, embedded) == (15, 1)  # the last one's original was replaced by the first
    after = rows_by_name(intake.gallery)
    assert [after[name] for name in names] == [before[name] for name in names[1:] + names[:1]]


def test_new_labels_reach_known_crops_without_embedding(
    intake, crop_folder: Path, embedder: Embedder
) -> None:
    intake(crop_folder)
    counting = CountingEmbedder(embedder)
    records = [Record(path, "new", "9") for path in sorted(crop_folder.iterdir())]
    Intake(intake.gallery, counting).take(records)
    assert counting.count == 0
    assert intake.gallery.info().cameras == {"9": 16}


def test_unreadable_crops_are_named_and_shift_nobody(intake, crop_folder: Path) -> None:
    whole = sorted(crop_folder.iterdir())
    (crop_folder / "0001_c1_empty.jpg").write_bytes(b"")
    (crop_folder / "0001_c1_empty_too.jpg").write_bytes(b"")
    (crop_folder / "0002_c1_text.jpg").write_text("this is no picture")
    (crop_folder / "0003_c1_cut.jpg").write_bytes(whole[0].read_bytes()[:700])
    (crop_folder / "0004_c1_gone.jpg").symlink_to("nowhere")
    tally, _ = intake(crop_folder)
    assert {path.name: reason for path, reason in tally.failures} == {
        "0001_c1_empty.jpg": "the file is empty (0 bytes)",
        "0001_c1_empty_too.jpg": "the file is empty (0 bytes)",
        "0002_c1_text.jpg": "not a picture that can be decoded",
        "0003_c1_cut.jpg": "the file is cut off: the end of the picture is missing",
        "0004_c1_gone.jpg": "no such file or directory",
    }
    assert sorted(path.name for path in intake.gallery.known()) == [path.name for path in whole]


def test_strict_stops_at_the_first_unreadable_crop_and_keeps_the_others(intake, crop_folder: Path) -> None:
    (crop_folder / "0004_zz.jpg").write_bytes(b"")
    with pytest.raises(CropError, match="empty"):
        intake(crop_folder, strict=True)
    kept = {path.name for path in intake.gallery.known()}
    assert len(kept) >= 8
    assert "0004_zz.jpg" not in kept


def test_stopping_keeps_what_is_done_and_the_next_run_goes_on(
    intake, crop_folder: Path, embedder: Embedder
) -> None:
    done = 0

    def stop(count: int) -> None:
        nonlocal done
        done += count
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Intake(intake.gallery, embedder, advance=stop).take(scan(crop_folder))
    assert len(intake.gallery) == 6
    tally, embedded = intake(crop_folder)
    assert (tally.unchanged, embedded, len(intake.gallery)) == (6, 10, 16)


def test_crops_are_committed_as_they_come(
    intake, crop_folder: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoreid_deploy.gallery.intake.COMMIT_CROPS", 4)
    seen = []
    with Gallery.open(intake.gallery.store.folder) as reader:
        Intake(intake.gallery, embedder, advance=lambda _: seen.append(len(reader))).take(scan(crop_folder))
    assert sorted(seen) == seen
    assert {4, 8, 12} <= set(seen)


def test_a_gallery_that_another_process_holds_ends_the_intake(
    intake, crop_folder: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoreid_deploy.gallery.database.BUSY_SECONDS", 0.1)
    with (
        Gallery.open(intake.gallery.store.folder) as second,
        intake.gallery.store.write(),
        pytest.raises(GalleryError, match="another process is writing"),
    ):
        Intake(second, embedder).take(scan(crop_folder))
    assert len(intake.gallery) == 0


def test_a_reader_takes_in_what_others_add_slice_by_slice_and_nothing_twice(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoreid_deploy.gallery.view.PATIENCE_SECONDS", 0)
    monkeypatch.setattr("autoreid_deploy.gallery.view._SLICE", 16)
    monkeypatch.setattr("autoreid_deploy.gallery.view._BLOCK", 40)
    rows = unit_rows(200)
    gallery.add([Record(Path(f"/{i}.jpg")) for i in range(50)], rows[:50])
    with Gallery.open(gallery.store.folder) as reader:
        assert [hit.id for [hit] in reader.query(rows[:50], 1)] == list(range(1, 51))
        read, plain = [], reader.store.rows
        monkeypatch.setattr(reader.store, "rows", lambda *span: read.append(span[0]) or plain(*span))
        gallery.add([Record(Path(f"/{i}.jpg")) for i in range(50, 200)], rows[50:])
        gallery.remove(ids=[10, 60, 170])
        seen = [len(reader.query(rows[0], 200)[0]) for _ in range(12)]
        assert seen == sorted(seen)
        assert seen[0] < seen[-1] == 197
        assert read == list(range(50, 200, 16))
        there = [i for i in range(200) if i + 1 not in (10, 60, 170)]
        assert [hit.id - 1 for [hit] in reader.query(rows[there], 1)] == there


def test_crops_that_others_have_just_added_can_ask(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoreid_deploy.gallery.view.PATIENCE_SECONDS", 0)
    monkeypatch.setattr("autoreid_deploy.gallery.view._SLICE", 16)
    rows = unit_rows(100)
    gallery.add([Record(Path("/0.jpg"), "0")], rows[:1])
    with Gallery.open(gallery.store.folder) as reader:
        reader.query(rows[0])
        twice = np.concatenate([rows[1:], rows[1:]])
        gallery.add([Record(Path(f"/{i}.jpg"), str(i)) for i in range(1, 199)], twice)
        [[hit, *_]] = reader.query_stored(person("98"))
        assert hit.record.path == Path("/197.jpg")
        assert hit.distance == pytest.approx(0, abs=1e-5)
