"""Other engines that a query of the gallery is measured beside, each on one thread, and how they take turns."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.gallery.engine import load_faiss

Rows: TypeAlias = NDArray[np.float32]
Ask: TypeAlias = Callable[[Rows], list[int]]
TURN = 20
WIDTHS = (16, 32, 64, 128, 256, 512, 1024)  # of the search in a graph; the first that finds 0.99 is taken
LINKS, BUILD_WIDTH = 16, 100
GRAPHS = ("hnswlib", "usearch f32", "usearch f16")


def flat(rows: Rows) -> dict[str, Ask]:
    """FAISS's exact scan."""
    faiss = load_faiss()
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)

    def ask(row: Rows) -> list[int]:
        before = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        found: list[int] = index.search(row[None], 10)[1][0].tolist()
        faiss.omp_set_num_threads(before)
        return found

    return {"FAISS flat fp32": ask}


def graphs(
    rows: Rows, queries: Rows, recall: Callable[[list[list[int]]], float], names: Sequence[str]
) -> Iterator[tuple[str, Ask, str]]:
    """HNSW by hnswlib and usearch, as far as they are installed, with the width that reaches the recall."""
    for name in names:
        start = time.perf_counter()
        try:
            ask, widen = _hnswlib(rows) if name == GRAPHS[0] else _usearch(rows, name.split()[1])
        except ImportError:
            print(f"{name} is not installed: pip install {name.split()[0]}")
            continue
        seconds = time.perf_counter() - start
        for width in WIDTHS:
            widen(width)
            if recall([ask(row) for row in queries]) >= 0.99:
                break
        yield name, ask, f"M {LINKS}, ef {width}, built in {seconds:.0f} s"


def _hnswlib(rows: Rows) -> tuple[Ask, Callable[[int], None]]:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), ef_construction=BUILD_WIDTH, M=LINKS)
    index.add_items(rows)
    index.set_num_threads(1)
    return lambda row: index.knn_query(row, k=10)[0][0].tolist(), index.set_ef


def _usearch(rows: Rows, precision: str) -> tuple[Ask, Callable[[int], None]]:
    from usearch.index import Index

    index = Index(
        ndim=rows.shape[1],
        metric="ip",
        dtype=precision,
        connectivity=LINKS,
        expansion_add=BUILD_WIDTH,
    )
    index.add(np.arange(len(rows)), rows)

    def widen(width: int) -> None:
        index.expansion_search = width

    return lambda row: index.search(row, 10, threads=1).keys.tolist(), widen


def blob_scan(folder: Path) -> tuple[Ask, str]:
    """What a vector column without an index does: read every row for each query, and multiply."""
    can_load = hasattr(sqlite3.Connection, "enable_load_extension")
    told = "reads all rows for each query" + (
        "" if can_load else "; this Python's sqlite3 loads no sqlite-vec"
    )
    connection = sqlite3.connect(f"{(folder / 'gallery.db').absolute().as_uri()}?mode=ro", uri=True)

    def ask(row: Rows) -> list[int]:
        ids: list[int] = []
        near: list[Any] = []
        cursor = connection.execute("SELECT id, row FROM embedding")
        while block := cursor.fetchmany(8192):
            ids += [id for id, _ in block]
            rows = np.frombuffer(b"".join([blob for _, blob in block]), "<f2").reshape(len(block), -1)
            near.append(rows.astype(np.float32) @ row)
        order = np.argsort(-np.concatenate(near), kind="stable")[:10]
        return [ids[at] - 1 for at in order]

    return ask, told


def take_turns(
    ask: dict[str, Ask], queries: Rows
) -> tuple[dict[str, list[list[float]]], dict[str, list[list[int]]]]:
    """Let each engine answer 20 queries, then the next one: gives seconds by turn, and the places found."""
    spent: dict[str, list[list[float]]] = {name: [] for name in ask}
    found: dict[str, list[list[int]]] = {name: [] for name in ask}
    for start in range(0, len(queries), TURN):
        order = list(ask) if start // TURN % 2 else list(reversed(ask))
        for name in order:
            [turn], answers = timed(ask[name], queries[start : start + TURN])
            spent[name].append(turn)
            found[name] += answers
    return spent, found


def timed(ask: Ask, queries: Sequence[Rows] | Rows) -> tuple[list[list[float]], list[list[int]]]:
    """Seconds of each query, as one turn, and what it found."""
    ask(queries[0])  # the caches belong to whoever has the turn
    turn, found = [], []
    for row in queries:
        start = time.perf_counter()
        found.append(ask(row))
        turn.append(time.perf_counter() - start)
    return [turn], found
