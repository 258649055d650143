"""What a retraining run is told: one TOML file, read into frozen dataclasses.

Paths of crops are relative to `--data`; id lists are looked up beside the TOML file, then in `search/splits/`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from autoreid_deploy.errors import InputError
from search.network import NetworkConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SPLITS = Path(__file__).parent / "splits"
T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """One folder or CSV of crops, and whom of it to take.

    Attributes:
        path: folder or CSV, relative to `--data`.
        names: naming of the files, as `autoreid_deploy.records.scan` takes it.
        ids: an id list; only these people are taken. Empty: everybody.
        name: what a model card calls the set.
        terms: what its licence allows, for the model card.
    """

    path: str = "."
    names: str = "auto"
    ids: str = ""
    name: str = ""
    terms: str = ""


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        epochs: passes over the crops.
        people: P, people a batch.
        shots: K, crops a person in a batch.
        lr: peak learning rate of SGD with Nesterov momentum.
        momentum: of SGD.
        weight_decay: on the weights of convolutions and linear layers.
        warmup: epochs of linear warm-up before the cosine.
        label_smoothing: of the cross-entropy.
        margin: of the batch-hard triplet loss, in the feature's own Euclidean distance.
        triplet_weight: of the triplet loss beside the cross-entropy.
        flip: probability of a mirrored crop.
        pad: pixels of zero padding before a random crop back to size.
        jitter: largest relative change of brightness, contrast and saturation.
        erase: probability of an erased rectangle (arXiv 1708.04896).
        ema: decay of the averaged weights, which are validated and exported.
        precision: `auto` (bf16 where the processor computes in it, else float32), `bf16` or `float32`.
        val_every: epochs between validations.
        seed: of the order of the data, the augmentation and the initial weights.
    """

    epochs: int = 60
    people: int = 16
    shots: int = 4
    lr: float = 0.065
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 3.0
    label_smoothing: float = 0.1
    margin: float = 0.3
    triplet_weight: float = 1.0
    flip: float = 0.5
    pad: int = 5
    jitter: float = 0.2
    erase: float = 0.4
    ema: float = 0.999
    precision: str = "auto"
    val_every: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.people < 2 or self.shots < 2:
            raise InputError(
                f"recipe: a triplet needs 2 or more people and shots, got {self.people} and {self.shots}"
            )
        if self.precision not in ("auto", "bf16", "float32"):
            raise InputError(f"recipe: precision is auto, bf16 or float32, got {self.precision!r}")
        if self.epochs < 1 or self.val_every < 1:
            raise InputError("recipe: epochs and val_every are 1 or more")


@dataclass(frozen=True)
class RunConfig:
    """A whole run."""

    name: str = "model"
    genotype: str = "auto_reid_2019"
    terms: str = ""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    recipe: Recipe = field(default_factory=Recipe)
    train: tuple[Source, ...] = (Source(),)
    val: tuple[Source, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, so that a checkpoint can be read without running code."""
        plain = asdict(self)
        plain["network"]["cells"] = list(self.network.cells)
        plain["train"], plain["val"] = [list(map(asdict, side)) for side in (self.train, self.val)]
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], where: str = "config") -> RunConfig:
        """Read plain types.

        Raises:
            InputError: an unknown key (the closest known one is named), a wrong type or an impossible value.
        """
        values = dict(plain)
        for key, kind in (("network", NetworkConfig), ("recipe", Recipe)):
            values[key] = _build(kind, values.get(key, {}), f"{where}: [{key}]")
        for key in ("train", "val"):
            if key in values:
                rows = values[key]
                if not isinstance(rows, list | tuple):
                    raise InputError(f"{where}: expected [[{key}]] tables, got {rows!r}")
                values[key] = tuple(_build(Source, row, f"{where}: [[{key}]]") for row in rows)
        return _build(cls, values, where)


def load_config(path: str | Path) -> RunConfig:
    """Read a run's TOML file.

    Raises:
        InputError: the file is missing, is no TOML, or holds what `RunConfig.from_dict` refuses.
    """
    try:
        plain = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: expected a TOML file; {error}") from error
    return RunConfig.from_dict(plain, str(path))


def find_ids(name: str, beside: Path) -> Path:
    """Find an id list beside the configuration or among the bundled splits."""
    for folder in (beside, SPLITS):
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"no id list {name!r}: looked in {beside} and {SPLITS}")


def _build(kind: type[T], values: Any, where: str) -> T:
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected a table, got {values!r}")
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise InputError(f"{where}: unknown key {key!r}; {hint}")
        checked[key] = _convert(value, hints[key], f"{where}: {key}")
    return kind(**checked)


def _convert(value: Any, hint: Any, where: str) -> Any:
    """Check a scalar's type and turn a list into the tuple that a frozen dataclass holds."""
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float, str) and (not isinstance(value, hint) or isinstance(value, bool)):
        raise InputError(f"{where}: expected {hint.__name__}, got {value!r}")
    if isinstance(value, list):
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in value):
            raise InputError(f"{where}: expected a list of integers, got {value!r}")
        return tuple(value)
    return value
