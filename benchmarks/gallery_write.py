"""Writing to a gallery, and asking it meanwhile, for `benchmarks/gallery.py`."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.gallery import Gallery
from autoreid_deploy.gallery.store import Stamp
from autoreid_deploy.records import Record
from benchmarks.crowd_rows import CHUNK, Crowd, record_of
from benchmarks.gallery_table import Row, ms, verdict

BULK, SINGLE, BLOCKED_MS = 20_000, 1000, 50
THREADS = (1, 4, 8, 16)
WRITER = """
import sys
from pathlib import Path
from autoreid_deploy.gallery import Gallery
from benchmarks.gallery_write import add_until_killed
add_until_killed(Path(sys.argv[1]), int(sys.argv[2]))
"""


def fill(
    gallery: Gallery, rows: NDArray[np.float32], records: Sequence[tuple[Record, Stamp]], size: int = CHUNK
) -> list[float]:
    """Add rows in batches; gives the seconds of each."""
    spent = []
    for start in range(0, len(rows), size):
        some = records[start : start + size]
        begin = time.perf_counter()
        gallery.add([record for record, _ in some], rows[start : start + size], [stamp for _, stamp in some])
        spent.append(time.perf_counter() - begin)
    return spent


def news(count: int, first: int) -> tuple[NDArray[np.float32], list[tuple[Record, Stamp]]]:
    """Crops that no gallery of a crowd has yet, of places from `first` on."""
    crowd = Crowd(count, seed=1)
    known = zip(crowd.camera_of().tolist(), crowd.times().tolist(), strict=True)
    return crowd.rows(), [record_of(first + place, *each) for place, each in enumerate(known)]


def insert(folder: Path) -> list[Row]:
    """Bulk and single adds, into an empty gallery and into a copy of a filled one."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        for name in ("empty", "filled"):
            place = Path(scratch) / name
            if name == "filled":
                shutil.copytree(folder, place)
                gallery = Gallery.open(place)
            else:
                gallery = Gallery.create(place, model_id="crowd@1", dim=256)
            with gallery:
                crops = len(gallery)
                bulk = fill(gallery, *news(200_000, 10**7))
            rate = CHUNK / statistics.median(bulk)
            single = {count: single_rate(place, count) for count in THREADS}
            syncs = sync_rate(Path(scratch))
            rows.append(
                {
                    "into": f"{crops:,} crops",
                    "bulk rows/s": rate,
                    "target": BULK,
                    "met": verdict(rate >= BULK),
                    **{f"single adds/s, {count} threads": rate for count, rate in single.items()},
                    "the disk's own syncs/s": syncs,
                    "target single": SINGLE,
                    "met single": verdict(max(single.values()) >= SINGLE),
                }
            )
    return rows


def single_rate(folder: Path, threads: int, count: int = 2000) -> float:
    """How many crops a second threads add one by one, each durable before the next."""
    rows, records = news(count, (20 + threads) * 10**6)

    def add(first: int) -> None:
        with Gallery.open(folder) as gallery:
            ready.wait()
            fill(gallery, rows[first::threads], records[first::threads], size=1)

    ready = threading.Barrier(threads + 1)
    with ThreadPoolExecutor(threads) as pool:
        done = [pool.submit(add, first) for first in range(threads)]
        ready.wait()
        start = time.perf_counter()
        for each in done:
            each.result()
        return count / (time.perf_counter() - start)


def sync_rate(folder: Path, count: int = 500) -> float:
    """How often a second the disk takes 8 KiB for good."""
    with (folder / "sync").open("wb", buffering=0) as file:
        start = time.perf_counter()
        for _ in range(count):
            file.write(bytes(8192))
            os.fdatasync(file.fileno())
        return count / (time.perf_counter() - start)


def add_until_killed(folder: Path, size: int) -> None:
    """Add batches of new crops without end."""
    rows, records = news(max(size, 5000), 0)
    first = time.time_ns()
    with Gallery.open(folder) as gallery:
        print("ready", flush=True)
        while True:
            for start in range(0, len(rows), size):
                some = [
                    (Record(Path(f"/new/{first + start + i}.jpg"), *_known(record)), stamp)
                    for i, (record, stamp) in enumerate(records[start : start + size])
                ]
                fill(gallery, rows[start : start + size], some, size)
            first += len(rows)


def _known(record: Record) -> tuple[str | None, str | None, float | None, str | None]:
    return record.pid, record.camid, record.time, record.tracklet


def busy(folder: Path, queries: NDArray[np.float32], seconds: float = 10) -> list[Row]:
    """Ask while nobody, one who adds single crops, and one who adds 20,000 at a time, writes."""
    rows: list[Row] = []
    for name, size in (("nobody writes", 0), ("single adds", 1), ("batches of 20,000", CHUNK)):
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            place = Path(scratch) / "copy"
            shutil.copytree(folder, place)
            with Gallery.open(place) as gallery:
                gallery.query(queries[0])
                time.sleep(len(gallery) / 5e5)
                before, writer = len(gallery), _start(place, size) if size else None
                spent = []
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    start = time.perf_counter()
                    gallery.query(queries[len(spent) % len(queries)])
                    spent.append(time.perf_counter() - start)
                if writer:
                    writer.kill()
                    writer.communicate()
                added = len(gallery) - before
        rows.append(
            {
                "meanwhile": name,
                "rows added/s": added / seconds,
                "p50 ms": ms(spent, 50),
                "p99 ms": ms(spent, 99),
                "longest ms": 1000 * max(spent),
                "target ms": BLOCKED_MS,
                "met": verdict(1000 * max(spent) <= BLOCKED_MS),
            }
        )
    return rows


def _start(folder: Path, size: int) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", WRITER, str(folder), str(size)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process
