"""Files that are there whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give another name to write to; once all is written, it takes the place of the file that was there."""
    temporary = path.with_name(path.name + ".tmp")
    yield temporary
    temporary.replace(path)
