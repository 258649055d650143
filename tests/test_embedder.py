import itertools
import os
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoreid_deploy import embedder as module
from autoreid_deploy.crops import resize_crop
from autoreid_deploy.embedder import Embedder, Failure
from autoreid_deploy.errors import CropError, DeviceError, InputError, ModelError


@pytest.fixture(scope="module")
def embedder(tiny_model):
    with Embedder.load(tiny_model, workers=3, batch_size=4) as embedder:
        yield embedder


@pytest.fixture(scope="module")
def pictures():
    """37 different (H, W, 3) uint8 pictures of many sizes, RGB."""
    rng = np.random.default_rng(7)
    sizes = rng.integers(20, 200, (37, 2))
    return [resize_crop(rng.integers(0, 256, (8, 4, 3), np.uint8), *size) for size in sizes]


@pytest.fixture(scope="module")
def oracle(tiny_model, pictures):
    """(37, 32): each picture resized and run alone by a plain ONNX Runtime session."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(tiny_model), providers=["CPUExecutionProvider"])
    crops = [resize_crop(picture, 128, 64)[None] for picture in pictures]
    return np.concatenate([session.run(None, {"images": crop})[0] for crop in crops])


@pytest.fixture
def files(tmp_path, pictures):
    """The first ten pictures as PNG files."""
    paths = [tmp_path / f"{number:02d}.png" for number in range(10)]
    for path, picture in zip(paths, pictures, strict=False):
        path.write_bytes(png(picture))
    return paths


def png(picture):
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def threads():
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("embed")}


def test_the_tiny_model_tells_the_pictures_apart(oracle):
    assert (oracle @ oracle.T - np.eye(37)).max() < 0.99


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 2, 7, 32])
def test_the_batch_size_does_not_change_a_row(tiny_model, pictures, oracle, batch_size, workers):
    with Embedder.load(tiny_model, workers=workers, batch_size=batch_size) as embedder:
        assert np.abs(embedder.embed(pictures, color="rgb") - oracle).max() < 1e-5
        lazily = embedder.embed(iter(pictures), color="rgb")  # of unknown length, so with full batches
        assert np.abs(lazily - oracle).max() < 1e-5


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(order=st.lists(st.integers(0, 36), max_size=37))
def test_the_order_and_the_company_do_not_change_a_row(embedder, pictures, oracle, order):
    rows = embedder.embed([pictures[index] for index in order], color="rgb")
    assert rows.shape == (len(order), 32)
    assert rows.dtype == np.float32
    assert np.allclose(rows, oracle[order], atol=1e-5)


def test_bgr_is_rgb_turned_round(embedder, pictures, oracle):
    turned = [picture[..., ::-1] for picture in pictures]
    assert np.allclose(embedder.embed(turned, color="bgr"), oracle, atol=1e-5)
    assert np.abs(embedder.embed(turned, color="rgb") - oracle).max() > 0.1


def test_files_bytes_and_arrays_give_identical_rows(embedder, pictures, files):
    arrays = embedder.embed(pictures[:10], color="rgb")
    assert np.array_equal(embedder.embed(files), arrays)
    assert np.array_equal(embedder.embed([str(path) for path in files]), arrays)
    assert np.array_equal(embedder.embed([path.read_bytes() for path in files]), arrays)
    mixed = [crop for pair in zip(files, pictures, strict=False) for crop in pair]
    assert np.array_equal(embedder.embed(mixed, color="rgb"), np.repeat(arrays, 2, axis=0))


def test_the_colour_order_means_nothing_for_files(embedder, files):
    assert np.array_equal(embedder.embed(files, color="bgr"), embedder.embed(files))


def test_one_array_of_many_crops_is_embedded_row_by_row(embedder, drawn_crops):
    rows = embedder.embed(drawn_crops, color="rgb")
    assert np.allclose(rows, embedder.embed(list(drawn_crops), color="rgb"), atol=1e-6)
    assert rows.shape == (12, 32)


@pytest.mark.parametrize("crops", [[], np.empty((0, 128, 64, 3), np.uint8), iter(())])
def test_no_crops_give_no_rows(embedder, crops):
    rows = embedder.embed(crops, color="rgb")
    assert rows.shape == (0, 32)
    assert rows.dtype == np.float32


def test_an_array_without_its_colour_order_is_refused(embedder, pictures, files):
    with pytest.raises(InputError, match="color='bgr'"):
        embedder.embed(pictures)
    with pytest.raises(InputError, match="<array 5>"):
        embedder.embed([*files[:5], pictures[0]], on_error=lambda _: None)
    with pytest.raises(InputError, match="'rgb' or 'bgr', got 'RGB'"):
        embedder.embed(pictures, color="RGB")


@pytest.mark.parametrize(
    ("wrong", "came"),
    [
        (np.zeros((9, 9, 3), np.float32), r"\(9, 9, 3\) float32"),
        (np.zeros((9, 9), np.uint8), r"\(9, 9\) uint8"),
        (np.zeros((9, 9, 4), np.uint8), r"\(9, 9, 4\) uint8"),
        (np.zeros((0, 9, 3), np.uint8), r"\(0, 9, 3\) uint8"),
        (np.zeros((1, 9, 9, 3), np.uint8), r"\(1, 9, 9, 3\) uint8"),
        (None, "NoneType"),
    ],
)
def test_a_wrong_array_is_refused_with_both_sides(embedder, pictures, wrong, came):
    with pytest.raises(InputError, match=rf"<array 1>: expected .*, got {came}") as caught:
        embedder.embed([pictures[0], wrong], color="rgb", on_error=lambda _: None)
    assert not isinstance(caught.value, CropError)


@pytest.mark.parametrize("single", ["a.jpg", Path("a.jpg"), b"\xff\xd8"])
def test_a_single_crop_instead_of_several_is_refused(embedder, single):
    with pytest.raises(InputError, match=r"\[crop\]"):
        embedder.embed(single)


@pytest.mark.parametrize("bad", [0, 3, 4, 9])
def test_an_unreadable_crop_shifts_nobody_and_is_reported(embedder, files, bad):
    expected = embedder.embed(files)
    files[bad].write_bytes(files[bad].read_bytes()[:100])
    failures = []
    rows = embedder.embed(files, on_error=failures.append)
    assert failures == [
        Failure(bad, str(files[bad]), "the file is cut off: the end of the picture is missing")
    ]
    assert np.isnan(rows[bad]).all()
    others = np.arange(10) != bad
    assert np.allclose(rows[others], expected[others], atol=1e-6)
    with pytest.raises(CropError, match="cut off") as caught:
        embedder.embed(files)
    assert caught.value.path == str(files[bad])


def test_crops_that_are_all_unreadable_give_rows_of_nan(embedder, tmp_path):
    failures = []
    rows = embedder.embed([tmp_path / "a.jpg", b"junk", b""], on_error=failures.append)
    assert rows.shape == (3, 32)
    assert np.isnan(rows).all()
    assert [failure.path for failure in failures] == [str(tmp_path / "a.jpg"), "<bytes 1>", "<bytes 2>"]


HUGE_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 20_000, 20_000) + b"\x08\0\0\0\0\0\0\0\0"
BAD_FILES = {
    "a text file": (b"not a picture at all", "not a picture"),
    "a truncated JPEG": (None, "cut off"),
    "an empty file": (b"", "0 bytes"),
    "a picture of 20000x20000": (HUGE_PNG, "20000x20000"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_each_bad_file_is_reported_and_its_neighbours_are_right(embedder, crop_folder, kind):
    paths = sorted(crop_folder.iterdir())[:5]
    expected = embedder.embed(paths)
    data, reason = BAD_FILES[kind]
    paths[2].write_bytes(paths[2].read_bytes()[:-300] if data is None else data)
    failures = []
    rows = embedder.embed(paths, on_error=failures.append)
    assert [(failure.index, failure.path) for failure in failures] == [(2, str(paths[2]))]
    assert reason in failures[0].reason
    assert np.isnan(rows).all(axis=1).tolist() == [False, False, True, False, False]
    assert np.allclose(rows[[0, 1, 3, 4]], expected[[0, 1, 3, 4]], atol=1e-6)


def test_a_folder_and_a_missing_file_are_reported(embedder, crop_folder):
    (crop_folder / "x.jpg").mkdir()
    failures = []
    embedder.embed([crop_folder / "x.jpg", crop_folder / "gone.jpg"], on_error=failures.append)
    assert [failure.reason for failure in failures] == ["is a directory", "no such file or directory"]


def test_a_file_without_permission_is_reported(embedder, crop_folder, without_rights):
    failures = []
    embedder.embed([crop_folder / "0001_c1s1_000001_00.jpg"], on_error=failures.append)
    assert [failure.reason for failure in failures] == ["permission denied"]


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("pixel.png", np.full((1, 1, 3), 50, np.uint8)),
        ("grey.jpg", np.full((60, 30), 90, np.uint8)),
        ("alpha.png", np.full((60, 30, 4), 90, np.uint8)),
        ("deep.png", np.full((60, 30, 3), 40_000, np.uint16)),
        ("Straße 人.jpg", np.full((60, 30, 3), 90, np.uint8)),
        (os.fsdecode(b"\xe9.jpg"), np.full((60, 30, 3), 90, np.uint8)),
    ],
)
def test_unusual_pictures_and_names_are_embedded(embedder, tmp_path, name, picture):
    (tmp_path / name).write_bytes(cv2.imencode(Path(name).suffix, picture)[1].tobytes())
    assert np.allclose(np.linalg.norm(embedder.embed([tmp_path / name]), axis=1), 1, atol=1e-5)


def test_a_stream_yields_every_crop_once_and_in_order(embedder, pictures, oracle):
    batches = list(embedder.stream(iter(pictures), color="rgb"))
    ends = [0, *itertools.accumulate(len(batch.rows) for batch in batches)]
    assert [batch.start for batch in batches] == ends[:-1]
    assert np.allclose(np.concatenate([batch.rows for batch in batches]), oracle, atol=1e-5)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_endless_source_is_read_only_a_few_batches_ahead(tiny_model, drawn_crops, workers):
    taken = itertools.count()
    source = (drawn_crops[next(taken) % 12] for _ in itertools.count())
    embedder = Embedder.load(tiny_model, workers=workers, batch_size=4)
    stream = embedder.stream(source, color="rgb")
    for number in range(20):
        assert next(stream).start == 4 * number
    ahead = next(taken) - 20 * 4
    assert 0 <= ahead <= 2 * workers * 4
    stream.close()


def test_a_slow_source_does_not_hold_back_what_is_ready(embedder, drawn_crops):
    taken = []

    def source():
        for number in itertools.count():
            taken.append(number)
            time.sleep(0.03)
            yield drawn_crops[number % 12]

    with closing(embedder.stream(source(), color="rgb")) as stream:
        next(stream)
        assert len(taken) <= 4 * 4, "one batch of 4 was ready long ago"


def test_a_stream_reads_nothing_before_it_is_asked(embedder):
    embedder.stream(pytest.fail("read") for _ in range(9))


def test_a_stream_that_is_closed_early_leaves_no_threads(embedder, drawn_crops):
    stream = embedder.stream(itertools.cycle(drawn_crops), color="rgb")
    next(stream)
    assert threads()
    stream.close()
    assert not threads()


def test_an_abandoned_stream_leaves_no_threads(embedder, drawn_crops):
    for _ in embedder.stream(itertools.cycle(drawn_crops), color="rgb"):
        break
    assert not threads()


def test_an_error_of_the_source_arrives_and_leaves_no_threads(embedder, drawn_crops):
    def source():
        yield from drawn_crops
        yield from drawn_crops
        raise ZeroDivisionError("the camera is gone")

    with pytest.raises(ZeroDivisionError, match="camera"):
        embedder.embed(source(), color="rgb")
    assert not threads()


def test_an_error_in_a_worker_arrives_and_leaves_no_threads(embedder, drawn_crops, monkeypatch):
    monkeypatch.setattr(module, "resize_crop", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        embedder.embed(drawn_crops, color="rgb")
    assert not threads()


def test_threads_are_started_only_where_they_help(tiny_model, drawn_crops, monkeypatch):
    monkeypatch.setattr(module, "ThreadPoolExecutor", lambda *_, **__: pytest.fail("a pool was started"))
    Embedder.load(tiny_model, workers=4).embed(drawn_crops[:1], color="rgb")
    Embedder.load(tiny_model, workers=1, batch_size=2).embed(drawn_crops, color="rgb")


def test_many_threads_may_use_one_embedder(embedder, pictures, oracle):
    rng = np.random.default_rng(3)
    orders = [rng.permutation(37) for _ in range(24)]

    def embed(order):
        return embedder.embed([pictures[index] for index in order], color="rgb")

    with ThreadPoolExecutor(8, thread_name_prefix="caller") as pool:
        for order, rows in zip(orders, pool.map(embed, orders), strict=True):
            assert np.allclose(rows, oracle[order], atol=1e-5)


@pytest.fixture(scope="module")
def frame():
    return np.random.default_rng(5).integers(0, 256, (90, 120, 3), np.uint8)


@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_boxes_are_cut_from_the_frame_in_their_order(embedder, frame, color):
    boxes = [[10, 5, 40, 80], [60, 20, 61, 21], [0, 0, 120, 90]]
    crops = [frame[5:80, 10:40], frame[20:21, 60:61], frame]
    rows = embedder.embed_boxes(frame, boxes, color=color)
    assert np.array_equal(rows, embedder.embed(crops, color=color))
    assert np.array_equal(embedder.embed_boxes(frame, np.float32(boxes), color=color), rows)


def test_a_box_takes_in_what_it_touches_and_is_clipped_to_the_frame(embedder, frame):
    rows = embedder.embed_boxes(frame, [[9.6, 4.2, 40.3, 80.1], [-50, -9, 30, 500]], color="rgb")
    assert np.array_equal(rows, embedder.embed([frame[4:81, 9:41], frame[:, :30]], color="rgb"))


@pytest.mark.parametrize("boxes", [[], np.empty((0, 4)), np.empty(0, np.float32)])
def test_no_boxes_give_no_rows(embedder, frame, boxes):
    assert embedder.embed_boxes(frame, boxes, color="bgr").shape == (0, 32)


@pytest.mark.parametrize(
    "box",
    [[200, 0, 220, 50], [-9, 0, 0, 50], [5, 5, 5, 9], [40, 5, 10, 80], [0, 90, 9, 99], [np.nan, 0, 9, 9]],
)
def test_a_box_without_a_pixel_is_refused_with_both_sides(embedder, frame, box):
    with pytest.raises(InputError, match=r"no pixel inside the frame of 120x90"):
        embedder.embed_boxes(frame, [[0, 0, 9, 9], box], color="rgb")


def test_boxes_or_frames_of_a_wrong_shape_are_refused(embedder, frame):
    with pytest.raises(InputError, match=r"\(N, 4\) .* got \(4,\)"):
        embedder.embed_boxes(frame, [1, 2, 3, 4], color="rgb")
    with pytest.raises(InputError, match=r"<frame>: expected .* got \(90, 120\)"):
        embedder.embed_boxes(frame[..., 0], [], color="rgb")


def test_an_embedder_says_what_it_is(embedder, tiny_spec):
    assert embedder.spec == tiny_spec
    assert embedder.id.startswith("tiny@")
    assert embedder.device == "cpu"


def test_a_closed_embedder_refuses_to_work(tiny_model, drawn_crops):
    with Embedder.load(tiny_model) as embedder:
        pass
    with pytest.raises(InputError, match="closed"):
        embedder.embed(drawn_crops, color="rgb")


def test_what_cannot_be_loaded_is_refused(tiny_model):
    with pytest.raises(ModelError, match="no model"):
        Embedder.load("no-such-model")
    with pytest.raises(DeviceError, match="unknown device"):
        Embedder.load(tiny_model, device="gpu")
    with pytest.raises(InputError, match="start at 1, got 0 and 8"):
        Embedder.load(tiny_model, workers=0)
    with pytest.raises(InputError, match="start at 1, got 2 and 0"):
        Embedder.load(tiny_model, workers=2, batch_size=0)


def test_the_pace_is_that_of_a_crop(tiny_model):
    with Embedder.load(tiny_model) as embedder:
        assert 0 < embedder.milliseconds() < 1000
        shapes = []
        run = embedder._session.run
        embedder._session.run = lambda images: (shapes.append(images.shape), run(images))[1]
        in_eights = embedder.milliseconds(8, repeat=3)
        assert shapes == [(8, 128, 64, 3)] * 4 and 0 < in_eights < 1000
    with pytest.raises(InputError, match="closed"):
        embedder.milliseconds()
