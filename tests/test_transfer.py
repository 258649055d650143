"""Laws of export and import: bit for bit there and back, whole or not at all, one line for what is damaged."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from autoreid_deploy.errors import GalleryError, InputError, MissingExtraError, ModelMismatchError
from autoreid_deploy.gallery import Gallery, transfer, transfer_folder, transfer_parquet
from autoreid_deploy.gallery.filters import path, person
from autoreid_deploy.gallery.store import Stamp
from autoreid_deploy.records import Record, scan

DIM = 12
FORMS = ["out", "out.parquet"]
NAMES = [
    b"/crops/plain.jpg",
    "/crops/Zoë 日本.jpg".encode(),
    b"/crops/latin-\xe9.jpg",
    b"/crops/line\nbreak\r'\"\\,.jpg",
    b"/crops/ blank .jpg",
]


def unit_rows(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (transfer, transfer_folder, transfer_parquet):
        monkeypatch.setattr(module, "CHUNK", 7)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """35 crops with all kinds of names, some labels and stamps missing, one corrected by hand."""
    with Gallery.create(tmp_path / "index", model_id="m@1", dim=DIM, model="m") as gallery:
        paths = [Path(os.fsdecode(name)) for name in NAMES] + [Path(f"/crops/{i}.jpg") for i in range(30)]
        records = [
            Record(
                path,
                (None, "1", "Zoë")[i % 3],
                (None, "2")[i % 2],
                (None, 0.1 + i, 0.0)[i % 3],
                (None, "t,1")[i % 2],
            )
            for i, path in enumerate(paths)
        ]
        stamps = [Stamp(i, 2**62 + i, f"{i:064x}") if i % 2 else None for i in range(len(paths))]
        gallery.add(records, unit_rows(len(paths)), stamps)
        gallery.relabel("corrected", where=path("/crops/3.jpg"))
        yield gallery


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(gallery: Gallery) -> dict:
    _, rows = gallery.store.rows()
    crops = list(gallery.store.stored())
    hands = gallery.store.by_hand(crop.id for crop in crops)
    return {
        c.record.path: (c.record, c.stamp, row.tobytes(), hand)
        for c, row, hand in zip(crops, rows, hands, strict=True)
    }


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "other", model_id="m@1", dim=DIM, model="m") as other:
        yield other


@pytest.mark.parametrize("form", FORMS)
def test_a_gallery_comes_back_bit_for_bit(
    gallery: Gallery, other: Gallery, tmp_path: Path, form: str
) -> None:
    told: list[int] = []
    assert gallery.export_to(tmp_path / form, tick=told.append) == 35
    assert told == [7] * 5
    assert other.import_from(tmp_path / form) == 35
    assert content(other) == content(gallery)
    assert other.verify() == []
    assert [line for _, line in gallery.store.audit()][-1] == "export: 35 crops"
    assert [line for _, line in other.store.audit()] == ["import: 35 crops"]
    assert not [name for name in names(tmp_path) if name.endswith(".tmp")]


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_gallery_and_a_filter_that_nothing_passes_come_back(
    gallery: Gallery, other: Gallery, tmp_path: Path, form: str
) -> None:
    assert gallery.export_to(tmp_path / form, where=person("nobody")) == 0
    assert other.import_from(tmp_path / form) == 0
    assert len(other) == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_filter_chooses_what_is_exported(
    gallery: Gallery, other: Gallery, tmp_path: Path, form: str
) -> None:
    count = gallery.export_to(tmp_path / form, where=person("Zoë"))
    assert 0 < count < 35
    other.import_from(tmp_path / form)
    assert other.store.counts("pid") == {"Zoë": count}


@pytest.mark.parametrize("form", FORMS)
def test_two_galleries_become_one_and_equal_paths_are_replaced(
    gallery: Gallery, other: Gallery, tmp_path: Path, form: str
) -> None:
    other.add([Record(Path("/crops/3.jpg"), "old"), Record(Path("/own.jpg"))], unit_rows(2, seed=1))
    gallery.export_to(tmp_path / form)
    other.import_from(tmp_path / form)
    assert len(other) == 36
    assert other.known()[Path("/crops/3.jpg")].record.pid == "corrected"


def test_the_folder_is_plain(gallery: Gallery, tmp_path: Path) -> None:
    gallery.remove(paths=[Path(os.fsdecode(NAMES[2]))])  # the one that is not UTF-8
    gallery.export_to(tmp_path / "out")
    assert names(tmp_path / "out") == ["crops.csv", "files.csv", "gallery.json", "rows.npy"]
    rows = np.load(tmp_path / "out" / "rows.npy", allow_pickle=False)
    assert (rows.shape, rows.dtype) == ((34, DIM), np.float16)
    told = json.loads((tmp_path / "out" / "gallery.json").read_text())
    assert (told["model_id"], told["model"], told["dim"], told["count"]) == ("m@1", "m", DIM, 34)
    assert set(told["sha256"]) == {"crops.csv", "files.csv", "rows.npy"}
    # What `reid-index build` reads.
    assert {r.pid for r in scan(tmp_path / "out" / "crops.csv")} == {None, "1", "Zoë", "corrected"}


def test_other_programs_read_the_parquet_file(gallery: Gallery, tmp_path: Path) -> None:
    gallery.export_to(tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("path")[1].as_py() == "/crops/Zoë 日本.jpg"
    assert table.column("path_bytes").null_count == 34
    rows = np.stack([np.array(row, np.float16) for row in table.column("embedding").to_pylist()])
    assert np.array_equal(rows, gallery.store.rows()[1])


@pytest.mark.parametrize("form", FORMS)
def test_what_is_there_already_is_left_alone(gallery: Gallery, tmp_path: Path, form: str) -> None:
    gallery.export_to(tmp_path / form)
    before = transfer.describe(tmp_path / form)
    gallery.remove(paths=["/"])
    with pytest.raises(InputError, match="there is something already"):
        gallery.export_to(tmp_path / form)
    assert transfer.describe(tmp_path / form) == before


@pytest.mark.parametrize("form", FORMS)
def test_an_export_that_fails_leaves_nothing(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    before = names(tmp_path)

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gallery.export_to(tmp_path / form, tick=stop)
    gallery.store._database.run("DELETE FROM embedding WHERE id = 20")
    with pytest.raises(GalleryError, match="damaged"):
        gallery.export_to(tmp_path / form)
    assert names(tmp_path) == before


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_leaves_nothing(gallery: Gallery, tmp_path: Path, form: str) -> None:
    gallery.add([Record(Path(f"/more/{i}.jpg")) for i in range(3000)], unit_rows(3000))
    gallery.close()
    code = (
        "import resource, sys; from autoreid_deploy.gallery import Gallery\n"
        "with Gallery.open(sys.argv[1]) as gallery:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "    gallery.export_to(sys.argv[2])\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "index"), str(tmp_path / form)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert "File too large" in done.stderr
    assert names(tmp_path) == ["index"]


@pytest.mark.parametrize("form", FORMS)
def test_another_model_is_refused_with_both_ids(gallery: Gallery, tmp_path: Path, form: str) -> None:
    gallery.export_to(tmp_path / form)
    with (
        Gallery.create(tmp_path / "far", model_id="n@2", dim=DIM) as far,
        pytest.raises(ModelMismatchError, match=r"made by m@1, those of .* by n@2"),
    ):
        far.import_from(tmp_path / form)


def test_any_flipped_bit_of_a_folder_is_found_and_nothing_is_taken_in(
    gallery: Gallery, other: Gallery, tmp_path: Path
) -> None:
    gallery.export_to(tmp_path / "out")
    chance = random.Random(0)
    for name in ("crops.csv", "files.csv", "rows.npy"):
        file = tmp_path / "out" / name
        whole = file.read_bytes()
        for _ in range(5):
            data = bytearray(whole)
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            file.write_bytes(data)
            with pytest.raises(InputError, match=f"{name} was changed since it was written"):
                other.import_from(tmp_path / "out")
        file.write_bytes(whole)
    assert len(other) == 0
    assert other.import_from(tmp_path / "out") == 35


def test_damage_to_a_parquet_file_never_ends_in_a_traceback_nor_in_half_an_import(
    gallery: Gallery, other: Gallery, tmp_path: Path
) -> None:
    file = tmp_path / "out.parquet"
    gallery.export_to(file)
    whole = file.read_bytes()
    chance = random.Random(0)
    noticed = 0
    for turn in range(60):
        data = bytearray(whole)
        if turn < 10:
            data = data[: chance.randrange(len(data))]
        else:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        try:
            other.import_from(file)
        except (InputError, GalleryError) as error:
            assert "\n" not in str(error)
            assert len(other) == 0
            noticed += 1
        other.remove(paths=["/"])
    assert noticed > 30


def test_any_flipped_bit_of_an_embedding_in_a_parquet_file_is_found(
    gallery: Gallery, other: Gallery, tmp_path: Path
) -> None:
    file = tmp_path / "out.parquet"
    gallery.export_to(file)
    whole = file.read_bytes()
    group = pq.read_metadata(file).row_group(0)
    chunk = group.column(group.num_columns - 1)
    end = chunk.data_page_offset + chunk.total_compressed_size
    for at in range(end - 100, end - 20, 8):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(InputError, match="not an export that can be read"):
            other.import_from(file)
    assert len(other) == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "rows.npy").unlink(), "it has no rows.npy"),
        (lambda folder: (folder / "gallery.json").unlink(), "it has no gallery.json"),
        (lambda folder: (folder / "gallery.json").write_text("{"), "not an export that can be read"),
        (lambda folder: (folder / "gallery.json").write_text("[]"), "not written by reid-index export"),
        (lambda folder: rewrite(folder, version=2), "of version 2, this program reads 1"),
        (lambda folder: rewrite(folder, count=36), "not what gallery.json says"),
        (lambda folder: rewrite(folder, count=-1), "a number of crops"),
        (lambda folder: pickled(folder), "not an export that can be read"),
        (lambda folder: replaced(folder, "crops.csv", b"path,pid", b"path,who"), "the header of crops.csv"),
        (
            lambda folder: replaced(folder, "crops.csv", b"\n/crops/9.jpg,", b"\n/crops/9.jpg,,"),
            "has 6 cells",
        ),
        (lambda folder: replaced(folder, "crops.csv", b"\n/crops/9.jpg,", b"\n,"), "a crop has no path"),
        (lambda folder: zeroed(folder), "expected rows of length 1"),
    ],
)
def test_a_foreign_or_damaged_folder_is_one_line(
    gallery: Gallery, other: Gallery, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    gallery.export_to(tmp_path / "out")
    damage(tmp_path / "out")
    with pytest.raises(InputError, match=message) as caught:
        other.import_from(tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert len(other) == 0


def rewrite(folder: Path, **changes: object) -> None:
    """Change the head, and give every file's true SHA-256."""
    told = json.loads((folder / "gallery.json").read_text()) | changes
    told["sha256"] = {name: transfer_folder._sha256(folder / name) for name in told["sha256"]}
    (folder / "gallery.json").write_text(json.dumps(told))


def replaced(folder: Path, name: str, old: bytes, new: bytes) -> None:
    data = (folder / name).read_bytes()
    assert data.count(old) == 1
    (folder / name).write_bytes(data.replace(old, new))
    rewrite(folder)


def pickled(folder: Path) -> None:
    np.save(folder / "rows.npy", np.array([{}], object), allow_pickle=True)
    rewrite(folder)


def zeroed(folder: Path) -> None:
    rows = np.load(folder / "rows.npy")
    rows[20] = 0
    np.save(folder / "rows.npy", rows)
    rewrite(folder)


@pytest.mark.parametrize(("name", "there"), [("none", "nothing"), ("file", "another file")])
def test_what_is_no_export_is_said_to_be_none(other: Gallery, tmp_path: Path, name: str, there: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        InputError, match=f"expected a folder or .parquet file of reid-index export, got {there}"
    ):
        other.import_from(tmp_path / name)


def test_a_foreign_parquet_file_and_one_that_is_missing_are_one_line(other: Gallery, tmp_path: Path) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    for name, message in (
        ("foreign", "not written by reid-index export"),
        ("text", "not an export that can be read"),
        ("none", "no such file"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            other.import_from(tmp_path / f"{name}.parquet")
        assert "\n" not in str(caught.value)


def test_without_pyarrow_the_extra_is_named(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'autoreid-deploy\[parquet\]'"):
        gallery.export_to(tmp_path / "out.parquet")
    assert names(tmp_path) == ["index"]
    gallery.export_to(tmp_path / "out")


def test_kill_9_in_an_import_takes_nothing_in(gallery: Gallery, other: Gallery, tmp_path: Path) -> None:
    gallery.export_to(tmp_path / "out")
    code = (
        "import os, signal, sys; from autoreid_deploy.gallery import Gallery, transfer_folder\n"
        "transfer_folder.CHUNK = 7; done = []\n"
        "def tick(count):\n"
        "    done.append(count)\n"
        "    if len(done) == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Gallery.open(sys.argv[1]).import_from(sys.argv[2], tick)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "other"), str(tmp_path / "out")]
    assert subprocess.run(words, timeout=60, check=False).returncode == -9
    assert len(other) == 0
    assert other.import_from(tmp_path / "out") == 35


def test_relative_paths_start_at_the_folder_of_the_export(
    gallery: Gallery, other: Gallery, tmp_path: Path
) -> None:
    gallery.export_to(tmp_path / "out", where=path("/crops/3.jpg"))
    replaced(tmp_path / "out", "crops.csv", b"/crops/3.jpg", b"near/3.jpg")
    other.import_from(tmp_path / "out")
    assert list(other.known()) == [tmp_path / "out" / "near" / "3.jpg"]
