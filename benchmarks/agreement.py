"""Does a pupil see who is alike as its teacher does? On crops that it has learnt from, and on others.

    python -m benchmarks.agreement --peers PEERS/ --teacher person-reidentification-retail-0286 --crops
        learnt=DATA/market:market1501_train_ids.txt val=DATA/market:market1501_val_ids.txt

Correlation of the cosines of all pairs of some crops, drawn by a fixed seed, with the teacher's cosines of the same
pairs. A pupil that agrees on crops that it has learnt from and not on others overfits; one that agrees on neither is
too small, or has learnt too little. No crop of a `test` split is to be given.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.crops import read_crop
from autoreid_deploy.errors import InputError
from autoreid_deploy.records import read_ids, scan
from benchmarks.contestants import SPLITS, add_options, load_contestants

Picture = NDArray[np.uint8]


def draw_crops(told: str, count: int) -> list[Picture]:
    """Decode some crops of FOLDER, or of FOLDER:IDS those of the people of an id list."""
    folder, _, ids = told.partition(":")
    records = scan(folder)
    if ids:
        wanted = read_ids(Path(ids) if Path(ids).is_file() else SPLITS / ids)
        records = [record for record in records if record.pid in wanted]
    if len(records) < 3:
        raise InputError(f"{told}: expected 3 or more crops, got {len(records)}")
    order = np.random.default_rng(0).permutation(len(records))[:count]
    return [read_crop(records[i].path) for i in sorted(order)]


def cosines(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, D) unit rows -> (N (N - 1) / 2,) of all pairs."""
    found: NDArray[np.float32] = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    return found


def agreement(pupil: NDArray[np.float32], teacher: NDArray[np.float32]) -> float:
    """Correlation of the cosines of two networks' unit rows, (N, D) and (N, E), of the same crops."""
    return float(np.corrcoef(cosines(pupil), cosines(teacher))[0, 1])


def table(found: dict[str, dict[str, float]]) -> str:
    """Models by sets as Markdown."""
    sets = list(next(iter(found.values())))
    lines = [f"| | {' | '.join(sets)} |", "|---|" + "---:|" * len(sets)]
    lines += [
        f"| {model} | {' | '.join(f'{value:.2f}' for value in of.values())} |" for model, of in found.items()
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--teacher", required=True, help="name of one of the models or peers")
    parser.add_argument("--crops", nargs="+", required=True, metavar="NAME=FOLDER[:IDS]")
    parser.add_argument("--count", type=int, default=512, help="crops of each")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    pictures = {}
    for told in options.crops:
        name, _, folder = told.partition("=")
        if not folder:
            parser.error(f"--crops takes NAME=FOLDER or NAME=FOLDER:IDS, got {told}")
        pictures[name] = draw_crops(folder, options.count)
    rows: dict[str, dict[str, NDArray[np.float32]]] = {}
    for contestant in load_contestants(options.models, options.peers):
        with contestant.embedder() as embedder:
            rows[contestant.name] = {
                name: embedder.embed(images, color="rgb") for name, images in pictures.items()
            }
    if options.teacher not in rows:
        parser.error(f"no model {options.teacher}; there are {', '.join(rows)}")
    teacher = rows.pop(options.teacher)
    print(
        table(
            {model: {name: agreement(of[name], teacher[name]) for name in of} for model, of in rows.items()}
        )
    )


if __name__ == "__main__":
    main()
