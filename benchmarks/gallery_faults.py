"""Kill a process that changes a gallery, at any moment, again and again, and compare what is left with what it said.

    python -m benchmarks.gallery_faults [--kills 200] [--seed 0] [--json]

A worker creates, adds, replaces, removes, forgets and compacts. It writes a line to a pipe before each call and one
after it.
It is killed with -9: after a random time, or soon after it began to forget, to compact, or to create. Then the gallery
must hold exactly what the finished calls made, with or without the one that was cut off, every row to the bit; its
answers must be those of a brute-force search; `verify` may only find what a killed process leaves by its own
documentation; one `compact` must mend that; and of what was forgotten no byte may be in any file.
`tests/test_gallery_faults.py` does the same with few kills.
"""

import argparse
import contextlib
import datetime
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import GalleryError
from autoreid_deploy.gallery import Gallery
from autoreid_deploy.gallery.filters import person
from autoreid_deploy.gallery.proof import INTERRUPTED
from autoreid_deploy.records import Record

DIM = 64
NAMES, PEOPLE = 400, 12
STEPS = ("add", "add", "add", "remove", "remove", "forget", "compact")
LEFT_BY_THE_KILLED = (
    re.escape(INTERRUPTED),
    r".*: left over from an older index; drop it with: reid-index compact",
    r".*: no part of the index; delete it",
)
Step: TypeAlias = dict[str, Any]
Truth: TypeAlias = dict[str, tuple[int, str]]
"""path -> which row, person"""


def row_of(token: int) -> NDArray[np.float32]:
    """The row that a number stands for: of 1/8 and -1/8, whose length is 1 to the bit, in 16 bits too."""
    return np.random.default_rng(token).choice(np.array([-0.125, 0.125], np.float32), DIM)


def stored_row(token: int) -> bytes:
    """The same as the gallery keeps it."""
    return row_of(token).astype("<f2").tobytes()


def random_step(chance: random.Random, token: int) -> Step:
    """Something to do to a gallery, of which `token` and the numbers after it are new rows."""
    do = chance.choice(STEPS)
    who = f"p{chance.randrange(PEOPLE)}"
    if do == "add":
        count = chance.choice((1, 10, 100))
        names = [f"/crops/{chance.randrange(NAMES):04d}.jpg" for _ in range(count)]
        return {"do": do, "crops": [[name, token + i, f"p{i % PEOPLE}"] for i, name in enumerate(names)]}
    if do == "remove" and chance.random() < 0.7:
        return {"do": do, "paths": [f"/crops/{chance.randrange(NAMES):04d}.jpg" for _ in range(5)]}
    if do == "compact":
        return {"do": do, "kind": chance.choice((None, "exact", "pq", "ivf"))}
    return {"do": do, "person": who}


def take(gallery: Gallery, step: Step) -> None:
    """Do it."""
    if step["do"] == "add":
        crops = step["crops"]
        records = [Record(Path(path), who, "1", float(token), str(token)) for path, token, who in crops]
        gallery.add(records, np.stack([row_of(token) for _, token, _ in crops]))
    elif step["do"] == "compact":
        gallery.compact(kind=step["kind"])
    elif step["do"] == "forget":
        gallery.forget(where=person(step["person"]))
    elif "paths" in step:
        gallery.remove(paths=step["paths"])
    else:
        gallery.remove(pids=[step["person"]])


def after(truth: Truth, step: Step) -> Truth:
    """The same to the truth."""
    if step["do"] == "add":
        return {**truth, **{path: (token, who) for path, token, who in step["crops"]}}
    if step["do"] == "compact":
        return truth
    gone = step.get("paths", ())
    return {
        path: value for path, value in truth.items() if path not in gone and value[1] != step.get("person")
    }


def work(folder: Path, seed: int, steps: int = 10**9) -> None:
    """What the worker does: steps without end, each announced, then acknowledged or refused with its error."""
    chance = random.Random(seed)
    print(json.dumps(["begin", {"do": "create"}]), flush=True)
    make = Gallery.open if Gallery.exists(folder) else partial(Gallery.create, model_id="m@1", dim=DIM)
    gallery = make(folder)
    print(json.dumps(["done", {"do": "create"}]), flush=True)
    for number in range(steps):
        step = random_step(chance, 10**9 * (seed + 1) + 1000 * number)
        print(json.dumps(["begin", step]), flush=True)
        try:
            take(gallery, step)
            print(json.dumps(["done", step]), flush=True)
        except GalleryError as error:
            print(json.dumps(["refused", {**step, "why": str(error)}]), flush=True)


def write_apart(folder: Path, number: int, steps: int = 60) -> None:
    """What one of several writers does at the same time: adds to and removes from crops of its own, and compacts."""
    chance = random.Random(number)
    with Gallery.open(folder) as gallery:
        for count in range(steps):
            names = [f"/{number}/{chance.randrange(NAMES):04d}.jpg" for _ in range(20)]
            token = 10**9 * number + 1000 * count
            step: Step = {"do": "add", "crops": [[name, token + i, "p"] for i, name in enumerate(names)]}
            if count % 5 == 4:
                step = {"do": "remove", "paths": names}
            elif count % 20 == 18:
                step = {"do": "compact", "kind": None}
            try:
                take(gallery, step)
                print(json.dumps(["done", step]), flush=True)
            except GalleryError as error:
                print(json.dumps(["refused", {**step, "why": str(error)}]), flush=True)


def start(call: str, *words: object, limit: int | None = None) -> "subprocess.Popen[str]":
    """Start a process that makes a call of this module, with a limit to the size of files if one is given."""
    full = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));" if limit else ""
    code = f"{full}from pathlib import Path; from benchmarks.gallery_faults import *; {call}"
    return subprocess.Popen([sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE, text=True)


def kill_somewhere(folder: Path, seed: int) -> list[list[Any]]:
    """Let a worker work and kill it; gives what it said."""
    chance = random.Random(seed)
    aim = chance.choice(("any", "create", "forget", "compact", "compact"))
    delay = chance.uniform(0, 1.0 if aim == "any" else 0.01 if aim == "create" else 0.25)
    process = start(f"work(Path({str(folder)!r}), {seed})")
    assert process.stdout is not None
    said: list[list[Any]] = []
    timer: threading.Timer | None = None
    for line in process.stdout:
        with contextlib.suppress(ValueError):  # the last line may be cut off
            said.append(json.loads(line))
        if timer is None and (
            aim == "any" or (said[-1] == ["begin", said[-1][1]] and said[-1][1]["do"] == aim)
        ):
            timer = threading.Timer(delay, process.kill)
            timer.start()
    process.stdout.close()
    if process.wait() != -9:
        raise AssertionError(
            f"seed {seed}: the worker ended by itself with {process.returncode}, after {said[-3:]}"
        )
    return said


def states(truth: Truth, said: Iterable[list[Any]]) -> tuple[list[Truth], set[int]]:
    """What may be left after a worker said this, and which rows were acknowledged as forgotten."""
    allowed, forgotten, before = [truth], set[int](), truth
    for word, step in said:
        if step["do"] == "create":
            continue
        if word == "begin":
            before, allowed = allowed[-1], [allowed[-1], after(allowed[-1], step)]
        elif word == "done":
            allowed = allowed[-1:]
            if step["do"] == "forget":
                forgotten |= {value[0] for path, value in before.items() if path not in allowed[-1]}
        elif step["do"] != "forget":  # which may have deleted, and failed at the rest
            allowed = allowed[:1]
    return allowed, forgotten


def content(gallery: Gallery) -> Truth:
    """What a gallery holds; its rows must be those that their numbers stand for."""
    _, rows = gallery.store.rows()
    found: Truth = {}
    for crop, row in zip(gallery.store.stored(), rows, strict=True):
        token = int(crop.record.tracklet or "")
        assert row.astype("<f2").tobytes() == stored_row(token), f"{crop} has another row"
        found[str(crop.record.path)] = (token, crop.record.pid or "")
    return found


def check_answers(gallery: Gallery, truth: Truth, least: float = 0.9) -> None:
    """Compare answers with brute force: true distances, in order, nothing that isn't there, and hardly any missed."""
    queries = np.stack([row_of(seed) for seed in range(5)])
    tokens = [token for token, _ in truth.values()]
    rows = np.stack([row_of(token) for token in tokens]) if tokens else np.empty((0, DIM), np.float32)
    near = 1 - queries @ rows.T
    right, wanted = 0, 0
    for line, hits in zip(near, gallery.query(queries), strict=True):
        known = dict(zip(tokens, line.tolist(), strict=True))
        assert len(hits) == min(10, len(tokens)), f"{len(hits)} hits of {len(tokens)} crops"
        assert all(abs(hit.distance - known[int(hit.record.tracklet or "")]) < 2e-3 for hit in hits)
        assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)
        limit = np.sort(line)[len(hits) - 1] + 2e-3 if hits else 0
        right += sum(hit.distance <= limit for hit in hits)
        wanted += len(hits)
    assert right >= least * wanted, f"only {right} of {wanted} true neighbours"


def check(folder: Path, allowed: Sequence[Truth], forgotten: set[int]) -> tuple[Truth, list[str]]:
    """Compare a gallery with what may be left; gives which of it is, and what `verify` found before it was mended."""
    with Gallery.open(folder) as gallery:
        found = content(gallery)
        assert found in allowed, _difference(found, allowed)
        check_answers(gallery, found)
        faults = gallery.verify()
        for fault in faults:
            assert any(re.fullmatch(pattern, fault) for pattern in LEFT_BY_THE_KILLED), fault
        if INTERRUPTED not in faults:
            check_bytes(folder, forgotten - {token for token, _ in found.values()})
        if faults:
            gallery.compact()
            assert gallery.verify() == []
        check_answers(gallery, found)
        assert content(gallery) == found
    check_bytes(folder, forgotten)
    return found, faults


def _difference(found: Truth, allowed: Sequence[Truth]) -> str:
    lacks, more = allowed[0].items() - found.items(), found.items() - allowed[-1].items()
    return f"lost: {sorted(lacks)[:5]} ({len(lacks)}); not allowed: {sorted(more)[:5]} ({len(more)})"


def check_bytes(folder: Path, forgotten: set[int]) -> None:
    """Look for rows in every file."""
    for file in filter(Path.is_file, folder.rglob("*")):
        data = file.read_bytes()
        left = [token for token in forgotten if stored_row(token) in data]
        assert not left, f"{file} holds {len(left)} forgotten rows"


def rounds(folder: Path, kills: int, seed: int = 0) -> Iterator[tuple[list[Any], list[str]]]:
    """Kill again and again; gives what was cut off and what `verify` found. Each tenth begins with a new gallery."""
    truth: Truth = {}
    forgotten: set[int] = set()
    place = folder
    for number in range(kills):
        if number % 10 == 0:
            place, truth, forgotten = folder / f"{number}", {}, set()
        said = kill_somewhere(place, seed + number)
        allowed, new = states(truth, said)
        forgotten |= new
        faults: list[str] = []
        if Gallery.exists(place):
            truth, faults = check(place, allowed, forgotten)
        yield said[-1], faults


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the lines")
    args = parser.parse_args()
    cut: Counter[str] = Counter()
    found: Counter[str] = Counter()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for last, faults in rounds(Path(folder), args.kills, args.seed):
            word, step = last
            cut[f"in {step['do']}" if word == "begin" else "between calls"] += 1
            found.update(
                "forgetting interrupted" if fault == INTERRUPTED else "stray file" for fault in faults
            )
    result = {
        "kills": args.kills,
        "killed": dict(cut),
        "found and mended": dict(found),
        "lost or back": 0,
        "seconds": time.monotonic() - begin,
        "date": datetime.date.today().isoformat(),
    }
    print(
        json.dumps(result) if args.json else "\n".join(f"{name}: {value}" for name, value in result.items())
    )


if __name__ == "__main__":
    main()
