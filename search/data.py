"""Labelled crops: which there are, and their pixels, decoded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import CropError, InputError
from autoreid_deploy.records import DISTRACTOR, JUNK, Record, read_ids, scan
from search.config import Source, find_ids, first_of_same_people
from search.pixels import Failures, Images, Pixels, Tick, read_crops


@dataclass(frozen=True, slots=True)
class Labelled:
    """A crop of a known person.

    Attributes:
        source: position of its source in the configuration; people of two sources are the same only if it says so.
        folder: the source's folder or CSV.
        record: the crop.
        people: the name that sources of the same people share, if there is one.
        first: position of the first source that shows these people; None for `source` itself.
        tracked: its tracklet stands for a person who is not known.
    """

    source: int
    folder: Path
    record: Record
    people: str = ""
    first: int | None = None
    tracked: bool = False

    @property
    def person(self) -> tuple[int, str]:
        """Who it is, over all sources."""
        who = (self.source if self.first is None else self.first), str(self.record.pid)
        return (who[0], f"tracklet {self.record.tracklet} of {self.record.camid}") if self.tracked else who


@dataclass(frozen=True)
class Crops:
    """The crops of one or more sources.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        labels: (N,) int64, people numbered from 0 over all sources.
        records: N records.
        origins: (N,) int64, which source each came from.
        failures: crops that could not be read, and why; they are not among the N.
    """

    images: Images
    labels: NDArray[np.int64]
    records: tuple[Record, ...]
    origins: NDArray[np.int64]
    failures: tuple[CropError, ...] = ()

    @property
    def people(self) -> int:
        """How many people there are."""
        return int(self.labels.max()) + 1

    def cameras(self) -> NDArray[np.int64]:
        """(N,) which camera took each crop, numbered from 0; crops without one are of one camera."""
        names = [str(record.camid) for record in self.records]
        return np.unique(names, return_inverse=True)[1].astype(np.int64)

    def count(self, source: int) -> dict[str, int]:
        """People and crops of one source."""
        labels = self.labels[self.origins == source]
        return {"people": len(np.unique(labels)), "crops": len(labels)}


def list_crops(sources: Sequence[Source], root: Path, beside: Path) -> list[Labelled]:
    """List the crops of all sources; junk, distractors and people without a name teach nothing and are left out.

    Args:
        sources: what to take.
        root: where the sources' paths start.
        beside: where id lists are looked up first.

    Raises:
        InputError: nothing is there, no name tells a person, nobody of an id list is among them, or a crop of tracklets
            has none.
    """
    return [
        Labelled(i, root / source.path, record, source.people, first, source.tracklets)
        for i, (source, first) in enumerate(zip(sources, first_of_same_people(sources), strict=True))
        for record in _records(source, root, beside)
    ]


def _records(source: Source, root: Path, beside: Path) -> list[Record]:
    folder = root / source.path
    if source.tracklets:
        return [_tracked(record, folder) for record in scan(folder, names=source.names)]
    known = [r for r in scan(folder, names=source.names) if r.pid not in (None, JUNK, DISTRACTOR)]
    if not known:
        raise InputError(
            f"{folder}: no crop names a person; expected PPPP_cC...jpg (Market), CUHK01 or CUHK03 names, "
            "or a CSV with path,pid,camid"
        )
    if not source.ids:
        return known
    wanted = read_ids(find_ids(source.ids, beside))
    kept = [record for record in known if record.pid in wanted]
    if not kept:
        raise InputError(f"{folder}: none of the {len(wanted)} people of {source.ids} is among the crops")
    return kept


def _tracked(record: Record, folder: Path) -> Record:
    """A crop of a tracklet; in a folder, `CAMERA/TRACKLET/` says which, or `TRACKLET/` alone."""
    if record.tracklet is not None:
        return record
    inside = record.path.relative_to(folder).parent if folder.is_dir() else Path()
    if inside == Path():
        raise InputError(
            f"{record.path}: expected a crop of a tracklet; give a CSV with path,camid,time,tracklet, or a folder "
            "of CAMERA/TRACKLET/ folders"
        )
    camera = record.camid if inside.parent == Path() else inside.parent.as_posix()
    return replace(record, tracklet=inside.name, camid=camera)


def refuse_known_people(train: Sequence[Labelled], val: Sequence[Labelled]) -> None:
    """Make sure that nobody is validated on whom the network learns.

    Raises:
        InputError: a person of the same folder, or of sources that say that they show the same people, is in both,
            which measures classification and not retrieval; so might the tracklets of one folder.
    """
    unnamed = {place for crop in train if crop.tracked for place in (str(crop.folder), crop.people) if place}
    if places := sorted(unnamed & {place for crop in val for place in (str(crop.folder), crop.people)}):
        raise InputError(
            "validation needs people that training has not seen, but nobody knows who is in the tracklets of "
            f"{places[0]}; validate on another folder"
        )
    learnt, asked = (
        {(place, crop.person[1]) for crop in crops for place in (str(crop.folder), crop.people) if place}
        for crops in (train, val)
    )
    if both := sorted(learnt & asked):
        raise InputError(
            f"validation needs people that training has not seen, but {len(both)} are in both, the first "
            f"{both[0][1]} of {both[0][0]}; give each side an id list of its own (ids = ...)"
        )


def split_crops(
    listed: Sequence[Labelled], share: float, seed: int, *, by_person: bool = True
) -> tuple[list[Labelled], list[Labelled]]:
    """Divide crops between the weights and the alphas of a search.

    Args:
        listed: crops.
        share: of the people (or of each person's crops) for the second side.
        seed: of the draw.
        by_person: nobody is on both sides; else everybody with two or more crops is, as in published searches.

    Raises:
        InputError: a side would stay empty.
    """
    rng = np.random.default_rng([seed, 4])
    if by_person:
        people = sorted({crop.person for crop in listed})
        second = {people[i] for i in rng.permutation(len(people))[: round(share * len(people))]}
        goes = [crop.person in second for crop in listed]
    else:
        goes = _some_of_each(listed, share, rng)
    sides = (
        [crop for crop, there in zip(listed, goes, strict=True) if not there],
        [crop for crop, there in zip(listed, goes, strict=True) if there],
    )
    if not all(sides):
        raise InputError(f"{len(listed)} crops cannot be split by {share} into two sides; give more people")
    return sides


def _some_of_each(listed: Sequence[Labelled], share: float, rng: np.random.Generator) -> list[bool]:
    """Which crops go to the second side: of each person the share, but neither none nor all of them."""
    own: dict[tuple[int, str], list[int]] = {}
    for i, crop in enumerate(listed):
        own.setdefault(crop.person, []).append(i)
    goes = [False] * len(listed)
    for crops in own.values():
        count = min(max(round(share * len(crops)), 1), len(crops) - 1)
        for i in rng.permutation(crops)[:count]:
            goes[i] = True
    return goes


def load_crops(
    listed: Sequence[Labelled],
    size: tuple[int, int],
    *,
    strict: bool = False,
    cache: Path | None = None,
    tick: Tick = lambda count: None,
) -> Crops:
    """Decode and resize crops.

    Args:
        listed: what to load.
        size: (height, width) in pixels.
        strict: refuse the first unreadable crop instead of leaving it out.
        cache: folder that keeps decoded crops, a file a source; None decodes into memory.
        tick: called with the number of crops that were read since the last call.

    Raises:
        CropError: with `strict`, a crop can't be read.
        InputError: none can.
    """
    images, failures = _read(listed, size, strict, cache, tick)
    kept = [i for i in range(len(listed)) if i not in failures]
    if not kept:
        raise InputError(f"none of {len(listed)} crops can be read; the first: {failures[0]}")
    items = [listed[i] for i in kept]
    numbers = {person: i for i, person in enumerate(sorted({item.person for item in items}))}
    return Crops(
        images=images.take(kept),
        labels=np.array([numbers[item.person] for item in items], np.int64),
        records=tuple(item.record for item in items),
        origins=np.array([item.source for item in items], np.int64),
        failures=tuple(failures[i] for i in sorted(failures)),
    )


def _read(
    listed: Sequence[Labelled], size: tuple[int, int], strict: bool, cache: Path | None, tick: Tick
) -> tuple[Pixels, Failures]:
    """Read each source's crops, or map its file of decoded ones."""
    numbers, block = np.unique([item.source for item in listed], return_inverse=True)
    blocks: list[NDArray[np.uint8]] = []
    failures: Failures = {}
    row = np.empty(len(listed), np.int64)
    for number in range(len(numbers)):
        places = np.flatnonzero(block == number).tolist()
        images, failed = read_crops([listed[i].record.path for i in places], size, cache, tick, strict=strict)
        blocks.append(images)
        row[places] = np.arange(len(places))
        failures |= {places[i]: error for i, error in failed.items()}
    return Pixels(tuple(blocks), block.astype(np.int64), row), failures
