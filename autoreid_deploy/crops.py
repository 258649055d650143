"""Find, decode and resize crops: the only preprocessing outside the model's graph.

Training, evaluation and the embedder all call these functions, so a picture means the same pixels everywhere.
"""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import imagesize
import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import CropError, InputError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
# A larger picture (8192 x 8192 is the limit) is refused before it is decoded: 192 MiB of pixels are no crop.
MAX_PIXELS = 2**26

_JPEG_START = b"\xff\xd8"
# What begins a segment, as opposed to a stuffed 0xff in the pixels, a restart or fill.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_END = 0xD9
_PNG_END = b"IEND\xaeB`\x82"  # the last chunk's name with its checksum, which is the same in every file


def find_crops(folder: str | Path) -> list[Path]:
    """List the pictures below a folder.

    Linked folders are followed, each folder once, so a link that points upwards does no harm. Hidden files
    and folders (`.reid`, a camera's `.thumbnails`, a Mac's `._0001.jpg`) are left out.

    Args:
        folder: where to look, at any depth.

    Returns:
        Paths that begin with `folder`, sorted; a picture is what has one of `IMAGE_SUFFIXES`, in any case.

    Raises:
        InputError: `folder` is not a folder, or one below it can't be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        came = "a file" if folder.exists() else "nothing there"
        raise InputError(f"{folder}: expected a folder of crops, found {came}")
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        status = Path(parent).stat()
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in files if not name.startswith(".")]
    return sorted(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES)


def decode(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode one picture: 8 or 16 bit, grey, colour, with alpha or CMYK, turned upright as its EXIF data say.

    Args:
        data: the file's bytes.
        name: what an error calls the picture.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        CropError: the bytes are empty, not a picture, cut off, or of more than `MAX_PIXELS` pixels.
    """
    if not data:
        raise CropError(name, "the file is empty (0 bytes)")
    width, height = _header_size(data)
    if width * height > MAX_PIXELS:
        raise CropError(name, f"{width}x{height} pixels, more than the {MAX_PIXELS:,} a crop may have")
    if _is_cut_off(data):
        raise CropError(name, "the file is cut off: the end of the picture is missing")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise CropError(name, f"can't be decoded: {error.err or error}") from error
    if image is None:
        raise CropError(name, "not a picture that can be decoded")
    return _uint8(image)


def read_crop(path: str | Path) -> NDArray[np.uint8]:
    """Read and decode one picture.

    Args:
        path: the file; its name may hold any characters.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        CropError: the file is missing, can't be read, or `decode` refuses it.
    """
    # Not cv2.imread, which fails on non-ASCII names on Windows and hides the reason everywhere.
    try:
        data = _read(path)
    except OSError as error:
        raise CropError(str(path), (error.strerror or str(error)).lower()) from error
    return decode(data, str(path))


def resize_crop(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Bring a crop to the model's size; the aspect ratio is not kept, as everywhere in the field.

    Args:
        image: (H, W, 3) uint8.
        height: of the result, in pixels.
        width: of the result, in pixels.

    Returns:
        (height, width, 3) uint8, contiguous; `image` itself where it already is just that.
    """
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    # Averaging keeps thin stripes from aliasing where pixels are lost; where they are made it gives blocks.
    grows = image.shape[0] < height or image.shape[1] < width
    method = cv2.INTER_LINEAR if grows else cv2.INTER_AREA
    return _uint8(cv2.resize(image, (width, height), interpolation=method))


def _read(path: str | Path) -> bytes:
    """Read a file in as few system calls as there can be.

    Each call gives up the interpreter's lock, and among several decoding threads getting it back takes longer than the
    call: `Path.read_bytes` makes twice as many, and takes 121 us a crop in two threads where this takes 48.
    """
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return os.read(file, os.fstat(file).st_size)
    finally:
        os.close(file)


def _refuse(error: OSError) -> None:
    """Turn a folder that can't be listed into our error: leaving its crops out silently would be worse."""
    raise InputError(f"{error.filename}: the folder can't be read: {error.strerror}") from error


def _header_size(data: bytes) -> tuple[int, int]:
    """Read (width, height) from the header; (-1, -1) where the format is unknown."""
    if data.startswith(_JPEG_START):
        # The size that imagesize would find: 3 us instead of 40, of the 70 that decoding a usual crop takes.
        for marker, start in _jpeg_segments(data):
            if marker in _JPEG_FRAMES:
                height, width = data[start + 3 : start + 5], data[start + 5 : start + 7]
                return int.from_bytes(width, "big"), int.from_bytes(height, "big")
    try:
        width, height = imagesize.get(io.BytesIO(data))
    except Exception:  # whatever a parser makes of a broken header, the decoder has the last word
        return -1, -1
    return int(width), int(height)


def _is_cut_off(data: bytes) -> bool:
    """Tell whether a JPEG or PNG lacks its end; the decoder would fill the rest with grey and say nothing."""
    if data.startswith(b"\x89PNG"):
        return _PNG_END not in data
    if not data.startswith(_JPEG_START) or data.endswith(b"\xff\xd9"):
        return False
    # Cameras append data after the end, and a thumbnail in the EXIF data has its own: look at the markers.
    return all(marker != _JPEG_END for marker, _ in _jpeg_segments(data))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Walk from segment to segment: (marker, where the segment's length and content start)."""
    position = len(_JPEG_START)
    while found := _JPEG_MARKER.search(data, position):
        start = found.end()
        yield found[1][0], start
        position = start + int.from_bytes(data[start : start + 2], "big")


def _uint8(image: Any) -> NDArray[np.uint8]:
    """Name the type that OpenCV's stubs leave open."""
    return np.asarray(image, dtype=np.uint8)
