"""One Parquet file as an export: a line a crop, the model in the metadata of the schema.

A path is bytes to the system. `path` is for reading; where it is not UTF-8, `path_bytes` holds what it really is.
"""

import contextlib
import importlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from autoreid_deploy.errors import InputError, MissingExtraError
from autoreid_deploy.gallery.generation import sync
from autoreid_deploy.gallery.store import Stamp
from autoreid_deploy.gallery.transfer_chunk import CHUNK, FORMAT, Chunk, Header
from autoreid_deploy.records import Record

_KEY = FORMAT.encode()
_LABELS = ["pid", "camid", "tracklet"]
_HOW = {"compression": "zstd", "use_dictionary": _LABELS, "write_page_checksum": True}


def _load(name: str) -> Any:
    """Import a part of pyarrow.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error


def _schema(header: Header) -> Any:
    pa = _load("pyarrow")
    texts = ("path", "pid", "camid", "tracklet", "digest", "by_hand")
    kinds = {"path_bytes": pa.binary(), "time": pa.float64(), "size": pa.int64(), "mtime_ns": pa.int64()}
    kinds |= {name: pa.string() for name in texts} | {"embedding": pa.list_(pa.float16(), header.dim)}
    order = (
        "path",
        "path_bytes",
        "pid",
        "camid",
        "time",
        "tracklet",
        "size",
        "mtime_ns",
        "digest",
        "by_hand",
    )
    fields = [pa.field(name, kinds[name]) for name in (*order, "embedding")]
    return pa.schema(fields, {_KEY: json.dumps(header.to_dict()).encode()})


def write(path: Path, header: Header, chunks: Iterator[Chunk]) -> None:
    """Write the file and sync it.

    Args:
        path: to be made.
        header: of the crops.
        chunks: of as many crops as the header says.
    """
    pa, pq = _load("pyarrow"), _load("pyarrow.parquet")
    schema = _schema(header)
    with path.open("wb") as file:
        with pq.ParquetWriter(file, schema, **_HOW) as writer:
            for chunk in chunks:
                values = [*_columns(chunk), chunk.rows.astype(np.float16).reshape(-1)]
                arrays = [
                    pa.array(value, field.type) for value, field in zip(values[:-1], schema, strict=False)
                ]
                flat = pa.array(values[-1], pa.float16())
                arrays.append(pa.FixedSizeListArray.from_arrays(flat, header.dim))
                writer.write_batch(pa.record_batch(arrays, schema=schema))
        file.flush()
        os.fsync(file.fileno())
    sync(path.absolute().parent)


def _columns(chunk: Chunk) -> Iterator[list[Any]]:
    """The columns before the last one, in the order of the schema."""
    paths = [os.fsencode(record.path) for record in chunk.records]
    yield [path.decode(errors="backslashreplace") for path in paths]
    yield [None if _is_text(path) else path for path in paths]
    for name in ("pid", "camid", "time", "tracklet"):
        yield [getattr(record, name) for record in chunk.records]
    for name in ("size", "mtime_ns", "digest"):
        yield [stamp and getattr(stamp, name) for stamp in chunk.stamps]
    yield [" ".join(hand) or None for hand in chunk.by_hand]


def _is_text(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


@contextlib.contextmanager
def _plainly(path: Path) -> Iterator[None]:
    """Turn whatever a damaged or foreign file gives into one line."""
    pa = _load("pyarrow")
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; make one with: reid-index export {path.name}") from error
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        told = str(error).strip().partition("\n")[0]
        raise InputError(f"{path}: not an export that can be read ({told}); export it again") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    pq = _load("pyarrow.parquet")
    with (
        _plainly(path),
        path.open("rb") as file,
        pq.ParquetFile(file, page_checksum_verification=True) as source,
    ):
        yield source


def describe(path: Path) -> Header:
    """Read what the file says about itself; see `transfer.describe`."""
    with _opened(path) as source:
        return _header(source)


def _header(source: Any) -> Header:
    told = (source.schema_arrow.metadata or {}).get(_KEY)
    if told is None:
        raise ValueError("not written by reid-index export")
    header = Header.from_dict(json.loads(told))
    expected = _schema(header)
    if not source.schema_arrow.equals(expected):
        raise ValueError("its columns are not those of an export")
    return header


def read(path: Path, header: Header) -> Iterator[Chunk]:
    """Read the crops; see `transfer.take_in`."""
    with _opened(path) as source:
        for batch in source.iter_batches(batch_size=CHUNK):
            lines = batch.drop_columns(["embedding"]).to_pylist()
            embeddings = batch.column("embedding")
            flat = embeddings.flatten()
            if embeddings.null_count or flat.null_count or len(flat) != len(lines) * header.dim:
                raise ValueError("a crop has no embedding")
            yield Chunk(
                [_read_record(path, line) for line in lines],
                flat.to_numpy(zero_copy_only=False).reshape(-1, header.dim),
                [_read_stamp(line) for line in lines],
                [tuple((line["by_hand"] or "").split()) for line in lines],
            )


def _read_record(source: Path, line: dict[str, Any]) -> Record:
    told = line["path_bytes"] or (line["path"] or "").encode()
    if not told:
        raise ValueError("a crop has no path")
    if line["time"] is not None and not math.isfinite(line["time"]):
        raise ValueError(f"{line['time']} is no time")
    pid, camid, tracklet = (line[name] or None for name in ("pid", "camid", "tracklet"))
    return Record(source.parent / os.fsdecode(told), pid, camid, line["time"], tracklet)


def _read_stamp(line: dict[str, Any]) -> Stamp | None:
    digest = line["digest"]
    return Stamp(line["size"], line["mtime_ns"], digest) if digest else None
