"""Four processes at one gallery for a long time: no error, flat memory, no query that waits.

    python -m benchmarks.gallery_soak [--minutes 30] [--crops 100000] [--folder KEEP] [--json]

Two readers ask, with and without filters, and compare now and then with a brute-force search of the same snapshot. One
process adds crops, single ones and batches, new ones and replacements. One removes, forgets, and compacts where that is
due, so that the gallery stays at about its size. At the end `verify` must find nothing; the resident memory of each
process is compared with what it was after a fifth of the time. A writer that waits too long for the other one is
refused in one line, and tries again: that is counted.
"""

import argparse
import datetime
import json
import multiprocessing
import os
import random
import re
import tempfile
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np

from autoreid_deploy.errors import GalleryError
from autoreid_deploy.gallery import Gallery
from autoreid_deploy.gallery.filters import camera, during, person
from benchmarks.crowd_rows import CHUNK, CROPS_A_PERSON, START, Crowd, record_of
from benchmarks.gallery_table import markdown, ms
from benchmarks.gallery_write import fill, news

DAY = 86_400


def resident_mb() -> float:
    """Memory of this process as it is now, without files that are mapped."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"RssAnon:\s*(\d+) kB", status)[0]) / 1024


class Worker:
    """Does something again and again until its time is over, and tells how it went.

    Args:
        folder: of the gallery.
        crops: that it began with.
        seed: of what is chosen.
    """

    def __init__(self, folder: Path, crops: int, seed: int) -> None:
        self.gallery = Gallery.open(folder)
        self.crops = crops
        self.chance = random.Random(seed)
        self.spent: list[float] = []
        self.counts: dict[str, int] = {}

    def run(self, seconds: float) -> dict[str, Any]:
        """Go on for so long."""
        begin = time.monotonic()
        early = 0.0
        while (passed := time.monotonic() - begin) < seconds:
            if not early and passed > seconds / 5:
                early = resident_mb()
            self.step()
        late = resident_mb()
        self.gallery.close()
        return {
            **self.counts,
            "MB at 20 %": early,
            "MB at the end": late,
            "p50 ms": ms(self.spent, 50),
            "p99 ms": ms(self.spent, 99),
            "longest ms": 1000 * max(self.spent),
        }

    def timed(self, what: str, act: Callable[[], object]) -> None:
        """Do it, and note how long it took."""
        start = time.perf_counter()
        try:
            act()
        except GalleryError as error:
            if "another process is writing" not in str(error):
                raise
            what = "refused"
        self.spent.append(time.perf_counter() - start)
        self.counts[what] = self.counts.get(what, 0) + 1

    def step(self) -> None:
        """Do one thing."""
        raise NotImplementedError


class Reader(Worker):
    """Asks."""

    def __init__(self, folder: Path, crops: int, seed: int) -> None:
        super().__init__(folder, crops, seed)
        self.queries, _ = Crowd(crops).queries(500, seed)
        self.gallery.query(self.queries[0])

    def step(self) -> None:
        """Ask once; every 1,000th time compare with brute force."""
        query = self.queries[self.chance.randrange(len(self.queries))]
        start = START + self.chance.random() * 90 * DAY
        where = self.chance.choice(
            (None, None, camera(str(self.chance.randrange(8))), during(start, start + DAY))
        )
        self.timed("calls", lambda: self.gallery.query(query, where=where))
        if self.counts["calls"] % 1000 == 0:
            self.compare(query)
        time.sleep(0.002)

    def compare(self, query: np.ndarray) -> None:
        """Hold an answer against all rows that are there, at the same state of the database."""
        store = self.gallery.store
        with store.snapshot():
            [hits] = self.gallery.query(query)
            ids, rows = store.rows()
            near = 1 - rows.astype(np.float32) @ query
            known = dict(zip(ids.tolist(), near.tolist(), strict=True))
            limit = np.sort(near)[len(hits) - 1]
        # What the last writers have added may not be in view yet; a hit must be there, and as near as it says.
        assert all(abs(known[hit.id] - hit.distance) < 2e-3 for hit in hits)
        right = sum(hit.distance <= float(limit) + 2e-3 for hit in hits)
        self.counts["compared"] = self.counts.get("compared", 0) + 1
        self.counts["neighbours right"] = self.counts.get("neighbours right", 0) + right
        self.counts["of"] = self.counts.get("of", 0) + len(hits)


class Adder(Worker):
    """Adds."""

    def __init__(self, folder: Path, crops: int, seed: int) -> None:
        super().__init__(folder, crops, seed)
        self.rows, self.known = news(2000, crops)
        self.turn = 0

    def step(self) -> None:
        """Add one crop or up to 200, many of them in the place of others."""
        count = self.chance.choice((1, 1, 1, 20, 200))
        at = self.chance.randrange(len(self.rows) - count)
        first = self.crops + self.chance.randrange(self.crops)
        records = [
            record_of(first + i, int(self.known[at + i][0].camid or 0), START + self.turn * 60)
            for i in range(count)
        ]
        self.turn += 1
        self.timed("calls", lambda: fill(self.gallery, self.rows[at : at + count], records, count))
        time.sleep(0.1)


class Keeper(Worker):
    """Removes, forgets and compacts."""

    def step(self) -> None:
        """One of them."""
        people, full = self.crops // CROPS_A_PERSON, len(self.gallery) > 1.1 * self.crops
        do = self.chance.random()
        if do < 0.6:
            who = [f"{self.chance.randrange(2 * people):06d}" for _ in range(20 if full else 1)]
            self.timed("removals", lambda: self.gallery.remove(pids=who))
        elif do < 0.62:
            who = [f"{self.chance.randrange(people, 2 * people):06d}" for _ in range(5)]
            self.timed("forgettings", lambda: self.gallery.forget(where=person(*who)))
        else:
            self.timed("looks whether to compact", self.gallery.compact_if_due)
        time.sleep(0.2)


def serve(
    kind: type[Worker], folder: Path, crops: int, seed: int, seconds: float, answers: "Queue[Any]"
) -> None:
    """Run a worker in a process of its own."""
    try:
        answers.put(
            (
                seed,
                {
                    "process": kind.__name__.lower(),
                    "pid": os.getpid(),
                    **kind(folder, crops, seed).run(seconds),
                },
            )
        )
    except BaseException as error:
        answers.put((seed, {"process": kind.__name__.lower(), "error": f"{type(error).__name__}: {error}"}))
        raise


def soak(folder: Path, crops: int, minutes: float) -> list[dict[str, Any]]:
    """Fill a gallery where there is none, and let the four at it."""
    if not Gallery.exists(folder):
        crowd = Crowd(crops)
        with Gallery.create(folder, model_id="crowd@1", dim=crowd.dim) as gallery:
            fill(gallery, crowd.rows(), crowd.records(), CHUNK)
            gallery.compact()
    context = multiprocessing.get_context("spawn")
    answers: Queue[Any] = context.Queue()
    processes = [
        context.Process(target=serve, args=(kind, folder, crops, seed, 60 * minutes, answers))
        for seed, kind in enumerate((Reader, Reader, Adder, Keeper))
    ]
    for process in processes:
        process.start()
    told = dict(answers.get() for _ in processes)
    for process in processes:
        process.join()
    return [told[seed] for seed in sorted(told)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--crops", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="of the gallery; made if it isn't there")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch) / "index"
        rows = soak(folder, args.crops, args.minutes)
        with Gallery.open(folder) as gallery:
            faults = gallery.verify()
            crops = len(gallery)
            generations = gallery.store.current()
    result = {
        "minutes": args.minutes,
        "crops at the end": crops,
        "generation": generations.number if generations else 0,
        "faults": faults,
        "date": datetime.date.today().isoformat(),
        "processes": rows,
    }
    if args.json:
        print(json.dumps(result))
    else:
        print(markdown(rows))
        print("\n".join(f"{name}: {value}" for name, value in result.items() if name != "processes"))
    if faults or any("error" in row for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
