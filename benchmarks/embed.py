"""Crops per second from JPEG files to rows, against the usual script and against the session's own limit.

    python benchmarks/embed.py [--model autoreid-s] [--folder CROPS] [--crops 2000] [--repeat 5]

Contestants, all with the same weights on the CPU:

* embedder: `Embedder.load(model).embed(paths)` with its defaults.
* embedder, openvino: the same with `device="openvino"`, where that is installed.
* plain loop: the usual script, one file after the other: cv2.imread, BGR to RGB, cv2.resize, `/ 255`, minus
  the mean, by the deviation, HWC to CHW in NumPy, then `session.run` of one crop in a session with default
  options. The model contract has the normalisation inside the graph, so the script's normalised array is made
  and thrown away, and the session gets the uint8 crop; "plain loop, uint8" leaves this step out.
* session limit: as many threads as there are usable cores call one session of one thread on batches of 8 that
  lie ready in memory; no files, no decoding.

All contestants run in turn in each repetition; a ratio is taken within a repetition, its median is printed.
The last line is JSON.
"""

import argparse
import datetime
import itertools
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

from autoreid_deploy.crops import find_crops, read_crop, resize_crop
from autoreid_deploy.embedder import Embedder
from autoreid_deploy.errors import MissingExtraError
from autoreid_deploy.model import find_model
from autoreid_deploy.session import ModelSession

BATCH = 8
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
Contestant = Callable[[], object]


def draw_crops(folder: Path, count: int) -> list[Path]:
    """Draw 64x128 JPEGs of about the size in bytes that surveillance crops have."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:05d}.jpg" for number in range(count)]
    for path in paths:
        image = cv2.resize(
            rng.integers(60, 200, (16, 8, 3), np.uint8), (64, 128), interpolation=cv2.INTER_CUBIC
        )
        cv2.circle(image, (32, 16), 10, rng.integers(0, 256, 3).tolist(), -1)
        cv2.rectangle(image, (18, 28), (46, 70), rng.integers(0, 256, 3).tolist(), -1)
        cv2.rectangle(image, (21, 70), (43, 124), rng.integers(0, 256, 3).tolist(), -1)
        noisy = cv2.add(image, rng.integers(0, 12, image.shape, np.uint8))
        path.write_bytes(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return paths


def plain_loop(model: Path, paths: list[Path], normalise: bool) -> Contestant:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    height, width = session.get_inputs()[0].shape[1:3]

    def run() -> list[np.ndarray]:
        rows = []
        for path in paths:
            image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            image = cv2.resize(image, (width, height))
            if normalise:
                pixels = (image.astype(np.float32) / 255 - MEAN) / DEVIATION
                np.ascontiguousarray(pixels.transpose(2, 0, 1))
            rows.append(session.run(None, {"images": image[None]})[0][0])
        return rows

    return run


def session_limit(model: Path, paths: list[Path], threads: int) -> Contestant:
    session = ModelSession(model, "cpu")
    size = session.spec.height, session.spec.width
    images = np.stack([resize_crop(read_crop(path), *size) for path in paths[: 64 * BATCH]])
    ready = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    batches = list(itertools.islice(itertools.cycle(ready), -(-len(paths) // BATCH)))

    def run() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(session.run, batches))

    return run


def seconds(contestant: Contestant) -> float:
    start = time.perf_counter()
    contestant()
    return time.perf_counter() - start


def measure(model: Path, paths: list[Path], repeat: int) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0))
    embedder = Embedder.load(model)
    contestants: dict[str, Contestant] = {"embedder": lambda: embedder.embed(paths)}
    try:
        other = Embedder.load(model, device="openvino")
        contestants["embedder, openvino"] = lambda: other.embed(paths)
    except MissingExtraError:
        pass
    contestants |= {
        "plain loop": plain_loop(model, paths, normalise=True),
        "plain loop, uint8": plain_loop(model, paths, normalise=False),
        "session limit": session_limit(model, paths, cores),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for repetition in range(repeat):
        order = list(contestants) if repetition % 2 == 0 else list(reversed(contestants))
        for name in order:
            times[name].append(seconds(contestants[name]))
    single = [seconds(lambda: embedder.embed(paths[:1])) for _ in range(50)]
    return {
        "crops_per_second": {name: len(paths) / statistics.median(taken) for name, taken in times.items()},
        "embedder_as_ratio_to": {
            name: statistics.median(b / a for a, b in zip(times["embedder"], taken, strict=True))
            for name, taken in times.items()
        },
        "one_crop_ms": 1000 * statistics.median(single),
        "model": embedder.id,
        "input": [embedder.spec.height, embedder.spec.width],
        "crops": len(paths),
        "repeat": repeat,
        "cores": cores,
        "machine": platform.processor() or platform.machine(),
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
        "date": datetime.date.today().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="autoreid-s", help="bundled model or file")
    parser.add_argument("--folder", help="crops to embed; drawn ones without it")
    parser.add_argument("--crops", type=int, default=2000, help="how many crops")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = find_crops(args.folder)[: args.crops] if args.folder else draw_crops(Path(folder), args.crops)
        result = measure(find_model(args.model), paths, args.repeat)
    rates, ratios = result["crops_per_second"], result["embedder_as_ratio_to"]
    print(f"{'contestant':20} {'crops/s':>8}   embedder is x times as fast")
    for name in rates:
        print(f"{name:20} {rates[name]:8.0f}   {ratios[name]:.2f}")
    print(f"one crop, file to row: {result['one_crop_ms']:.2f} ms")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
