"""What a model file says about itself, and which models come with the package.

The contract: input `images`, uint8 (batch, height, width, 3), RGB; output `embeddings`, float32 (batch, dim),
unit rows. Scaling, mean, deviation and the L2 norm are inside the graph; all else that a user must know is in
the metadata, so a model is one file and nothing is guessed from its name.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from autoreid_deploy.errors import ModelError

FORMAT = "autoreid/1"
DEFAULT_MODEL = "autoreid-s"


@dataclass(frozen=True)
class ModelSpec:
    """What a model file's metadata hold.

    Attributes:
        name: the model's name, such as "autoreid-s".
        height: of the input, in pixels.
        width: of the input, in pixels.
        dim: length of an embedding.
        genotype: the searched cells; empty when unknown.
        training: `data`, a list of name, people, crops and terms, and `recipe`.
        terms: what the weights may be used for, in one line.
        metrics: data set -> figures and the protocol they were measured with.
        calibration: distance -> probability table; empty until there is one.
    """

    name: str
    height: int
    width: int
    dim: int
    genotype: Mapping[str, Any]
    training: Mapping[str, Any]
    terms: str
    metrics: Mapping[str, Any]
    calibration: Mapping[str, Any]

    def to_metadata(self) -> dict[str, str]:
        """Write the ONNX `metadata_props`: names and sizes as plain text, tables as JSON.

        >>> spec = ModelSpec("tiny", 128, 64, 16, {}, {}, "research only", {}, {})
        >>> spec.to_metadata()["format"], ModelSpec.from_metadata(spec.to_metadata(), "tiny.onnx") == spec
        ('autoreid/1', True)
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        texts = {key: v if isinstance(v, str) else json.dumps(v, sort_keys=True) for key, v in values.items()}
        return {"format": FORMAT, **texts}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], source: str) -> "ModelSpec":
        """Read what `to_metadata` wrote; keys of others are left alone.

        Args:
            metadata: key -> text, as ONNX Runtime gives it.
            source: the file, for the error.

        Raises:
            ModelError: a key is missing or its value is not what it should be.
        """
        expected = ("format", *(field.name for field in fields(cls)))
        missing = [key for key in expected if key not in metadata]
        if missing:
            raise ModelError(
                f"{source}: not an autoreid model: its metadata should hold {', '.join(expected)}, "
                f"but lack {', '.join(missing)}; write the file with python -m export"
            )
        if metadata["format"] != FORMAT:
            raise ModelError(f"{source}: expected format {FORMAT}, the file says {metadata['format']!r}")
        return cls(
            name=metadata["name"],
            height=_positive(metadata, "height", source),
            width=_positive(metadata, "width", source),
            dim=_positive(metadata, "dim", source),
            genotype=_table(metadata, "genotype", source),
            training=_table(metadata, "training", source),
            terms=metadata["terms"],
            metrics=_table(metadata, "metrics", source),
            calibration=_table(metadata, "calibration", source),
        )


def bundled_models() -> dict[str, Path]:
    """List the models that come with the package, by name."""
    folder = Path(str(files("autoreid_deploy").joinpath("models")))
    return {path.stem: path for path in sorted(folder.glob("*.onnx"), key=lambda path: path.stem)}


def find_model(name_or_path: str | Path) -> Path:
    """Find a bundled model by its name, or a file by its path.

    Raises:
        ModelError: there is neither; names what is bundled and what comes closest.
    """
    bundled = bundled_models()
    if str(name_or_path) in bundled:
        return bundled[str(name_or_path)]
    path = Path(name_or_path)
    if path.is_file():
        return path
    closest = difflib.get_close_matches(str(name_or_path), bundled, n=1)
    hint = f"; did you mean {closest[0]}?" if closest else ""
    raise ModelError(
        f"no model {str(name_or_path)!r}: neither a file nor one of the bundled models "
        f"({', '.join(bundled) or 'none'}){hint}"
    )


def model_id(name: str, path: Path) -> str:
    """Tell models apart by their content: `name@` and the first 12 hex digits of the file's SHA-256."""
    return f"{name}@{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def _positive(metadata: Mapping[str, str], key: str, source: str) -> int:
    text = metadata[key]
    if not (text.isdecimal() and int(text) > 0):
        raise ModelError(f"{source}: metadata {key!r} should be a positive whole number, is {text!r}")
    return int(text)


def _table(metadata: Mapping[str, str], key: str, source: str) -> dict[str, Any]:
    try:
        table = json.loads(metadata[key])
    except ValueError as error:
        raise ModelError(f"{source}: metadata {key!r} should be a JSON object: {error}") from error
    if not isinstance(table, dict):
        raise ModelError(f"{source}: metadata {key!r} should be a JSON object, is {metadata[key][:40]!r}")
    return table
