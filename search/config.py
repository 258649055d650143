"""What a retraining run is told: one TOML file, read into frozen dataclasses.

Paths of crops are relative to `--data`; id lists are looked up beside the TOML file, then in
`search/splits/`. docs/training.md lists every key.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from autoreid_deploy.errors import InputError
from search.network import NetworkConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from typing_extensions import Self

SPLITS = Path(__file__).parent / "splits"
T = TypeVar("T", bound="DataclassInstance")

# Smallest and largest value of each number of a recipe.
Limits = Mapping[str, tuple[float, float]]
_LIMITS: Limits = {
    "epochs": (1, math.inf),
    "people": (2, math.inf),  # a triplet needs two people, and two crops of one
    "shots": (2, math.inf),
    "lr": (0, math.inf),
    "momentum": (0, 1),
    "weight_decay": (0, math.inf),
    "warmup": (0, math.inf),
    "label_smoothing": (0, 1),
    "margin": (0, math.inf),
    "triplet_weight": (0, math.inf),
    "flip": (0, 1),
    "pad": (0, math.inf),
    "jitter": (0, 1),
    "erase": (0, 1),
    "ema": (0, 1),
    "val_every": (1, math.inf),
    "seed": (0, math.inf),
}


def check_limits(table: object, limits: Limits, where: str) -> None:
    """Make sure that a table's numbers lie where they can work.

    Raises:
        InputError: one does not.
    """
    for name, (low, high) in limits.items():
        value = getattr(table, name)
        if not (math.isfinite(value) and low <= value <= high):
            wanted = f"{low} or more" if high == math.inf else f"from {low} to {high}"
            raise InputError(f"{where}: {name} is {wanted}, got {value}")


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
        check_limits(self, _LIMITS, "recipe")
        if self.precision not in ("auto", "bf16", "float32"):
            raise InputError(f"recipe: precision is auto, bf16 or float32, got {self.precision!r}")


@dataclass(frozen=True)
class RunConfig:
    """A whole run.

    Attributes:
        name: of the run's folder and of the exported model.
        genotype: a bundled name or the path of a JSON file.
        terms: what the trained weights may be used for, one line.
        network: all but the cells.
        recipe: how to train.
        train: crops to learn from.
        val: crops of other people to be scored by; may be empty.
    """

    name: str = "model"
    genotype: str = "auto_reid_2019"
    terms: str = ""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    recipe: Recipe = field(default_factory=Recipe)
    train: tuple[Source, ...] = (Source(),)
    val: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        if Path(self.name).name != self.name:
            raise InputError(f"name: expected a plain name, which a folder and a file get, got {self.name!r}")
        if not self.train:
            raise InputError("expected one or more [[train]] tables, got none")

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, so that a checkpoint can be read without running code."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], where: str = "config") -> Self:
        """Read plain types.

        Raises:
            InputError: an unknown key (the closest known one is named), a wrong type or an impossible
                value.
        """
        values = dict(plain)
        for key, hint in get_type_hints(cls).items():
            if isinstance(hint, type) and is_dataclass(hint):
                values[key] = _build(hint, values.get(key, {}), f"{where}: [{key}]")
            elif hint == tuple[Source, ...] and key in values:
                rows = values[key]
                if not isinstance(rows, list | tuple):
                    raise InputError(f"{where}: expected [[{key}]] tables, got {rows!r}")
                values[key] = tuple(_build(Source, row, f"{where}: [[{key}]]") for row in rows)
        return _build(cls, values, where)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a run's TOML file.

        Raises:
            InputError: the file is missing, is no TOML, or holds what `from_dict` refuses.
        """
        return cls.from_dict(_read_toml(path), str(path))


def load_table(kind: type[T], path: str | Path) -> T:
    """Read a TOML file without tables as a dataclass.

    Raises:
        InputError: the file is missing, is no TOML, or holds an unknown key, a wrong type or an impossible value.
    """
    return _build(kind, _read_toml(path), str(path))


def load_config(path: str | Path) -> RunConfig:
    """Read a retraining's TOML file; see `RunConfig.load`."""
    return RunConfig.load(path)


def find_ids(name: str, beside: Path) -> Path:
    """Find an id list beside the configuration or among the bundled splits."""
    for folder in (beside, SPLITS):
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"no id list {name!r}: looked in {beside} and {SPLITS}")


def _read_toml(path: str | Path) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: expected a TOML file; {error}") from error


def _build(kind: type[T], values: Any, where: str) -> T:
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected a table, got {values!r}")
    known = [f.name for f in fields(kind)]
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
    """Check a value's type; a list of numbers becomes the tuple that a frozen dataclass holds."""
    if hint is float and type(value) is int:
        return float(value)
    if hint in (int, float, str) and type(value) is not hint:
        raise InputError(f"{where}: expected {hint.__name__}, got {value!r}")
    for item_type, plural in ((int, "integers"), (str, "names")):
        if hint == tuple[item_type, ...]:  # type: ignore[valid-type]
            if not isinstance(value, list | tuple) or not all(type(item) is item_type for item in value):
                raise InputError(f"{where}: expected a list of {plural}, got {value!r}")
            return tuple(value)
    return value  # a table, built already
