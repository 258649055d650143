"""A crowd to look at: one line a person, one column a camera, people who look alike below each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.crops import read_crop, resize_crop
from search.files import replacing

_HEIGHT, _GAP, _MARGIN, _TEXT = 144, 4, 12, 84  # pixels
_INK, _PALE, _PAPER, _PAIR = (28, 28, 30), (120, 120, 126), (255, 255, 255), (206, 54, 44)


def draw_sheet(
    folder: Path, rows: Sequence[Mapping[str, str]], path: Path, *, people: int = 16, cameras: int = 10
) -> None:
    """Draw some people of a crowd as a JPEG.

    Args:
        folder: where the rows' paths start.
        rows: all crops of the crowd, at least one.
        path: where to write; replaced in one step.
        people: lines.
        cameras: columns.
    """
    crops: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        crops.setdefault(row["person"], []).append(row)
    first = read_crop(folder / rows[0]["path"])
    width = round(_HEIGHT * first.shape[1] / first.shape[0])
    chosen = choose({who: own[0]["like"] for who, own in crops.items()}, people)
    sheet = np.full(
        (2 * _MARGIN + len(chosen) * (_HEIGHT + _GAP), 2 * _MARGIN + _TEXT + cameras * (width + _GAP), 3),
        _PAPER,
        np.uint8,
    )
    for line, who in enumerate(chosen):
        top = _MARGIN + line * (_HEIGHT + _GAP)
        like = crops[who][0]["like"]
        beside = line > 0 and like == chosen[line - 1]
        _write(sheet, who, (_MARGIN, top + 20), _INK)
        if like:
            _write(sheet, f"like {like}", (_MARGIN, top + 38), _PAIR if beside else _PALE)
        if beside:
            sheet[top - _HEIGHT // 2 : top + _HEIGHT // 2, _MARGIN - 8 : _MARGIN - 4] = _PAIR
        for column, row in enumerate(_spread(crops[who], cameras)):
            left = _MARGIN + _TEXT + column * (width + _GAP)
            sheet[top : top + _HEIGHT, left : left + width] = resize_crop(
                read_crop(folder / row["path"]), _HEIGHT, width
            )
    with replacing(path) as temporary:
        data = cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
        temporary.write_bytes(data.tobytes())


def choose(likes: Mapping[str, str], most: int) -> list[str]:
    """Whom to show: half of the lines for pairs who look alike, one after the other, then others, in order.

    >>> choose({"1": "", "2": "", "3": "1", "4": ""}, 3)
    ['1', '3', '2']
    """
    chosen: list[str] = []
    for who, like in likes.items():
        if len(chosen) + 2 > max(most // 2, 2):
            break
        if like and like not in chosen and who not in chosen:
            chosen += [like, who]
    others = [who for who in likes if who not in chosen]
    # From all of the crowd, not only from its first block.
    step = max(len(others) // max(most - len(chosen), 1), 1)
    return [*chosen, *others[::step]][:most]


def _spread(own: Sequence[Mapping[str, str]], most: int) -> list[Mapping[str, str]]:
    """One crop of each camera, then more, in the order of the cameras."""
    seen: dict[str, int] = {}
    turn = []
    for i, row in enumerate(own):
        seen[row["camera"]] = seen.get(row["camera"], 0) + 1
        turn.append((seen[row["camera"]], i))
    return [own[i] for i in sorted(i for _, i in sorted(turn)[:most])]


def _write(image: NDArray[np.uint8], text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
