"""Does a smaller number format pay? A model's file as it is, in bf16, and in 8-bit integers: time, size and accuracy.

    python -m benchmarks.exports autoreid-s --market DATA/market [--crops 512] [--json FILE]

* float32: the file in ONNX Runtime.
* bf16: the same file in OpenVINO (`--device openvino`), on a processor that computes in it.
* int8: ONNX Runtime's static quantisation (QDQ, weights by channel), its ranges learnt from `--crops` training crops of
  market-heldout; normalisation, attention and the L2 norm stay in float32.

Times are the network's alone, processor time on one thread, the median of rounds in which all take turns; accuracy is
that of market-heldout `val`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from autoreid_deploy.crops import read_crop, resize_crop
from autoreid_deploy.embedder import Embedder
from autoreid_deploy.errors import MissingExtraError
from autoreid_deploy.model import find_model, model_id
from autoreid_deploy.openvino_session import OpenVinoSession
from autoreid_deploy.records import read_ids, scan
from autoreid_deploy.session import ModelSession, Session
from benchmarks.contestants import SPLITS, median_ms
from benchmarks.models import Pictures, describe_machine, read_market, score_market

BATCHES = (1, 8)
_QUANTISED = ("Conv", "Relu", "Add", "MaxPool", "Concat")
_AT_ONCE = 8


class Batches(CalibrationDataReader):  # type: ignore[misc]
    """Crops as a quantisation asks for them."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._left = iter(np.array_split(images, -(-len(images) // _AT_ONCE)))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next batch, None at the end."""
        images = next(self._left, None)
        return None if images is None else {"images": images}


def training_crops(market: Path, count: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw crops of the people of `train`: (count, height, width, 3), RGB."""
    ids = read_ids(SPLITS / "market1501_train_ids.txt")
    records = [record for record in scan(market, names="market") if record.pid in ids]
    drawn = np.random.default_rng(0).permutation(len(records))[:count]
    return np.stack([resize_crop(read_crop(records[i].path), *size) for i in drawn])


def quantise(path: Path, images: NDArray[np.uint8], out: Path) -> None:
    """Write a model in 8-bit integers, as far as it goes, with the metadata of the original."""
    plain = out.with_name(f"plain-{out.name}")
    quant_pre_process(path, plain, skip_symbolic_shape=True)
    quantize_static(
        plain,
        out,
        Batches(images),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(_QUANTISED),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    made = onnx.load(out)
    del made.metadata_props[:]
    onnx.helper.set_model_props(made, {prop.key: prop.value for prop in onnx.load(path).metadata_props})
    onnx.save(made, out)


def measure(path: Path, pictures: Pictures, images: NDArray[np.uint8]) -> dict[str, Any]:
    """Figures by format."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "int8.onnx"
        quantise(path, images, small)
        sessions: dict[str, Session] = {"float32": ModelSession(path, "cpu")}
        try:
            other = OpenVinoSession(path)
            sessions["bf16" if other.precision == "bf16" else "float32, OpenVINO"] = other
        except MissingExtraError:
            pass
        sessions["int8"] = ModelSession(small, "cpu")
        identity = model_id(sessions["float32"].spec.name, path)
        found: dict[str, Any] = {
            name: {
                "MB": (small if name == "int8" else path).stat().st_size / 1e6,
                "ms": {},
                **score_market(Embedder(session, identity, workers=1), pictures),
            }
            for name, session in sessions.items()
        }
        for batch in BATCHES:
            calls = [_call(session, images[:batch]) for session in sessions.values()]
            for name, ms in zip(sessions, median_ms(calls), strict=True):
                found[name]["ms"][str(batch)] = ms / batch
    return {"id": identity, "formats": found}


def _call(session: Session, images: NDArray[np.uint8]) -> Callable[[], object]:
    return lambda: session.run(images)


def table(formats: Mapping[str, Mapping[str, Any]]) -> str:
    """One row a format; a ratio is to float32, above 1 is faster."""
    lines = [
        "| format | MB | ms a crop, batch 1 | batch 8 | times as fast, batch 1 | batch 8 | rank-1 | mAP |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in formats.items():
        ms = [row["ms"][str(batch)] for batch in BATCHES]
        ratios = [formats["float32"]["ms"][str(batch)] / row["ms"][str(batch)] for batch in BATCHES]
        cells = [f"{row['MB']:.1f}", *(f"{value:.2f}" for value in (*ms, *ratios))]
        cells += [f"{100 * row[key]:.2f}" for key in ("rank1", "mAP")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a bundled model's name, or a file")
    parser.add_argument("--market", type=Path, required=True, help="Market-1501's bounding_box_train")
    parser.add_argument("--crops", type=int, default=512, help="that int8's ranges are learnt from")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args(arguments)
    path = find_model(options.model)
    spec = ModelSession(path, "cpu").spec
    images = training_crops(options.market, options.crops, (spec.height, spec.width))
    found = {**measure(path, read_market(options.market), images), "machine": describe_machine()}
    print(f"{found['id']}\n\n{table(found['formats'])}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
