"""What travels between a gallery and files: a header, and crops in chunks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.gallery.store import Stamp
from autoreid_deploy.records import Record

CHUNK = 8192
FORMAT, VERSION = "autoreid-gallery", 1


@dataclass(frozen=True, slots=True)
class Header:
    """What holds for all crops of an export.

    Attributes:
        model_id: name and hash of the model that made the rows.
        model: what to load to ask them: a bundled name or a path.
        dim: length of a row.
        count: of the crops.
    """

    model_id: str
    model: str
    dim: int
    count: int

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "model_id": self.model_id,
            "model": self.model,
            "dim": self.dim,
            "count": self.count,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "Header":
        """Read the JSON form.

        Raises:
            ValueError: it is something else, or of a later version; says what came.
        """
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise ValueError("not written by reid-index export")
        if told.get("version") != VERSION:
            raise ValueError(f"of version {told.get('version')!r}, this program reads {VERSION}")
        header = cls(*(told.get(name) for name in cls.__slots__))  # type: ignore[arg-type]
        texts, numbers = (header.model_id, header.model), (header.dim, header.count)
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("without a model")
        if not all(isinstance(number, int) and number >= 0 for number in numbers) or not header.dim:
            raise ValueError("without a length of its rows and a number of crops")
        return header


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some crops.

    Attributes:
        records: C records.
        rows: (C, D) unit rows of 16-bit floats.
        stamps: C stamps.
        by_hand: C times which of `pid`, `camid` and `tracklet` were corrected by hand.
    """

    records: Sequence[Record]
    rows: NDArray[np.float16]
    stamps: Sequence[Stamp | None]
    by_hand: Sequence[tuple[str, ...]]
