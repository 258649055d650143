"""Queries with a filter against brute force over the rows that pass, for `benchmarks/gallery.py`."""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.gallery import Gallery
from autoreid_deploy.gallery.filters import Filter, camera, during, person
from benchmarks.crowd_rows import CAMERAS, CROPS_A_PERSON, Crowd, nearest
from benchmarks.gallery_table import Row, ms, verdict

SHARES = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9)


def selectivities(crowd: Crowd) -> dict[str, tuple[Filter, NDArray[np.bool_]]]:
    """Filters of many widths: what to call it -> filter, and (crops,) what passes by the crowd's own numbers."""
    times, cameras = crowd.times(), crowd.camera_of()
    chosen: dict[str, tuple[Filter, NDArray[np.bool_]]] = {}
    for share in SHARES:
        start = crowd.crops // 20
        stop = start + max(1, round(share * crowd.crops))
        span = during(float(times[start]), float(times[stop]))
        chosen[f"time, {share:g}"] = (span, (times >= times[start]) & (times < times[stop]))
    pids = np.arange(crowd.crops) // CROPS_A_PERSON
    who = list(range(crowd.people // 2, crowd.people // 2 + 5))
    chosen["5 people"] = (person(*(f"{pid:06d}" for pid in who)), np.isin(pids, who))
    for count in (1, 4, 7):
        names = [str(number) for number in range(count)]
        chosen[f"{count} of {CAMERAS} cameras"] = (camera(*names), cameras < count)
    span = during(float(times[0]), float(times[len(times) // 100]))
    both = camera("3") & span
    chosen["camera and time, 1e-3"] = (both, (cameras == 3) & (times < times[len(times) // 100]))
    return chosen


def tell_filters(
    folder: Path,
    rows: NDArray[np.float32],
    queries: NDArray[np.float32],
    chosen: dict[str, tuple[Filter, NDArray[np.bool_]]],
    count: int = 50,
) -> list[Row]:
    """Ask with each filter; the first query builds what later ones remember."""
    told: list[Row] = []
    with Gallery.open(folder) as gallery:
        gallery.query(queries[0])
        time.sleep(len(rows) / 5e5)
        for name, (where, passes) in chosen.items():
            places = np.flatnonzero(passes)
            truth = places[nearest(rows[places], queries[:count], min(10, len(places)))]
            spent, right, full = [], 0, True
            for query, true in zip(queries[:count], truth, strict=True):
                start = time.perf_counter()
                [hits] = gallery.query(query, where=where)
                spent.append(time.perf_counter() - start)
                found = {hit.id - 1 for hit in hits}
                right += len(found & set(true.tolist()))
                full = full and len(hits) == len(true) and bool(passes[list(found)].all())
            recall = right / truth.size
            told.append(
                {
                    "filter": name,
                    "passing": len(places),
                    "recall@10": recall,
                    "full": "yes" if full else "no",
                    "first ms": 1000 * spent[0],
                    "p50 ms": ms(spent[1:], 50),
                    "p99 ms": ms(spent[1:], 99),
                    "met": verdict(full and recall >= 0.99),
                }
            )
    return told
