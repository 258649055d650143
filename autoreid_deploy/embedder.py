"""Crops in, unit rows out: batching, decode workers, and unreadable crops that shift nobody else's row."""

import statistics
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoreid_deploy.crops import decode, read_crop, resize_crop
from autoreid_deploy.errors import CropError, InputError
from autoreid_deploy.model import DEFAULT_MODEL, ModelSpec, find_model, model_id
from autoreid_deploy.session import Session, open_session, usable_cores

Color: TypeAlias = Literal["rgb", "bgr"]
Crop: TypeAlias = str | Path | bytes | NDArray[np.uint8]


@dataclass(frozen=True)
class Failure:
    """A crop that could not be read.

    Attributes:
        index: its place in the source, from 0.
        path: the file, or `<bytes 3>` for an encoded picture without one.
        reason: why, in a few words.
    """

    index: int
    path: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """The rows of the crops `start` to `start + n - 1` of the source.

    Attributes:
        start: place of the first crop in the source, from 0.
        rows: (n, dim) float32, unit rows; NaN where a crop could not be read.
        failures: the crops that could not be read, in order.
    """

    start: int
    rows: NDArray[np.float32]
    failures: tuple[Failure, ...]


class Embedder:
    """Turns crops into unit rows with one model on one device; several threads may use it at once.

    Args:
        session: runs the model.
        identity: the model id.
        device: where the session runs.
        workers: threads that decode and run a batch each.
        batch_size: crops a worker takes at once.

    Attributes:
        spec: what the model says about itself.
        id: the model id that a gallery stores, such as "autoreid-s@0123456789ab".
        device: where it runs, as it was asked for.
    """

    spec: ModelSpec
    id: str
    device: str

    def __init__(
        self, session: Session, identity: str, *, device: str = "cpu", workers: int = 1, batch_size: int = 8
    ) -> None:
        if workers < 1 or batch_size < 1:
            raise InputError(f"workers and batch_size start at 1, got {workers} and {batch_size}")
        self._session: Session | None = session
        self.spec = session.spec
        self.id = identity
        self.device = device
        self._workers = workers
        self._batch_size = batch_size

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT_MODEL,
        *,
        device: str = "cpu",
        workers: int | None = None,
        batch_size: int = 8,
    ) -> "Embedder":
        """Load a model.

        Args:
            model: a bundled model's name, or a file.
            device: "cpu", "cuda", "cuda:N", "openvino" or "tensorrt"; never replaced by another one silently.
            workers: threads that decode and run a batch each; as many as there are usable cores by default.
            batch_size: crops a worker takes at once.

        Raises:
            ModelError: there is no such model, or the file breaks the model contract.
            DeviceError: the device is not there.
            MissingExtraError: ONNX Runtime, or OpenVINO for its device, is not installed.
        """
        path = find_model(model)
        session = open_session(path, device)
        return cls(
            session,
            model_id(session.spec.name, path),
            device=device,
            workers=usable_cores() if workers is None else workers,
            batch_size=batch_size,
        )

    def stream(self, crops: Iterable[Crop], *, color: Color | None = None) -> Generator[Batch, None, None]:
        """Embed crops as they come: `crops` is read lazily, only a few batches ahead of what was taken.

        Args:
            crops: files, encoded pictures (bytes) or (H, W, 3) uint8 arrays, also mixed.
            color: the arrays' colour order; required for arrays, without meaning for files.

        Yields:
            Batches in the order of the source. Close the iterator to stop early.

        Raises:
            InputError: an array is not (H, W, 3) uint8, or comes without `color`. An unreadable crop raises
                nothing: it is among the batch's failures.
        """
        if isinstance(crops, (str, bytes, Path)):
            raise InputError("expected several crops, got a single one; put it into a list: [crop]")
        if color not in (None, "rgb", "bgr"):
            raise InputError(f"color should be 'rgb' or 'bgr', got {color!r}")
        return self._stream(crops, color)

    def embed(
        self,
        crops: Iterable[Crop],
        *,
        color: Color | None = None,
        on_error: Callable[[Failure], None] | None = None,
    ) -> NDArray[np.float32]:
        """Embed crops.

        Args:
            crops: as in `stream`; also one (N, H, W, 3) uint8 array.
            color: as in `stream`.
            on_error: called for each unreadable crop, whose row is NaN then; without it the first one raises.

        Returns:
            (N, dim) float32, unit rows in the order of the crops.

        Raises:
            CropError: a crop could not be read and there is no `on_error`.
            InputError: as in `stream`.
        """
        rows = [np.empty((0, self.spec.dim), np.float32)]
        for batch in self.stream(crops, color=color):
            for failure in batch.failures:
                if on_error is None:
                    raise CropError(failure.path, failure.reason)
                on_error(failure)
            rows.append(batch.rows)
        return np.concatenate(rows)

    def embed_boxes(self, frame: NDArray[np.uint8], boxes: ArrayLike, *, color: Color) -> NDArray[np.float32]:
        """Embed the people of one video frame.

        Args:
            frame: (H, W, 3) uint8.
            boxes: (N, 4) left, top, right, bottom in pixels. A box takes in each pixel that it touches; what
                lies outside of the frame is cut off.
            color: the frame's colour order; OpenCV's frames are "bgr".

        Returns:
            (N, dim) float32, unit rows in the order of the boxes.

        Raises:
            InputError: the frame is not (H, W, 3) uint8, the boxes are not (N, 4), or one holds no pixel.
        """
        _check_array(frame, "<frame>", color)
        corners = np.asarray(boxes, dtype=np.float64)
        if corners.size == 0:
            corners = corners.reshape(0, 4)
        if corners.ndim != 2 or corners.shape[1] != 4:
            raise InputError(f"expected boxes of (N, 4) left, top, right, bottom, got {corners.shape}")
        return self.embed([_cut(frame, box) for box in corners], color=color)

    def milliseconds(self, batch: int = 1, repeat: int = 9) -> float:
        """Measure how long the network takes for a crop, without decoding and resizing: the median, in ms.

        Args:
            batch: crops at once.
            repeat: how often it is run.

        Raises:
            InputError: the embedder is closed.
        """
        session = self._open_session()
        images = np.random.default_rng(0).integers(
            0, 256, (batch, self.spec.height, self.spec.width, 3), np.uint8
        )
        session.run(images)  # the first run allocates
        taken = []
        for _ in range(repeat):
            start = time.perf_counter()
            session.run(images)
            taken.append(time.perf_counter() - start)
        return 1000 * statistics.median(taken) / batch

    def _open_session(self) -> Session:
        if self._session is None:
            raise InputError("this embedder is closed")
        return self._session

    def close(self) -> None:
        """Free the model; the embedder can't be used afterwards."""
        self._session = None

    def __enter__(self) -> "Embedder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stream(self, crops: Iterable[Crop], color: Color | None) -> Generator[Batch, None, None]:
        chunks = _chunks(crops, self._chunk_size(crops))
        head = list(islice(chunks, 2))
        if self._workers == 1 or len(head) < 2:  # one picture shouldn't wait for threads to start
            for start, chunk in chain(head, chunks):
                yield self._embed_chunk(start, chunk, color)
            return
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="embed")
        pending: deque[Future[Batch]] = deque()
        try:
            for start, chunk in chain(head, chunks):
                pending.append(pool.submit(self._embed_chunk, start, chunk, color))
                # What is ready goes out at once, so that a slow source holds nothing back.
                while pending and (pending[0].done() or len(pending) == 2 * self._workers):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _chunk_size(self, crops: Iterable[Crop]) -> int:
        """Choose smaller batches where fewer crops than workers can take are known to come."""
        if not isinstance(crops, (Sequence, np.ndarray)):
            return self._batch_size
        return max(1, min(self._batch_size, -(-len(crops) // self._workers)))

    def _embed_chunk(self, start: int, crops: Sequence[Crop], color: Color | None) -> Batch:
        """Decode and run a few crops in the thread that calls."""
        session = self._open_session()
        images = np.empty((len(crops), self.spec.height, self.spec.width, 3), np.uint8)
        rows = np.full((len(crops), self.spec.dim), np.nan, np.float32)
        readable: list[int] = []
        failures: list[Failure] = []
        for offset, crop in enumerate(crops):
            try:
                images[len(readable)] = self._pixels(crop, start + offset, color)
                readable.append(offset)
            except CropError as error:
                failures.append(Failure(start + offset, error.path, error.reason))
        if readable:
            rows[readable] = session.run(images[: len(readable)])
        return Batch(start, rows, tuple(failures))

    def _pixels(self, crop: Crop, index: int, color: Color | None) -> NDArray[np.uint8]:
        """Read one crop as (height, width, 3) uint8, RGB."""
        if isinstance(crop, (str, Path)):
            image = read_crop(crop)
        elif isinstance(crop, bytes):
            image = decode(crop, f"<bytes {index}>")
        else:
            image = _check_array(crop, f"<array {index}>", color)
        image = resize_crop(image, self.spec.height, self.spec.width)
        return image[..., ::-1] if isinstance(crop, np.ndarray) and color == "bgr" else image


def _check_array(array: Any, name: str, color: Color | None) -> NDArray[np.uint8]:
    """Refuse what is not (H, W, 3) uint8 of a known colour order."""
    if not isinstance(array, np.ndarray):
        raise InputError(f"{name}: expected a path, bytes or an array, got {type(array).__name__}")
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise InputError(f"{name}: expected (H, W, 3) uint8 of 0 to 255, got {array.shape} {array.dtype}")
    if color is None:
        raise InputError(
            f"{name}: an array doesn't tell its colour order; pass color='bgr' for pictures from OpenCV, "
            "color='rgb' for those from PIL or imageio"
        )
    return array


def _cut(frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Cut one box out of a frame."""
    if np.isfinite(box).all():
        height, width = frame.shape[:2]
        left, top = np.floor(box[:2]).clip(0).astype(int)
        right, bottom = np.ceil(box[2:]).clip(0, (width, height)).astype(int)
        if left < right and top < bottom:
            return frame[top:bottom, left:right]
    raise InputError(
        f"the box {box.tolist()} has no pixel inside the frame of {frame.shape[1]}x{frame.shape[0]}; "
        "expected left, top, right, bottom in pixels"
    )


def _chunks(crops: Iterable[Crop], size: int) -> Iterator[tuple[int, list[Crop]]]:
    """Group crops, each group with its place in the source."""
    source = iter(crops)
    start = 0
    while chunk := list(islice(source, size)):
        yield start, chunk
        start += len(chunk)
