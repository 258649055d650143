"""FAISS, loaded once and set up so that it is as fast as the processor allows."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from autoreid_deploy.errors import MissingExtraError

BATCH = 16  # queries from which on all cores work on them together; fewer leave the others to other requests


@cache
def load_faiss() -> Any:
    """Import FAISS.

    The wheel's OpenBLAS does not know every processor and then takes its slowest kernels, which costs a factor of
    four on one with AVX-512. Where nobody has chosen, and where it is safe, the right ones are named before it loads.

    Raises:
        MissingExtraError: FAISS is not installed.
    """
    if "OPENBLAS_CORETYPE" not in os.environ and _has_avx512():
        os.environ["OPENBLAS_CORETYPE"] = "SkylakeX"
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise MissingExtraError("faiss", "cpu") from error


def _has_avx512() -> bool:
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    flags = next((line for line in info.splitlines() if line.startswith("flags")), "").split()
    return {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"} <= set(flags)


@contextmanager
def threads(queries: int) -> Iterator[None]:
    """Let one query run on one core and a batch on all of them, for as long as this lasts."""
    faiss = load_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1 if queries < BATCH else os.cpu_count() or 1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
