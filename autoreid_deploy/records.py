"""A folder of crops or a CSV, read as records: which person, seen by which camera, when."""

import csv
import difflib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from io import StringIO
from pathlib import Path
from typing import TypeAlias

from autoreid_deploy.crops import find_crops
from autoreid_deploy.errors import InputError

JUNK = "-1"
"""Market's name for a box that shows nobody in full: never a query, ignored in a gallery."""
DISTRACTOR = "0000"
"""Market's name for a false detection: never a query, a wrong answer for everybody."""

COLUMNS = ("path", "pid", "camid", "time", "tracklet")
LAYOUTS = ("auto", "market", "cuhk01", "cuhk03", "plain")

Moment: TypeAlias = float | str | datetime
"""A time as `read_time` takes it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One crop and what is known about it; None where it is not.

    Attributes:
        path: the picture.
        pid: person, as written: `"0002"`. CUHK's numbers carry the set's name (`"cuhk03-0000"`), since
            CUHK03 counts from 0000, which Market gives to false detections.
        camid: camera: Market's c3 is `"3"`, CUHK's two are `"1"` and `"2"`.
        time: seconds since the epoch.
        tracklet: the sequence of one person's crops that this one belongs to.
    """

    path: Path
    pid: str | None = None
    camid: str | None = None
    time: float | None = None
    tracklet: str | None = None


def scan(source: str | Path, *, names: str = "auto") -> list[Record]:
    """List the crops of a folder, sorted by path, or of a CSV, in its order.

    Args:
        source: a folder, searched recursively, or a `.csv` file with the header
            `path,pid,camid[,time,tracklet]` whose relative paths start at the CSV's own folder.
        names: how file names tell person and camera: `market`, `cuhk01`, `cuhk03`, `plain` (they tell
            nothing) or `auto`, which takes each Market name by itself and a CUHK layout only if every file
            follows it. A CSV needs none.

    Raises:
        InputError: `source` is missing, empty or of another kind, a file does not follow the layout asked
            for, or a row of the CSV cannot be understood.
    """
    source = Path(source)
    if names not in LAYOUTS:
        raise InputError(f"expected one of {', '.join(LAYOUTS)} for the file names, got {names!r}")
    if source.is_dir():
        paths = find_crops(source)
        if not paths:
            raise InputError(f"{source}: expected a folder of pictures, found none in it")
        return read_names(paths, names=names)
    if not source.exists():
        raise InputError(f"{source}: no such folder or CSV file")
    if source.suffix.lower() != ".csv":
        raise InputError(f"{source}: expected a folder or a .csv file, got another file; give its folder")
    return list(_read_csv(source))


def read_names(paths: list[Path], *, names: str = "auto") -> list[Record]:
    """Read what file names tell; `names` as in `scan`.

    >>> read_names([Path("0002_c1s1_000451_03.jpg")])[0].pid
    '0002'

    Raises:
        InputError: a file does not follow the layout asked for.
    """
    if names == "auto":
        whole = (name for name in ("cuhk01", "cuhk03") if _misfit(paths, name) is None)
        names = next(whole, "auto")
    elif names != "plain" and (complaint := _misfit(paths, names)):
        raise InputError(complaint)
    if names == "plain":
        return [Record(path) for path in paths]
    parse = _PARSERS.get(names, _market)
    return [Record(path, *(parse(path.stem) or (None, None))) for path in paths]


def read_ids(path: str | Path) -> frozenset[str]:
    """Read person ids, one a line; blank lines and everything after a # are skipped.

    Raises:
        InputError: the file is missing, unreadable or holds no id.
    """
    ids = frozenset(line.split("#")[0].strip() for line in _read_text(Path(path)).splitlines()) - {""}
    if not ids:
        raise InputError(f"{path}: expected person ids, one a line, found none")
    return ids


def read_time(moment: Moment) -> float:
    """Read a time as seconds since the epoch; one without a zone is UTC.

    >>> read_time("1970-01-01T01:00+01:00"), read_time("1970-01-02"), read_time("0.5")
    (0.0, 86400.0, 0.5)

    Args:
        moment: seconds since the epoch, also as text, ISO 8601 text or a datetime.

    Raises:
        InputError: it is none of these, or not finite.
    """
    try:
        seconds = _seconds(moment) if isinstance(moment, datetime) else float(moment)
    except (TypeError, ValueError, OverflowError):
        try:
            # Python 3.10 does not know the Z of ISO 8601.
            seconds = _seconds(datetime.fromisoformat(re.sub("[zZ]$", "+00:00", str(moment))))
        except ValueError:
            seconds = math.nan
    if not math.isfinite(seconds):
        raise InputError(f"expected seconds since the epoch or ISO 8601 for the time, got {moment!r}")
    return seconds


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


# The layouts: each reads the stem of a file name as (pid, camid), or says None.
_Parser = Callable[[str], tuple[str, str] | None]


def _market(stem: str) -> tuple[str, str] | None:
    # 0002_c1s1_000451_03, -1_c3s2_..., and DukeMTMC's 0001_c2_f0046182.
    found = re.match(r"(-1|[0-9]+)_c([0-9]+)(?:s[0-9]+)?(?![0-9A-Za-z])", stem)
    return (found[1], found[2]) if found else None


def _cuhk01(stem: str) -> tuple[str, str] | None:
    # xxxx001 and 002 come from the first camera, 003 and 004 from the second.
    found = re.fullmatch(r"([0-9]{4})00([1-4])", stem)
    return (f"cuhk01-{found[1]}", "1" if found[2] in "12" else "2") if found else None


def _cuhk03(stem: str) -> tuple[str, str] | None:
    # IIII_00 to 04 come from the first camera, 05 to 09 from the second.
    found = re.fullmatch(r"([0-9]{4})_0([0-9])", stem)
    return (f"cuhk03-{found[1]}", "1" if found[2] in "01234" else "2") if found else None


_PARSERS: dict[str, _Parser] = {"market": _market, "cuhk01": _cuhk01, "cuhk03": _cuhk03}


def _misfit(paths: list[Path], names: str) -> str | None:
    """Say what keeps files from being of a layout, or None."""
    for path in paths:
        if _PARSERS[names](path.stem) is None:
            return f"{path}: not a name of the layout {names}; choose another of {', '.join(LAYOUTS)}"
    if names != "market" and paths:
        # CUHK numbers its people anew in each folder: the same name twice means two people under one number.
        name, count = Counter(path.stem for path in paths).most_common(1)[0]
        if count > 1:
            return f"{name} comes {count} times, but {names} numbers people by folder; give one folder"
    return None


def _read_csv(source: Path) -> Iterator[Record]:
    rows = csv.reader(StringIO(_read_text(source)), strict=True)
    seen: dict[Path, int] = {}
    try:
        header = [cell.strip() for cell in next(rows, [])]
        _check_header(source, header)
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{source}, line {rows.line_num}"
            record = _read_row(source, header, cells, where)
            if record.path in seen:
                raise InputError(f"{where}: {record.path} is already in line {seen[record.path]}")
            seen[record.path] = rows.line_num
            yield record
    except csv.Error as error:
        raise InputError(f"{source}, line {rows.line_num}: not a CSV row ({error})") from error
    if not seen:
        raise InputError(f"{source}: expected one row a crop below the header, found none")


def _check_header(source: Path, header: list[str]) -> None:
    expected = "path,pid,camid[,time,tracklet]"
    if "path" not in header or len(set(header)) != len(header):
        raise InputError(f"{source}: expected the header {expected}, got {','.join(header) or 'nothing'}")
    for column in header:
        if column not in COLUMNS:
            close = difflib.get_close_matches(column, COLUMNS, 1, cutoff=0.5)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise InputError(f"{source}: expected the header {expected}, got a column {column!r}{hint}")


def _read_row(source: Path, header: list[str], cells: list[str], where: str) -> Record:
    if len(cells) != len(header):
        raise InputError(f"{where}: expected {len(header)} cells as in the header, got {len(cells)}")
    known = {column: cell.strip() for column, cell in zip(header, cells, strict=True) if cell.strip()}
    if "path" not in known:
        raise InputError(f"{where}: expected a path, got an empty cell")
    return Record(
        path=source.parent / known["path"],
        pid=known.get("pid"),
        camid=known.get("camid"),
        time=_read_cell(known["time"], where) if "time" in known else None,
        tracklet=known.get("tracklet"),
    )


def _read_cell(text: str, where: str) -> float:
    try:
        return read_time(text)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a UTF-8 text file (byte {error.start} is not)") from error
