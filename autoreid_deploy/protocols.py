"""Who asks and who answers: how crops are split into queries and a gallery."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.errors import InputError
from autoreid_deploy.records import DISTRACTOR, JUNK, Record

DRAWS = 10


def heldout_split(records: Sequence[Record]) -> tuple[list[int], list[int]]:
    """Let the first crop by name of each person in each camera ask, and all crops answer.

    Args:
        records: crops of the people to evaluate; junk and distractors never ask.

    Returns:
        Indices of the queries and indices of the gallery, both in the records' order.

    Raises:
        InputError: a record has no person.
    """
    first = _first_crops(records)
    return sorted(first.values()), list(range(len(records)))


def single_shot_split(records: Sequence[Record]) -> tuple[list[int], list[int]]:
    """Let one crop of each person by the first camera ask, and one by the second answer: CUHK01's protocol.

    Each crop is the first by name. Who was not seen by both cameras takes no part.

    Args:
        records: crops by two cameras.

    Returns:
        Indices of the queries and indices of the gallery, by the people's ids: pair i shows one person.

    Raises:
        InputError: a record has no person, there are not just two cameras, or nobody was seen by both.
    """
    first = _first_crops(records)
    cameras = sorted({str(camid) for _, camid in first})
    if len(cameras) != 2 or any(camid is None for _, camid in first):
        raise InputError(
            f"expected crops by two cameras for single-shot, got {len(cameras)} "
            f"({', '.join(cameras[:9])}); the protocol heldout takes any number"
        )
    people = sorted({pid for pid, camid in first if camid == cameras[0] and (pid, cameras[1]) in first})
    if not people:
        raise InputError(f"nobody was seen by both cameras, {cameras[0]} and {cameras[1]}")
    query, gallery = ([first[pid, camera] for pid in people] for camera in cameras)
    return query, gallery


def half_draws(people: int) -> list[NDArray[np.intp]]:
    """Draw half of the people ten times, always the same: as CUHK01's 485 of 971 test people are drawn.

    Args:
        people: how many there are.

    Returns:
        Ten arrays of (people // 2,) indices below `people`.
    """
    # The old generator: NumPy has frozen its stream, so the draws stay the same over the years.
    return [np.random.RandomState(seed).permutation(people)[: people // 2] for seed in range(DRAWS)]


def people_of(records: Sequence[Record]) -> list[str]:
    """Give each record's person.

    Raises:
        InputError: a record has none.
    """
    unknown = [record.path for record in records if record.pid is None]
    if unknown:
        raise InputError(
            f"{unknown[0]}: nothing tells which person this is ({len(unknown)} of {len(records)} crops); "
            "expected a name like 0002_c1_0001.jpg, or a CSV with the columns path,pid,camid"
        )
    return [record.pid for record in records if record.pid is not None]


def _first_crops(records: Sequence[Record]) -> dict[tuple[str, str | None], int]:
    """Find the first crop by name of each person in each camera."""
    people = people_of(records)
    first: dict[tuple[str, str | None], int] = {}
    for index in sorted(range(len(records)), key=lambda i: (records[i].path.name, records[i].path)):
        if people[index] not in (JUNK, DISTRACTOR):
            first.setdefault((people[index], records[index].camid), index)
    return first
