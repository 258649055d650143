"""How SQLite keeps a path, which is bytes to the system and need not be text."""

import os
from pathlib import Path


def path_value(path: Path) -> bytes:
    """Write a path for `CAST(? AS TEXT)`, absolute; SQLite keeps bytes that are not UTF-8 as they are."""
    text = os.fspath(path)
    if text.startswith(os.sep) and ".." not in text:  # as it is; a Path has no other detours
        return os.fsencode(text)
    return os.fsencode(os.path.abspath(text))  # noqa: PTH100  (resolve() would follow the user's links)
