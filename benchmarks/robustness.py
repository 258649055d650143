"""How well a model finds people whose query is damaged: the robustness table of a model card.

    python -m benchmarks.robustness --peers PEERS/ --market DATA/market
    python -m benchmarks.robustness --table

People: market-heldout `val` (never `test`). The queries are damaged, the gallery is as it was filmed. Each damage is
scored twice: against the other cameras, which is the protocol, and against the query's own camera, where all but the
query itself answer. The difference is what the change of camera costs.

* 64, 48, 32 rows: so much of the height is left; Market's crops have 128.
* blur: Gaussian, sigma 2 pixels of 128 rows.
* dark: an eighth of the light, as bytes of a camera (gamma 2.2) show it.
* JPEG 20: written at quality 20 and read again.
* a third covered: the lower, left or right third, in turn, under one colour drawn at random.

Peers may have seen these people, and the table says so: compare their losses, not their levels. The figures go into
benchmarks/robustness.json, a model at a time, so a killed run goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.embedder import Embedder
from autoreid_deploy.metrics import evaluate_embeddings
from autoreid_deploy.protocols import heldout_split, people_of
from benchmarks.contestants import Contestant, add_options, has_not_seen_market_heldout, load_contestants
from benchmarks.ledger import read, write
from benchmarks.models import Pictures, describe_machine, kept_results, read_market
from search.degrade import Damage, degrade

RESULTS = Path(__file__).with_suffix(".json")
Picture = NDArray[np.uint8]
_AN_EIGHTH = (1 / 8) ** (1 / 2.2)


def spoil(image: Picture, *, scale: float = 1, sigma: float = 0, quality: int = 0) -> Picture:
    """Damage one picture as training does: lost resolution, blur in pixels, JPEG."""
    one = replace(
        Damage.none(1), scale=np.array([scale]), sigma=np.array([sigma]), quality=np.array([quality])
    )
    return np.asarray(degrade(image[None], one)[0], np.uint8)


def fewer_rows(rows: int) -> Callable[[Picture, int], Picture]:
    """Leave so many rows of a picture, and columns in proportion; one that has no more stays as it is."""
    return lambda image, _: spoil(image, scale=min(1.0, rows / len(image)))


def darken(image: Picture, _: int) -> Picture:
    """Leave an eighth of the light."""
    return np.asarray(np.rint(image * _AN_EIGHTH), np.uint8)


def cover(image: Picture, number: int) -> Picture:
    """Cover the lower, left or right third, in turn by the query's number, with one colour."""
    height, width = image.shape[:2]
    place = (np.s_[-(height // 3) :], np.s_[:, : width // 3], np.s_[:, -(width // 3) :])[number % 3]
    covered = image.copy()
    covered[place] = np.random.default_rng(number).integers(0, 256, 3, np.uint8)
    return covered


# Each takes a query and its number.
DAMAGES: dict[str, Callable[[Picture, int], Picture]] = {
    "none": lambda image, _: image,
    "64 rows": fewer_rows(64),
    "48 rows": fewer_rows(48),
    "32 rows": fewer_rows(32),
    "blur": lambda image, _: spoil(image, sigma=len(image) / 64),
    "dark": darken,
    "JPEG 20": lambda image, _: spoil(image, quality=20),
    "a third covered": cover,
}


def score(embedder: Embedder, pictures: Pictures) -> dict[str, dict[str, float]]:
    """A model's figures by damage, against other cameras and against the query's own."""
    query, gallery = heldout_split(pictures.records)
    rows = embedder.embed(pictures.images, color="rgb")
    found = {}
    for name, damage in DAMAGES.items():
        spoilt = [damage(pictures.images[i], number) for number, i in enumerate(query)]
        asking = embedder.embed(spoilt, color="rgb")
        found[name] = other_cameras(asking, rows[gallery], pictures, query) | own_camera(
            asking, rows[gallery], pictures, query
        )
    return found


def other_cameras(
    asking: NDArray[np.float32], rows: NDArray[np.float32], pictures: Pictures, query: Sequence[int]
) -> dict[str, float]:
    """The protocol: what the query's own camera saw of its person is junk."""
    pids, camids = people_of(pictures.records), [str(record.camid) for record in pictures.records]
    found = evaluate_embeddings(
        asking, rows, [pids[i] for i in query], pids, [camids[i] for i in query], camids, max_rank=1
    )
    return {"rank1": found.rank(1), "mAP": found.mAP}


def own_camera(
    asking: NDArray[np.float32], rows: NDArray[np.float32], pictures: Pictures, query: Sequence[int]
) -> dict[str, float]:
    """What the query's own camera saw answers, all but the query itself: no change of camera."""
    pids, camids = people_of(pictures.records), [record.camid for record in pictures.records]
    scores = []
    for camera in sorted({str(camids[i]) for i in query}):
        answering = [i for i, camid in enumerate(camids) if camid == camera]
        places = [place for place, i in enumerate(query) if camids[i] == camera]
        # A crop is junk to itself alone if each has a camera of its own.
        found = evaluate_embeddings(
            asking[places],
            rows[answering],
            [pids[query[place]] for place in places],
            [pids[i] for i in answering],
            [query[place] for place in places],
            answering,
            max_rank=1,
        )
        scores.append((found.queries, found.rank(1), found.mAP))
    counts, rank1, mean_ap = np.array(scores).T
    return {
        "own_rank1": float(np.average(rank1, weights=counts)),
        "own_mAP": float(np.average(mean_ap, weights=counts)),
    }


def measure(contestants: Sequence[Contestant], pictures: Pictures, results: Path) -> None:
    """Every model's figures, each kept as soon as it is there; the same file is not measured twice."""
    for contestant in contestants:
        if kept_results(results)["models"].get(contestant.name, {}).get("id") == contestant.id:
            continue
        with contestant.embedder() as embedder:
            found = {
                "id": contestant.id,
                "ours": contestant.ours,
                "unseen": has_not_seen_market_heldout(contestant),
                "damages": score(embedder, pictures),
            }
        kept = kept_results(results)  # as it is now: another process may measure other models
        kept["models"][contestant.name] = found
        write(kept | {"machine": describe_machine()}, results)
        print(f"{contestant.name}\n{card(found)}", flush=True)


def card(model: Mapping[str, Any]) -> str:
    """One model's table for its card."""
    lines = [
        "| damage to the query | rank-1, other cameras | mAP | rank-1, own camera | mAP |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, found in model["damages"].items():
        cells = (f"{100 * found[key]:.1f}" for key in ("rank1", "mAP", "own_rank1", "own_mAP"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def table(models: Mapping[str, Mapping[str, Any]], key: str = "rank1") -> str:
    """All models: a figure against other cameras by damage."""
    lines = [f"| model | {' | '.join(DAMAGES)} |", "|---|" + "---:|" * len(DAMAGES)]
    for name, model in models.items():
        shown = f"**{name}**" if model["ours"] else name
        cells = (f"{100 * model['damages'][damage][key]:.1f}" for damage in DAMAGES)
        lines.append(f"| {shown}{'' if model['unseen'] else ' (may know them)'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--market", type=Path, help="Market-1501's bounding_box_train")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures go")
    parser.add_argument("--table", action="store_true", help="print what --json holds and measure nothing")
    options = parser.parse_args(arguments)
    if not options.table:
        if options.market is None:
            parser.error("name Market-1501's folder with --market, or print what is there with --table")
        cv2.setNumThreads(1)
        pictures = read_market(options.market)
        measure(load_contestants(options.models, options.peers), pictures, options.json)
    models = read(options.json)["models"]
    print(table(models))
    for name, model in models.items():
        if model["ours"]:
            print(f"\n{name}\n\n{card(model)}")


if __name__ == "__main__":
    main()
