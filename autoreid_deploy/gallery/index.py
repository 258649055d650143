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
from autoreid_deploy.gallery.half import Rows16, widen

EXACT, PQ, IVF = "exact", "pq", "ivf"
KINDS = (EXACT, PQ, IVF)
EXACT_UP_TO = 200_000
PQ_UP_TO = 2_000_000
RECALL = 0.99
K = 10  # neighbours by which an index is tuned: the default of a query
DEPTHS = (50, 100, 200, 400, 800, 1600)
HELD_OUT = 200  # rows that ask when it is tuned
SPARE = 32  # rows that an exact scan proposes beyond k, for the order among 16-bit roundings
_FEW = 4  # and one that then looks whether these were enough
_ROUNDING = 2.0**-10  # what 16 bits change of a unit row's length, and so of its products with queries, twice
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
        self._lengths = _lengths(rows) if codes is None else None

    def grow(self, rows: Rows16) -> None:
        """Take more rows into an exact scan: all of them again, the new ones at the end."""
        assert self._scan is not None and self._lengths is not None
        new = np.ascontiguousarray(rows[len(self.rows) :]).view(np.uint8).reshape(-1, 2 * rows.shape[1])
        self._scan.add_sa_codes(new)
        self._lengths = np.concatenate([self._lengths, _lengths(rows[len(self.rows) :])])
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find rows among which the k nearest are.

        Args:
            queries: (Q, D) unit rows.
            k: how many neighbours are wanted.
            allowed: (G,) which rows may be found; None for all.

        Returns:
            (Q, C) distances in [0, 2] and positions in no particular order; infinite and -1 where there are fewer.
        """
        count = len(self) if allowed is None else int(allowed.sum())
        if self._scan is not None and len(queries) < BATCH and count >= max(1, 0.25 * len(self)):
            return self._scanned(queries, k, allowed, count)
        at = self._propose(queries, k, allowed, count)
        return rescore(self.rows, queries, at), at

    def _propose(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None, count: int
    ) -> NDArray[np.int64]:
        if not count:
            return np.empty((len(queries), 0), np.int64)
        if self._scan is not None:
            return subset(self.rows, queries, None if allowed is None else np.flatnonzero(allowed), k)
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
            among = None if allowed is None else np.flatnonzero(allowed)
            exact = subset(self.rows, queries[short], among, k)
            widened = np.full((len(queries), max(found.shape[1], exact.shape[1])), -1, np.int64)
            widened[:, : found.shape[1]] = found
            widened[short] = -1
            widened[short, : exact.shape[1]] = exact
            found = widened
        return found

    def _depth(self, k: int) -> int:
        return max(self.tuning.depth * -(-k // K), k)

    def _scanned(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None, count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        told = None
        if allowed is not None:
            faiss = load_faiss()
            told = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little")))
        depth = min(k + _FEW, count)
        while True:
            with threads(len(queries)):
                near, at = self._scan.search(queries, depth, params=told)  # type: ignore[union-attr]
            # Rows beyond may be as near by their true lengths, unless they are clearly farther away.
            if depth == count or (near[:, k - 1] - near[:, -1] > _ROUNDING).all():
                near /= self._lengths[at]  # type: ignore[index]
                return _as_distance(near), at
            depth = min(16 * depth, count)

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
    rows: Rows16, queries: NDArray[np.float32], positions: NDArray[np.int64] | None, k: int
) -> NDArray[np.int64]:
    """Propose the nearest of some rows (None: of all), exactly: (Q, min(k + SPARE, S)) positions."""
    count = len(rows) if positions is None else len(positions)
    if count <= k + SPARE:
        positions = np.arange(count) if positions is None else positions
        return np.broadcast_to(positions, (len(queries), count))
    if len(queries) >= BATCH:
        return _scan_batch(rows, queries, k + SPARE, positions)
    with threads(len(queries)):
        scan = _scan(rows if positions is None else rows[positions])
        found: NDArray[np.int64] = scan.search(queries, k + SPARE)[1]
    return found if positions is None else positions[found]


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
            part = widen(rows[chosen])
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
    for line, query, at in zip(distance, queries, positions, strict=True):
        there = slice(None) if at.min(initial=0) >= 0 else at >= 0
        near = widen(rows[at[there]])
        line[there] = _as_distance(near @ query / np.sqrt(np.einsum("cd,cd->c", near, near)))
    return distance


def _as_distance(cosine: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 - cosine, in place, whatever the last digit was rounded to."""
    np.subtract(1, cosine, out=cosine)
    np.maximum(cosine, 0, out=cosine)
    return np.minimum(cosine, 2, out=cosine)


def _lengths(rows: Rows16) -> NDArray[np.float32]:
    """(G,) lengths of rows, which are 1 but for the rounding to 16 bits."""
    lengths = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _CHUNK):
        part = widen(rows[start : start + _CHUNK])
        lengths[start : start + len(part)] = np.sqrt(np.einsum("gd,gd->g", part, part))
    return lengths


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
    wide = widen(rows)
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
        turned.train(widen(rows[sample]))
        for start in range(0, len(rows), 4 * _CHUNK):
            turned.add(widen(rows[start : start + 4 * _CHUNK]))
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
        index.search(query, K)
        taken.append(time.perf_counter() - start)
    size = index.tuning.bytes_a_row
    if index.codes is not None:
        codes = load_faiss().downcast_index(index.codes.index)
        size = codes.code_size
    told = replace(index.tuning, milliseconds=1e3 * float(np.median(taken)), bytes_a_row=float(size))
    return Index(index.rows, index.codes, told)
