"""Who was here before? Re-association on the ground truth of a clip in which people leave and come back.

The ground truth is MOT's format, a box a line: frame (from 1), track, left, top, width, height and four more columns.
A track is one visit, without a gap: who leaves and comes back gets another number. `RETURNS` says, for vtest.avi, which
visits are by one person; it was told apart by eye from clothes, hair and face.

Each visit is cut into tracklets of 25 boxes (2.5 s); a tracklet is the mean of the rows of every fifth box. Every
tracklet of a person with several visits asks, all tracklets of all people answer, and those of the asking tracklet's
own visit are junk: found is a person before or after they have left. Hidden people keep their boxes, as trackers do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.embedder import Embedder
from autoreid_deploy.errors import InputError
from autoreid_deploy.metrics import Evaluation, evaluate_embeddings

# A visit -> the visit of the same person before it.
RETURNS = {1: 19, 2: 13, 3: 11, 4: 12, 5: 9, 6: 10, 8: 18, 14: 15, 18: 14}
LENGTH, STEP = 25, 5


@dataclass(frozen=True)
class Tracklet:
    """A part of a visit.

    Attributes:
        track: the visit.
        frames: (n,) int64, from 1, ascending.
        boxes: (n, 4) float64, left, top, right, bottom.
    """

    track: int
    frames: NDArray[np.int64]
    boxes: NDArray[np.float64]


def read_tracklets(path: Path) -> list[Tracklet]:
    """Cut the tracks of a MOT file into tracklets; one shorter than a tracklet is one.

    Raises:
        InputError: the file is missing or not of the format.
    """
    try:
        lines = np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected ground truth in MOT's format: {error}") from error
    if not len(lines) or lines.shape[1] < 6:
        raise InputError(f"{path}: expected lines of frame, track, left, top, width, height, ...")
    found = []
    for track in np.unique(lines[:, 1]):
        visit = lines[lines[:, 1] == track]
        visit = visit[np.argsort(visit[:, 0])]
        for part in np.array_split(visit, max(1, len(visit) // LENGTH)):
            kept = part[::STEP]
            corners = np.concatenate([kept[:, 2:4], kept[:, 2:4] + kept[:, 4:6]], axis=1)
            found.append(Tracklet(int(track), kept[:, 0].astype(np.int64), corners))
    return found


def embed_tracklets(embedder: Embedder, video: Path, tracklets: list[Tracklet]) -> NDArray[np.float32]:
    """Embed tracklets, a frame at a time.

    Returns:
        (N, dim) float32, unit rows: the mean of the crops' rows, at length 1.

    Raises:
        InputError: the video can't be read, or ends before the ground truth does.
    """
    sums = np.zeros((len(tracklets), embedder.spec.dim), np.float32)
    last = max(int(tracklet.frames[-1]) for tracklet in tracklets)
    for number, frame in _frames(video, last):
        places = [(i, int(p)) for i, t in enumerate(tracklets) for p in np.flatnonzero(t.frames == number)]
        if places:
            boxes = np.stack([tracklets[i].boxes[p] for i, p in places])
            for (i, _), row in zip(places, embedder.embed_boxes(frame, boxes, color="bgr"), strict=True):
                sums[i] += row
    unit: NDArray[np.float32] = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return unit


def reassociate(
    rows: NDArray[np.float32], tracklets: list[Tracklet], returns: Mapping[int, int] = RETURNS
) -> Evaluation:
    """Score the tracklets' rows; a person is the first of their visits, and a visit is a camera of its own.

    Raises:
        InputError: nobody came back.
    """
    visits = [tracklet.track for tracklet in tracklets]
    people = [_first(visit, returns) for visit in visits]
    return evaluate_embeddings(rows, rows, people, people, visits, visits)


def _first(visit: int, returns: Mapping[int, int]) -> int:
    while visit in returns:
        visit = returns[visit]
    return visit


def _frames(video: Path, last: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Decode a clip up to a frame: (its number from 1, (H, W, 3) uint8 BGR)."""
    clip = cv2.VideoCapture(str(video))
    try:
        for number in range(1, last + 1):
            read, frame = clip.read()
            if not read:
                raise InputError(
                    f"{video}: the ground truth has {last} frames, the clip ends after {number - 1}"
                )
            yield number, np.asarray(frame, np.uint8)
    finally:
        clip.release()
