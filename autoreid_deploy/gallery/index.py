"""What proposes candidates for a query: a scan of all rows, or a scan of short codes of them.

No index decides. It proposes rows, and the true rows decide (`rescore`), so that all kinds give the same distances.
How many rows it must propose for the true neighbours to be among them is measured after each build (`tune`).

    exact   every row, as 16-bit floats                                       up to 200,000 rows
    pq      a rotation to half the dimensions, 4 bits for each two of them,    up to 2 million
            all codes scanned in registers (fast-scan, arXiv 1812.09162)
    ivf     the same codes, in lists of which only the nearest are scanned    beyond

If half the dimensions do not tell rows apart well enough, codes of all dimensions take their place.
"""

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.gallery.engine import BATCH, load_faiss, threads

Rows16 = NDArray[np.float16]
EXACT, PQ, IVF = "exact", "pq", "ivf"
KINDS = (EXACT, PQ, IVF)
EXACT_UP_TO = 200_000
PQ_UP_TO = 2_000_000
RECALL = 0.99
K = 10  # neighbours by which an index is tuned: the default of a query
DEPTHS = (50, 100, 200, 400, 800, 1600)
HELD_OUT = 200  # rows that ask when it is tuned
SPARE = 32  # rows that an exact scan proposes beyond k, for the order among 16-bit roundings
# How many more rows than pass by its share a filter makes the codes propose: filters and looks have to do with each
# other, and what passes then lies deeper, where codes tell rows apart less well.
_MARGIN = 7
_TRAINING = 65_536  # rows that codes are learnt from
_CHUNK = 16_384
_SEED = 20190313


@dataclass(frozen=True)
class Tuning:
    """What was chosen for an index, and what it was measured to give.

    Attributes:
        kind: `exact`, `pq` or `ivf`.
        depth: rows proposed for K neighbours; 0 for the exact scan, which needs no choice.
        probes: lists of `ivf` that are scanned, else 0.
        recall: share of the true K neighbours found, over held-out rows that asked.
        target: the recall that was asked for.
        milliseconds: one query, median, one thread.
        bytes_a_row: of the codes in memory.
    """

    kind: str
    depth: int = 0
    probes: int = 0
    recall: float = 1.0
    target: float = RECALL
    milliseconds: float = 0.0
    bytes_a_row: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def choose_kind(count: int, dim: int) -> str:
    """The kind of index that is best for so many rows."""
    if count <= EXACT_UP_TO or not can_code(count, dim):
        return EXACT
    return PQ if count <= PQ_UP_TO else IVF


def can_code(count: int, dim: int) -> bool:
    """Whether there are rows enough to learn codes from, and dimensions enough to make them of."""
    return count >= 64 and dim >= 8 and dim % 4 == 0


class Index:
    """An immutable index over rows that are known by their position.

    Args:
        rows: (G, D) unit rows, 16 bits.
        codes: FAISS's index of their codes; None for the exact scan.
        tuning: what was chosen.
    """

    def __init__(self, rows: Rows16, codes: Any, tuning: Tuning) -> None:
        self.rows = rows
        self.codes = codes
        self.tuning = tuning
        self._scan = _scan(rows) if codes is None else None

    def grow(self, rows: Rows16) -> None:
        """Take more rows into an exact scan: all of them again, the new ones at the end."""
        assert self._scan is not None
        new = np.ascontiguousarray(rows[len(self.rows) :]).view(np.uint8).reshape(-1, 2 * rows.shape[1])
        self._scan.add_sa_codes(new)
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def propose(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Propose rows among which the k nearest are.

        Args:
            queries: (Q, D) unit rows.
            k: how many neighbours are wanted.
            allowed: (G,) which rows may be proposed; None for all.

        Returns:
            (Q, C) positions in no particular order, -1 where there are fewer.
        """
        count = len(self) if allowed is None else int(allowed.sum())
        if not count:
            return np.empty((len(queries), 0), np.int64)
        if self._scan is not None:
            return self._exactly(queries, k, allowed, count)
        depth = self._depth(k)
        if allowed is not None and count <= max(4 * depth, 0.03 * len(self)):
            # Few rows pass: scanning just those is exact, and quicker than looking for them among all.
            return subset(self.rows, queries, np.flatnonzero(allowed), k)
        found = self._coded(queries, depth if allowed is None else _MARGIN * depth * len(self) // count)
        if allowed is not None:
            found = np.where((found >= 0) & allowed[found], found, -1)
        # What passes may lie deeper still; and lists that are scanned may hold too little.
        needed = min(k if allowed is None else depth, count)
        short = np.flatnonzero((found >= 0).sum(axis=1) < needed)
        if len(short):
            among = np.arange(len(self)) if allowed is None else np.flatnonzero(allowed)
            exact = subset(self.rows, queries[short], among, k)
            widened = np.full((len(queries), max(found.shape[1], exact.shape[1])), -1, np.int64)
            widened[:, : found.shape[1]] = found
            widened[short] = -1
            widened[short, : exact.shape[1]] = exact
            found = widened
        return found

    def _depth(self, k: int) -> int:
        return max(self.tuning.depth * -(-k // K), k)

    def _exactly(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None, count: int
    ) -> NDArray[np.int64]:
        if allowed is not None and (count < 0.25 * len(self) or len(queries) >= BATCH):
            return subset(self.rows, queries, np.flatnonzero(allowed), k)
        if len(queries) >= BATCH:
            return _scan_batch(self.rows, queries, k + SPARE)
        faiss = load_faiss()
        told = None
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            told = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
        with threads(len(queries)):
            found = self._scan.search(queries, min(k + SPARE, count), params=told)[1]  # type: ignore[union-attr]
        return np.asarray(found, np.int64)

    def _coded(self, queries: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
        faiss = load_faiss()
        told = None
        if self.tuning.probes:
            told = faiss.SearchParametersPreTransform(
                index_params=faiss.SearchParametersIVF(nprobe=self.tuning.probes)
            )
        with threads(len(queries)):
            found = self.codes.search(queries, min(depth, len(self)), params=told)[1]
        return np.asarray(found, np.int64)


def subset(
    rows: Rows16, queries: NDArray[np.float32], positions: NDArray[np.int64], k: int
) -> NDArray[np.int64]:
    """Propose the nearest of some rows, exactly: (Q, min(k + SPARE, S)) positions."""
    if len(positions) <= k + SPARE:
        return np.broadcast_to(positions, (len(queries), len(positions)))
    if len(queries) >= BATCH:
        return _scan_batch(rows, queries, k + SPARE, positions)
    with threads(len(queries)):
        found: NDArray[np.int64] = _scan(rows[positions]).search(queries, k + SPARE)[1]
    return positions[found]


def _scan(rows: Rows16) -> Any:
    """A scan of 16-bit rows, whose codes in FAISS are the very same bytes."""
    faiss = load_faiss()
    scan = faiss.IndexScalarQuantizer(
        rows.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    faiss.copy_array_to_vector(np.ascontiguousarray(rows).view(np.uint8).reshape(-1), scan.codes)
    scan.ntotal = len(rows)
    scan.is_trained = True
    return scan


def _scan_batch(
    rows: Rows16, queries: NDArray[np.float32], k: int, positions: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Scan rows chunk by chunk as matrix products, which is best for many queries."""
    faiss = load_faiss()
    count = len(rows) if positions is None else len(positions)
    best = np.empty((len(queries), 0), np.float32)
    where = np.empty((len(queries), 0), np.int64)
    with threads(len(queries)):
        for start in range(0, count, _CHUNK):
            stop = min(start + _CHUNK, count)
            chosen = slice(start, stop) if positions is None else positions[start:stop]
            part = rows[chosen].astype(np.float32)
            near, at = faiss.knn(queries, part, min(k, stop - start), faiss.METRIC_INNER_PRODUCT)
            best, where = np.hstack([best, near]), np.hstack([where, at + start])
            if best.shape[1] > 8 * k or stop == count:
                kept = min(k, best.shape[1])
                order = np.argpartition(-best, kept - 1, axis=1)[:, :kept]
                best, where = np.take_along_axis(best, order, 1), np.take_along_axis(where, order, 1)
    return where if positions is None else positions[where]


def rescore(rows: Rows16, queries: NDArray[np.float32], positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """Measure candidates by their rows.

    Args:
        rows: (G, D) unit but for the rounding to 16 bits, which is scaled away: a row is 0 from itself.
        queries: (Q, D) unit rows.
        positions: (Q, C), -1 for none.

    Returns:
        (Q, C) distances in [0, 2], infinite where there is none.
    """
    distance = np.full(positions.shape, np.inf, np.float32)
    for i, (query, at) in enumerate(zip(queries, positions, strict=True)):
        there = at >= 0
        near = rows[at[there]].astype(np.float32)
        norms = np.sqrt(np.einsum("cd,cd->c", near, near))
        distance[i, there] = np.clip(1 - near @ query / norms, 0, 2)
    return distance


def build(rows: Rows16, kind: str | None = None, target: float = RECALL, seed: int = _SEED) -> Index:
    """Make the index that is best for so many rows, and tune it.

    Args:
        rows: (G, D) unit rows.
        kind: another kind than the best.
        target: recall of the true K neighbours; if no depth gives it, the deepest and best is taken.
        seed: of the rows that codes are learnt from and that ask.
    """
    kind = kind or choose_kind(len(rows), rows.shape[1])
    if kind == EXACT or not can_code(*rows.shape):
        index = Index(rows, None, Tuning(EXACT, target=target, bytes_a_row=2.0 * rows.shape[1]))
        return _timed(index, rows[:: max(1, len(rows) // 20)][:20].astype(np.float32)) if len(rows) else index
    rng = np.random.default_rng(seed)
    asking = np.sort(rng.choice(len(rows), min(HELD_OUT, len(rows)), replace=False))
    queries = _unit(rows[asking])
    truth = _others(_nearest(rows, queries, K + 1), asking)
    found = None
    for halved in (True, False):
        tuned = _tune(
            Index(rows, _encode(rows, kind, halved, rng), Tuning(kind, target=target)), asking, queries, truth
        )
        if found is None or tuned.tuning.recall > found.tuning.recall:
            found = tuned
        if found.tuning.recall >= target:
            break
    assert found is not None
    return found


def _unit(rows: Rows16) -> NDArray[np.float32]:
    wide = rows.astype(np.float32)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    return wide


def _encode(rows: Rows16, kind: str, halved: bool, rng: np.random.Generator) -> Any:
    """Learn codes from some of the rows and give all of them theirs."""
    faiss = load_faiss()
    dim = rows.shape[1]
    coded = dim // 2 if halved else dim
    coded -= coded % 2
    lists = ""
    if kind == IVF:
        count = int(2 ** np.clip(np.round(np.log2(4 * np.sqrt(len(rows)))), 2, 16))
        lists = f"IVF{min(count, max(1, len(rows) // 39))},"
    with threads(BATCH):
        # Distances, not products: a rotation about the mean would shift products by more than it should.
        turned = faiss.index_factory(dim, f"PCAR{coded},{lists}PQ{coded // 2}x4fs", faiss.METRIC_L2)
        codes = faiss.downcast_index(turned.index)
        for clustering in [codes.pq.cp, *([codes.cp] if lists else [])]:
            clustering.min_points_per_centroid = 1
        sample = np.sort(rng.choice(len(rows), min(_TRAINING, len(rows)), replace=False))
        turned.train(rows[sample].astype(np.float32))
        for start in range(0, len(rows), 4 * _CHUNK):
            turned.add(rows[start : start + 4 * _CHUNK].astype(np.float32))
    return turned


def _nearest(rows: Rows16, queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The true neighbours, closest first."""
    at = _scan_batch(rows, queries, k + SPARE)
    order = np.argsort(rescore(rows, queries, at), axis=1, kind="stable")
    return np.take_along_axis(at, order, 1)[:, :k]


def _others(found: NDArray[np.int64], asking: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The neighbours of rows that asked, without themselves."""
    return [line[line != own][:K] for line, own in zip(found, asking, strict=True)]


def _tune(
    index: Index, asking: NDArray[np.int64], queries: NDArray[np.float32], truth: list[NDArray[np.int64]]
) -> Index:
    """Go deeper until the recall is reached."""
    probes = [0]
    if index.tuning.kind == IVF:
        lists = load_faiss().downcast_index(index.codes.index).nlist
        probes = [2**i for i in range(3, int(np.log2(lists)) + 1)] + [lists]
    best: Tuning | None = None
    for probe in probes:
        for depth in DEPTHS:
            told = replace(index.tuning, depth=depth, probes=probe)
            trial = Index(index.rows, index.codes, told)
            at = trial._coded(queries, depth + 1)
            order = np.argsort(rescore(index.rows, queries, at), axis=1, kind="stable")[:, : K + 1]
            found = _others(np.take_along_axis(at, order, 1), asking)
            right = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True))
            recall = right / max(1, sum(map(len, truth)))
            if best is None or recall > best.recall:
                best = replace(told, recall=recall)
            if recall >= told.target:
                return _timed(Index(index.rows, index.codes, best), queries)
            if depth >= len(index):
                break
    assert best is not None
    return _timed(Index(index.rows, index.codes, best), queries)


def _timed(index: Index, queries: NDArray[np.float32]) -> Index:
    """Measure one query at a time."""
    taken = []
    for query in queries[:20, None]:
        start = time.perf_counter()
        rescore(index.rows, query, index.propose(query, K))
        taken.append(time.perf_counter() - start)
    size = index.tuning.bytes_a_row
    if index.codes is not None:
        codes = load_faiss().downcast_index(index.codes.index)
        size = codes.code_size
    told = replace(index.tuning, milliseconds=1e3 * float(np.median(taken)), bytes_a_row=float(size))
    return Index(index.rows, index.codes, told)
