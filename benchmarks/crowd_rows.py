"""Rows that are as hard to tell apart as trained embeddings of people are, for the benchmarks of the gallery.

    python -m benchmarks.crowd_rows [--crops 1000000] [--json]

prints how often the nearest row of a new crop shows the same person, by an exact scan.

The ranking of indexes depends on the data: among easy clusters every one of them looks perfect. Here a crop is

    unit(look + 0.55 person + 0.25 camera + 1.06 noise),   each normal, with deviations that fall as axis^-0.35

20 crops make a person, 25 people share a look (dark coat, blue jeans), 8 cameras have a bias each. Among a million
crops the nearest is the right person in about 0.85 of all cases, as with a good network on a hard gallery.
"""

import argparse
import datetime
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.gallery.engine import load_faiss
from autoreid_deploy.gallery.store import Stamp
from autoreid_deploy.records import Record

CHUNK = 20_000
CAMERAS = 8
CROPS_A_PERSON, PEOPLE_A_LOOK = 20, 25
PERSON, CAMERA, NOISE, FALL = 0.55, 0.25, 1.06, 0.35
DAYS, DAY, START = 100, 86_400, 1.7e9


@dataclass(frozen=True)
class Crowd:
    """A crowd of people before cameras; the same numbers give the same crops.

    Attributes:
        crops: how many.
        dim: length of a row.
        seed: of everything that is drawn.
    """

    crops: int
    dim: int = 256
    seed: int = 0

    @property
    def people(self) -> int:
        """How many people there are."""
        return -(-self.crops // CROPS_A_PERSON)

    def chunks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Draw all rows, a chunk at a time: (places, (n, D) unit rows)."""
        for start in range(0, self.crops, CHUNK):
            places = np.arange(start, min(start + CHUNK, self.crops))
            yield slice(start, start + len(places)), self._rows(places // CROPS_A_PERSON, 0, start)

    def rows(self) -> NDArray[np.float32]:
        """(crops, D) unit rows."""
        rows = np.empty((self.crops, self.dim), np.float32)
        for places, chunk in self.chunks():
            rows[places] = chunk
        return rows

    def queries(self, count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Draw new crops of some of the people: (count, D) unit rows, and (count,) who they are."""
        people = np.random.default_rng((self.seed, 7, seed)).integers(0, self.people, count)
        return self._rows(people, 1, seed), people

    def _rows(self, people: NDArray[np.int64], *key: int) -> NDArray[np.float32]:
        looks, persons, cameras = self._centres()
        rng = np.random.default_rng((self.seed, 1, *key))
        seen_by = rng.integers(0, CAMERAS, len(people))
        rows = self._draw(rng, len(people))
        rows *= NOISE
        rows += looks[people // PEOPLE_A_LOOK]
        rows += persons[people]
        rows += cameras[seen_by]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows

    def _centres(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        if "centres" not in self.__dict__:
            rng = np.random.default_rng((self.seed, 0))
            looks = self._draw(rng, -(-self.people // PEOPLE_A_LOOK))
            centres = looks, PERSON * self._draw(rng, self.people), CAMERA * self._draw(rng, CAMERAS)
            self.__dict__["centres"] = centres  # a cache; no part of what a crowd is
        return self.__dict__["centres"]

    def _draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        fall = np.arange(1, self.dim + 1, dtype=np.float32) ** -FALL
        return rng.standard_normal((count, self.dim), np.float32) * fall

    def camera_of(self) -> NDArray[np.int64]:
        """(crops,) by which camera each was seen."""
        return np.concatenate(
            [
                np.random.default_rng((self.seed, 1, 0, start)).integers(
                    0, CAMERAS, min(CHUNK, self.crops - start)
                )
                for start in range(0, self.crops, CHUNK)
            ]
        )

    def times(self) -> NDArray[np.float64]:
        """(crops,) seconds since the epoch, in the order of the crops, over a hundred days."""
        return START + np.arange(self.crops) * (DAYS * DAY / max(1, self.crops))

    def records(self) -> list[tuple[Record, Stamp]]:
        """All that is known about each crop, and about its file."""
        cameras, times = self.camera_of().tolist(), self.times().tolist()
        return [record_of(place, *known) for place, known in enumerate(zip(cameras, times, strict=True))]


def record_of(place: int, camera: int, time: float) -> tuple[Record, Stamp]:
    """Everything that a crop of a network camera brings along."""
    person = place // CROPS_A_PERSON
    path = Path(f"/crops/camera{camera}/{person:06d}/{place:08d}.jpg")
    record = Record(path, f"{person:06d}", str(camera), time, f"{camera}-{person:06d}")
    return record, Stamp(4000 + place % 3000, int(time * 1e9), hashlib.sha256(bytes(path)).hexdigest())


def nearest(rows: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """(Q, k) places of the true neighbours, closest first, by products of 32-bit floats."""
    faiss = load_faiss()
    best = np.empty((len(queries), 0), np.float32)
    where = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        near, at = faiss.knn(queries, part, min(k, len(part)), faiss.METRIC_INNER_PRODUCT)
        best, where = np.hstack([best, near]), np.hstack([where, at + start])
        order = np.argsort(-best, axis=1, kind="stable")[:, :k]
        best, where = np.take_along_axis(best, order, 1), np.take_along_axis(where, order, 1)
    return where


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--crops", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the line")
    args = parser.parse_args()
    crowd = Crowd(args.crops)
    queries, people = crowd.queries(args.queries)
    rows = crowd.rows()
    found = nearest(rows, queries, 10)
    rank1 = float((found[:, 0] // CROPS_A_PERSON == people).mean())
    result = {
        "crops": args.crops,
        "rank1": rank1,
        "date": datetime.date.today().isoformat(),
    }
    told = f"{args.crops} crops of {crowd.people} people: rank-1 {rank1:.3f} by an exact scan"
    print(json.dumps(result) if args.json else told)


if __name__ == "__main__":
    main()
