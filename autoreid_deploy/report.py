"""Ranked answers to look at: a contact sheet (PNG) and a page (HTML), each one file.

A green frame means that the hit is known to show the query's person, red that it is known to show another,
grey that nobody knows.
"""

import base64
import contextlib
import html
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from autoreid_deploy.crops import read_crop
from autoreid_deploy.errors import CropError, InputError
from autoreid_deploy.gallery import Hit
from autoreid_deploy.records import DISTRACTOR, JUNK, Record

Image = NDArray[np.uint8]
Color = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """A query and its hits, closest first."""

    query: Record
    hits: Sequence[Hit]


def verdict(query: Record, hit: Record) -> str:
    """Say `same`, `other` or `unknown`, as far as the two records know their persons.

    >>> verdict(Record(Path("a.jpg"), "7"), Record(Path("b.jpg"), "7"))
    'same'
    """
    # A distractor is a wrong answer for everybody; a junk box shows nobody in full.
    if query.pid in (None, JUNK, DISTRACTOR) or hit.pid in (None, JUNK):
        return "unknown"
    return "same" if query.pid == hit.pid else "other"


# The sheet. Lengths in pixels, colours as RGB.
_WIDTH, _HEIGHT = 144, 288
_FRAME, _GAP, _MARGIN, _CAPTION = 5, 16, 28, 66
_STEP = _WIDTH + 2 * _FRAME + _GAP
_LINE = _HEIGHT + 2 * _FRAME + _CAPTION + _GAP
_PER_LINE = 10
_MAX_PIXELS = 2**28
_INK, _PALE, _PAPER, _RULE = (28, 28, 30), (120, 120, 126), (255, 255, 255), (222, 222, 226)
_FRAMES: dict[str, Color] = {
    "query": (60, 90, 200),
    "same": (34, 150, 76),
    "other": (206, 54, 44),
    "unknown": (170, 170, 176),
}


def contact_sheet(answers: Sequence[Answer], path: str | Path) -> None:
    """Draw one row for each query, the query on the left and its hits beside it, as a PNG.

    Args:
        answers: at least one.
        path: where to write; replaced in one step.

    Raises:
        InputError: there is no answer, there are too many for one picture, or it can't be written.
    """
    longest = max((len(answer.hits) for answer in answers), default=0)
    lines = [-(-max(1, len(answer.hits)) // _PER_LINE) for answer in answers]
    height = sum(lines) * _LINE + 2 * _MARGIN - _GAP
    width = (1 + min(longest, _PER_LINE)) * _STEP + 2 * _MARGIN
    if not answers or height * width > _MAX_PIXELS:
        raise InputError(f"a sheet can't show {len(answers)} queries; write a page instead (--html)")
    sheet = np.full((height, width, 3), _PAPER, np.uint8)
    top = _MARGIN
    for answer, count in zip(answers, lines, strict=True):
        if top > _MARGIN:
            cv2.line(sheet, (_MARGIN, top - _GAP), (width - _MARGIN, top - _GAP), _RULE, 1)
        _draw_answer(sheet, answer, top)
        top += count * _LINE
    _write(Path(path), _encode(sheet, ".png"))


def _draw_answer(sheet: Image, answer: Answer, top: int) -> None:
    query = answer.query
    _draw_tile(sheet, query, _MARGIN, top, "query", ("query", ""))
    for number, hit in enumerate(answer.hits):
        line, column = divmod(number, _PER_LINE)
        left = _MARGIN + _GAP + (1 + column) * _STEP
        title = (str(hit.rank), f"{hit.distance:.3f}")
        _draw_tile(sheet, hit.record, left, top + line * _LINE, verdict(query, hit.record), title)


def _draw_tile(sheet: Image, record: Record, left: int, top: int, kind: str, title: tuple[str, str]) -> None:
    """Draw one crop in its frame, and under it rank and distance, person and camera, and the file's name."""
    outer = (left, top, _WIDTH + 2 * _FRAME, _HEIGHT + 2 * _FRAME)
    cv2.rectangle(sheet, outer, _FRAMES[kind], -1)
    inner = sheet[top + _FRAME :, left + _FRAME :][:_HEIGHT, :_WIDTH]
    try:
        inner[:] = _fit(read_crop(record.path))
    except CropError as error:
        inner[:] = _RULE
        for number, words in enumerate(_wrap(error.reason, _WIDTH - 20, 0.4)):
            _write_text(inner, words, (10, 130 + 18 * number), 0.4, _PALE)
    baseline = top + _HEIGHT + 2 * _FRAME + 20
    _write_pair(sheet, title, (left, baseline), 0.52, bold=True)
    who = (f"person {record.pid}" if record.pid else "", f"cam {record.camid}" if record.camid else "")
    if any(who):
        baseline += 19
        _write_pair(sheet, who, (left, baseline), 0.42)
    _write_text(sheet, _shorten(record.path.name, _WIDTH, 0.38), (left, baseline + 18), 0.38, _PALE)


def _write_pair(
    sheet: Image, pair: tuple[str, str], place: tuple[int, int], scale: float, *, bold: bool = False
) -> None:
    """Write one text at the tile's left end and one at its right end."""
    left, baseline = place
    room = _WIDTH + 2 * _FRAME
    end = _shorten(pair[1], room // 2, scale)
    width = _text_width(end, scale)
    _write_text(sheet, _shorten(pair[0], room - width - 8, scale), place, scale, _INK, bold=bold)
    _write_text(sheet, end, (left + room - width, baseline), scale, _INK)


def _who(record: Record) -> str:
    person = f"person {record.pid}" if record.pid else ""
    camera = f"camera {record.camid}" if record.camid else ""
    return ", ".join(filter(None, [person, camera]))


def _fit(crop: Image) -> Image:
    """Scale a crop into the tile, keeping its shape, on a grey ground."""
    height, width = crop.shape[:2]
    scale = min(_HEIGHT / height, _WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(crop, size, interpolation=method)
    tile = np.full((_HEIGHT, _WIDTH, 3), _RULE, np.uint8)
    top, left = (_HEIGHT - size[1]) // 2, (_WIDTH - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile


def _text_width(text: str, scale: float) -> int:
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0])


def _write_text(
    image: Image, text: str, place: tuple[int, int], scale: float, color: Color, *, bold: bool = False
) -> None:
    # OpenCV 5 takes a TrueType font under this name; 4 draws strokes and knows ASCII only.
    weight = 2 if bold else 1
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, color, weight, cv2.LINE_AA)


def _shorten(text: str, width: int, scale: float) -> str:
    """Cut the middle out of a text that is too wide: a name's ends tell most."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    keep = len(text)
    short = text
    while keep > 4 and _text_width(short, scale) > width:
        keep -= 1
        short = f"{text[: keep // 2]}..{text[len(text) - (keep - keep // 2) :]}"
    return short


def _wrap(text: str, width: int, scale: float) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and _text_width(f"{line} {word}", scale) > width:
            yield line
            line = ""
        line = f"{line} {word}".strip()
    yield line


# The page.
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1e; --pale: #6b6b70; --paper: #fff; --card: #f4f4f6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececee; --pale: #a0a0a6; --paper: #161618; --card: #222225; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem; max-width: 100rem; color: var(--ink);
  background: var(--paper); font: 15px/1.4 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
.legend { color: var(--pale); margin: 0 0 2rem; }
.legend span { border-bottom-style: solid; border-bottom-width: 4px; margin-right: 1rem; }
section { display: grid; grid-template-columns: 10.5rem 1fr; gap: 2rem; padding: 1.5rem 0;
  border-top: 1px solid color-mix(in srgb, var(--pale) 35%, transparent); }
ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); align-content: start; }
li { display: grid; }
@media (max-width: 36rem) { section { grid-template-columns: 1fr; } .query { max-width: 10.5rem; } }
figure { margin: 0; border-radius: 8px; overflow: hidden; background: var(--card); border: 4px solid; }
.query { border-color: #3c5ac8; align-self: start; }
.same { border-color: #22964c; } .other { border-color: #ce362c; } .unknown { border-color: #9a9aa2; }
img, .gone { display: block; width: 100%; aspect-ratio: 1 / 2; object-fit: contain; }
.gone { display: grid; place-content: center; text-align: center; padding: 1rem; color: var(--pale); }
figcaption { padding: .5rem .6rem .6rem; color: var(--ink); }
.title { display: flex; justify-content: space-between; font-variant-numeric: tabular-nums; }
.path { color: var(--pale); font-size: .8rem; overflow-wrap: anywhere; }
"""
_LEGEND = (
    '<p class="legend"><span class="same">same person</span> <span class="other">another person</span> '
    '<span class="unknown">not known</span> distance = 1 − cosine, from 0 (alike) to 2</p>'
)
_MARKS = {"same": " ✓", "other": " ✗", "unknown": ""}


def html_page(answers: Sequence[Answer], path: str | Path) -> None:
    """Write one page that holds everything: crops, style, no script.

    Args:
        answers: any number.
        path: where to write; replaced in one step.

    Raises:
        InputError: the page can't be written.
    """
    sections = "\n".join(map(_section, answers))
    page = (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Ranked persons</title>\n<style>{_STYLE}</style>\n"
        f"<h1>Ranked persons</h1>\n{_LEGEND}\n{sections}\n</html>\n"
    )
    _write(Path(path), page.encode("utf-8", "replace"))


def _section(answer: Answer) -> str:
    items = []
    for hit in answer.hits:
        kind = verdict(answer.query, hit.record)
        title = f"<b>{hit.rank}{_MARKS[kind]}</b><span>{hit.distance:.3f}</span>"
        items.append(f"<li>{_figure(hit.record, kind, title)}</li>")
    query = _figure(answer.query, "query", "<b>query</b>")
    return f"<section>{query}<ol>\n" + "\n".join(items) + "\n</ol></section>"


def _figure(record: Record, kind: str, title: str) -> str:
    name = html.escape(record.path.name)
    try:
        source = base64.b64encode(_encode(_fit(read_crop(record.path)), ".jpg")).decode()
        picture = f'<img loading="lazy" alt="{name}" src="data:image/jpeg;base64,{source}">'
    except CropError as error:
        picture = f'<div class="gone">{html.escape(error.reason)}</div>'
    return (
        f'<figure class="{kind}" title="{html.escape(str(record.path))}">{picture}<figcaption>'
        f'<div class="title">{title}</div><div>{html.escape(_who(record))}</div>'
        f'<div class="path">{name}</div></figcaption></figure>'
    )


def _encode(image: Image, suffix: str) -> bytes:
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError as error:
        raise InputError(f"{path}: can't be written: {(error.strerror or str(error)).lower()}") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
