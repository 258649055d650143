"""What a retraining run is told: one TOML file, read into frozen dataclasses.

Paths of crops are relative to `--data`; id lists are looked up beside the TOML file, then in
`search/splits/`. docs/training.md lists every key.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from autoreid_deploy.errors import InputError
from search.network import NetworkConfig
from search.recipe import Recipe, check_limits

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from typing_extensions import Self

SPLITS = Path(__file__).parent / "splits"
T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True)
class Source:
    """One folder or CSV of crops, and whom of it to take.

    Attributes:
        path: folder or CSV, relative to `--data`.
        names: naming of the files, as `autoreid_deploy.records.scan` takes it.
        ids: an id list; only these people are taken. Empty: everybody.
        people: sources of one name show the same people under the same ids. Empty: people of its own.
        share: of the people of a batch; sources with 0 have together what is left.
        tracklets: nobody's name is known: each tracklet is somebody of its camera (`search/rivals.py`).
        name: what a model card calls the set.
        terms: what its licence allows, for the model card.
    """

    path: str = "."
    names: str = "auto"
    ids: str = ""
    people: str = ""
    share: float = 0.0
    tracklets: bool = False
    name: str = ""
    terms: str = ""

    def __post_init__(self) -> None:
        check_limits(self, {"share": (0, 1)}, f"source {self.path}")
        if self.tracklets and self.ids:
            raise InputError(f"source {self.path}: tracklets have no names, so ids cannot choose among them")


@dataclass(frozen=True)
class Teacher:
    """Who teaches beside the labels.

    Attributes:
        rows: files of `python -m search teach`, one a teacher, relative to `--data`; none: nobody teaches.
        cosine: weight of the distance to the teacher's rows through a linear map.
        similarity: weight of the difference between what is alike to pupil and teacher.
        centred: take from each row what is common to the rows of its camera.
        gathered: how far each row is drawn to the mean of its person's rows, 0 to 1.
        name: what a model card calls the teachers.
        terms: what their licences allow, for the model card.
    """

    rows: tuple[str, ...] = ()
    cosine: float = 1.0
    similarity: float = 1.0
    centred: bool = False
    gathered: float = 0.0
    name: str = ""
    terms: str = ""

    def __post_init__(self) -> None:
        limits = {"cosine": (0, math.inf), "similarity": (0, math.inf), "gathered": (0, 1)}
        check_limits(self, limits, "teacher")


def first_of_same_people(sources: Sequence[Source]) -> list[int]:
    """For each source, the position of the first one that shows the same people: mostly its own."""
    seen: dict[str, int] = {}
    return [seen.setdefault(s.people, i) if s.people else i for i, s in enumerate(sources)]


@dataclass(frozen=True)
class RunConfig:
    """A whole run.

    Attributes:
        name: of the run's folder and of the exported model.
        genotype: a bundled name or the path of a JSON file.
        terms: what the trained weights may be used for, one line.
        network: all but the cells.
        recipe: how to train.
        teacher: who teaches beside the labels.
        train: crops to learn from.
        val: crops of other people to be scored by; may be empty.
    """

    name: str = "model"
    genotype: str = "auto_reid_2019"
    terms: str = ""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    recipe: Recipe = field(default_factory=Recipe)
    teacher: Teacher = field(default_factory=Teacher)
    train: tuple[Source, ...] = (Source(),)
    val: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        if Path(self.name).name != self.name:
            raise InputError(f"name: expected a plain name, which a folder and a file get, got {self.name!r}")
        if not self.train:
            raise InputError("expected one or more [[train]] tables, got none")
        if unnamed := [source.path for source in self.val if source.tracklets]:
            raise InputError(f"val: {unnamed[0]}: tracklets have no names, so nobody can be scored by them")
        for source, first in zip(self.train, first_of_same_people(self.train), strict=True):
            if source.share != self.train[first].share:
                raise InputError(
                    f"train: sources of people {source.people!r} need one share, which counts once"
                )

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
    def load(cls, path: str | Path, told: Mapping[str, Any] | None = None) -> Self:
        """Read a run's TOML file.

        Args:
            path: the file.
            told: `genotype` and `network` of a trained network, which hold where the file is silent.

        Raises:
            InputError: the file is missing, is no TOML, or holds what `from_dict` refuses.
        """
        plain = _read_toml(path)
        if told:
            network = plain.get("network", {})
            whole = {**told["network"], **network} if isinstance(network, dict) else network
            plain = {"genotype": told["genotype"], **plain, "network": whole}
        return cls.from_dict(plain, str(path))


def load_table(kind: type[T], path: str | Path) -> T:
    """Read a TOML file without tables as a dataclass.

    Raises:
        InputError: the file is missing, is no TOML, or holds an unknown key, a wrong type or an impossible value.
    """
    return _build(kind, _read_toml(path), str(path))


def load_config(path: str | Path, told: Mapping[str, Any] | None = None) -> RunConfig:
    """Read a retraining's TOML file; see `RunConfig.load`."""
    return RunConfig.load(path, told)


def run_name(path: str | Path) -> str:
    """The name that a run's TOML file gives it, which is known before the shape of its network is.

    Raises:
        InputError: the file is missing, is no TOML, or its name is none.
    """
    return RunConfig.from_dict(
        {key: value for key, value in _read_toml(path).items() if key == "name"}, str(path)
    ).name


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
    if hint in (bool, int, float, str) and type(value) is not hint:
        raise InputError(f"{where}: expected {hint.__name__}, got {value!r}")
    for item_type, plural in ((int, "integers"), (str, "names")):
        if hint == tuple[item_type, ...]:  # type: ignore[valid-type]
            if not isinstance(value, list | tuple) or not all(type(item) is item_type for item in value):
                raise InputError(f"{where}: expected a list of {plural}, got {value!r}")
            return tuple(value)
    return value  # a table, built already
