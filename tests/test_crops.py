import base64
import os
import struct
import zlib
from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoreid_deploy.crops import decode, find_crops, read_crop, resize_crop
from autoreid_deploy.errors import CropError, InputError

# A 16x32 red JPEG in CMYK, which OpenCV can read and not write.
RED_CMYK = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAQCwwODAoQDg0OEhEQExgoGhgWFhgxIyUdKDozPTw5Mzg3QEhcTkBEV0U3OFBtUVdfYmdoZz5N"
    "cXlwZHhcZWdj/8AAFAgAIAAQBEMRAE0RAFkRAEsRAP/EABUAAQEAAAAAAAAAAAAAAAAAAAAH/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/a"
    "AA4EQwBNAFkASwAAPwCgJ+n6gAAAAAAAAAD/2Q=="
)


def encode(image, suffix=".png", *options):
    """Encode an RGB, RGBA or grey picture."""
    flip = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(image.shape[-1] if image.ndim == 3 else 1)
    return cv2.imencode(suffix, image if flip is None else cv2.cvtColor(image, flip), options)[1].tobytes()


def png(width, height, bits, rows):
    """Write a grey PNG by hand, of a size that no encoder should be asked for."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    pixels = zlib.compress(rows, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def picture():
    """(40, 20, 3): red above, blue below, with a green edge, so that a flip or a swap shows."""
    image = np.zeros((40, 20, 3), np.uint8)
    image[:20] = 255, 0, 0
    image[20:] = 0, 0, 255
    image[:, :3] = 0, 200, 0
    return image


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".webp"])
def test_lossless_files_give_their_pixels_back_in_rgb(picture, suffix):
    options = (cv2.IMWRITE_WEBP_QUALITY, 101) if suffix == ".webp" else ()
    assert np.array_equal(decode(encode(picture, suffix, *options), "x"), picture)


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_gives_nearly_its_pixels_back(picture, progressive):
    options = (cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_QUALITY, 95)
    image = decode(encode(picture, ".jpg", *options), "x")
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - picture).mean() < 12


def test_grey_becomes_three_equal_channels(picture):
    image = decode(encode(picture[..., 1]), "x")
    assert image.shape == (40, 20, 3)
    assert np.array_equal(image, np.repeat(picture[..., 1:2], 3, axis=2))


def test_alpha_is_left_out(picture):
    alpha = np.full((40, 20, 1), 7, np.uint8)
    assert np.array_equal(decode(encode(np.concatenate([picture, alpha], axis=2)), "x"), picture)


def test_sixteen_bits_become_eight(picture):
    assert np.array_equal(decode(encode(picture.astype(np.uint16) * 257), "x"), picture)


def test_cmyk_becomes_rgb():
    image = decode(RED_CMYK, "x")
    assert image.shape == (32, 16, 3)
    assert np.abs(image.astype(int) - (255, 0, 0)).max() <= 2


def test_a_picture_is_turned_upright_as_its_exif_data_say(picture):
    jpeg = encode(picture, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95)
    orientation = struct.pack("<HHHHI", 1, 0x0112, 3, 1, 0)[:10] + struct.pack("<HHI", 6, 0, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + orientation
    turned = decode(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:], "x")
    assert np.array_equal(turned, np.rot90(decode(jpeg, "x"), -1))


def test_one_pixel_is_a_picture():
    pixel = np.uint8([[[1, 2, 3]]])
    assert np.array_equal(decode(encode(pixel), "x"), pixel)


@pytest.mark.parametrize(
    "options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 1)]
)
def test_a_jpeg_is_refused_wherever_it_is_cut_off(picture, options):
    whole = encode(picture, ".jpg", *options)
    decode(whole, "x")
    for length in range(2, len(whole)):
        with pytest.raises(CropError, match="cut off"):
            decode(whole[:length], "x")


def test_a_png_is_refused_wherever_it_is_cut_off(picture):
    whole = encode(picture)
    for length in range(4, len(whole)):
        with pytest.raises(CropError, match="cut off"):
            decode(whole[:length], "x")


@pytest.mark.parametrize(
    "options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 1)]
)
def test_what_follows_the_end_of_a_jpeg_does_no_harm(picture, options):
    whole = encode(picture, ".jpg", *options)
    assert np.array_equal(decode(whole + b"\0" * 9 + b"\xff\xda appended", "x"), decode(whole, "x"))


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture(picture):
    whole = encode(picture, ".jpg")
    thumbnail = encode(picture[::4, ::4].copy(), ".jpg")
    nested = whole[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + whole[2:]
    decode(nested, "x")
    with pytest.raises(CropError, match="cut off"):
        decode(nested[:-40], "x")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (b"the quick brown fox", "not a picture"),
        (b"\xff\xd8\xff\xd9", "not a picture"),
        (b"\x89PNG\r\n\x1a\nIEND\xaeB`\x82", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='10' height='10'/>", "not a picture"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_name_and_the_reason(data, reason):
    with pytest.raises(CropError, match=reason) as caught:
        decode(data, "some.jpg")
    assert caught.value.path == "some.jpg"
    assert "some.jpg" not in caught.value.reason


def test_a_huge_picture_is_refused_before_it_is_decoded(monkeypatch):
    huge = png(20_000, 20_000, 1, bytes(20_000 * 2_501))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(CropError, match="20000x20000"):
        decode(huge, "x")


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
def test_a_huge_jpeg_is_refused_before_it_is_decoded(picture, monkeypatch, options):
    small = encode(picture, ".jpg", *options)
    size = struct.pack(">HH", 40, 20)
    assert small.count(size) == 1
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(CropError, match="20000x10000"):
        decode(small.replace(size, struct.pack(">HH", 10_000, 20_000)), "x")


def test_a_large_photograph_is_still_read():
    assert decode(png(8_000, 6_000, 1, bytes(6_000 * 1_001)), "x").shape == (6_000, 8_000, 3)


@settings(max_examples=200)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"RIFF"]),
    st.binary(max_size=64),
)
def test_random_bytes_give_a_picture_or_our_error(head, tail):
    with suppress(CropError):
        assert decode(head + tail, "x").shape[2] == 3


@pytest.mark.parametrize("name", ["ñandú 人.png", os.fsdecode(b"caf\xe9.png"), "a\nb.png", "-rf.png"])
def test_a_name_may_hold_any_characters(tmp_path, picture, name):
    (tmp_path / name).write_bytes(encode(picture))
    assert np.array_equal(read_crop(tmp_path / name), picture)
    assert np.array_equal(read_crop(str(tmp_path / name)), picture)
    assert find_crops(tmp_path) == [tmp_path / name]


def test_a_file_that_is_not_there_or_a_folder_is_a_crop_error(tmp_path):
    (tmp_path / "x.jpg").mkdir()
    with pytest.raises(CropError, match="is a directory"):
        read_crop(tmp_path / "x.jpg")
    with pytest.raises(CropError, match="no such file") as caught:
        read_crop(tmp_path / "y.jpg")
    assert caught.value.path == str(tmp_path / "y.jpg")


def test_a_file_without_permission_is_a_crop_error(crop_folder, without_rights):
    with pytest.raises(CropError, match="permission denied"):
        read_crop(crop_folder / "0001_c1s1_000001_00.jpg")


def test_a_crop_of_the_right_size_is_not_touched(picture):
    assert resize_crop(picture, 40, 20) is picture
    view = picture[:, ::-1]
    assert np.array_equal(resize_crop(view, 40, 20), view)
    assert resize_crop(view, 40, 20).flags.c_contiguous


def test_shrinking_by_a_whole_factor_is_the_mean_of_the_pixels():
    image = np.random.default_rng(0).integers(0, 256, (64, 32, 3), np.uint8)
    means = image.reshape(16, 4, 8, 4, 3).mean(axis=(1, 3))
    assert np.abs(resize_crop(image, 16, 8) - means).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("size", [(8, 60), (80, 10), (80, 60), (41, 20)])
def test_growing_in_any_direction_interpolates_linearly(picture, size):
    oracle = cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(resize_crop(picture, *size), oracle)


@settings(max_examples=40)
@given(st.tuples(*[st.integers(1, 90)] * 4), st.tuples(*[st.integers(0, 255)] * 3))
def test_one_colour_stays_that_colour_at_any_size(sizes, colour):
    image = np.full((*sizes[:2], 3), colour, np.uint8)
    resized = resize_crop(image, *sizes[2:])
    assert resized.shape == (*sizes[2:], 3)
    assert (resized == colour).all()


@pytest.fixture
def tree(tmp_path):
    for name in ("b/2.JPG", "a/1.jpeg", "a/deep/3.png", "0.webp", "Thumbs.db", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def names(folder, paths):
    return [path.relative_to(folder).as_posix() for path in paths]


def test_pictures_are_found_at_any_depth_in_order_and_by_suffix(tree):
    assert names(tree, find_crops(tree)) == ["0.webp", "a/1.jpeg", "a/deep/3.png", "b/2.JPG"]
    assert find_crops(str(tree)) == find_crops(tree)


def test_pictures_of_one_folder_come_in_order(tmp_path):
    shuffled = [f"{number:02d}.jpg" for number in np.random.default_rng(0).permutation(40)]
    for name in shuffled:
        (tmp_path / name).touch()
    assert names(tmp_path, find_crops(tmp_path)) == sorted(shuffled)


def test_hidden_files_and_folders_are_left_out(tree):
    (tree / ".reid").mkdir()
    (tree / ".reid" / "4.jpg").touch()
    (tree / "a" / "._1.jpeg").touch()
    assert len(find_crops(tree)) == 4


def test_a_folder_named_like_a_picture_is_a_folder(tree):
    (tree / "x.jpg").mkdir()
    (tree / "x.jpg" / "5.jpg").touch()
    assert names(tree, find_crops(tree))[-1] == "x.jpg/5.jpg"
    assert len(find_crops(tree)) == 5


def test_linked_folders_are_followed_once_and_loops_end(tree, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "6.jpg").touch()
    (tree / "link").symlink_to(elsewhere)
    (tree / "link2").symlink_to(elsewhere)
    (tree / "a" / "up").symlink_to(tree)
    found = names(tree, find_crops(tree))
    assert found == ["0.webp", "a/1.jpeg", "a/deep/3.png", "b/2.JPG", "link/6.jpg"]


def test_what_is_no_folder_is_refused(tree):
    with pytest.raises(InputError, match="found a file"):
        find_crops(tree / "0.webp")
    with pytest.raises(InputError, match="nothing there"):
        find_crops(tree / "missing")


def test_an_empty_folder_holds_no_crops(tmp_path):
    assert find_crops(tmp_path) == []


def test_a_folder_that_cannot_be_listed_is_refused_by_name(tree, monkeypatch):
    scandir = os.scandir

    def deny(path):
        if os.fspath(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(InputError, match=r"deep: the folder can't be read: Permission denied"):
        find_crops(tree)
