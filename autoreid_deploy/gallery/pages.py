"""What lies in the free pages of an SQLite file, where deleted rows would stay if nobody wrote over them."""

from pathlib import Path

import numpy as np


def count_unclean(path: Path, size: int) -> int:
    """Count the free pages of a database file that hold anything but zeros.

    The file's list of free pages is a chain of trunks: each holds the number of the next one, how many leaves it
    names, and their numbers (https://sqlite.org/fileformat2.html#the_freelist). Behind them may stand numbers of
    leaves that are in use again; anything else there was left by a row.

    Args:
        path: of the file, which nobody may change meanwhile.
        size: of a page in bytes.
    """
    unclean = 0
    with path.open("rb") as file:

        def page(number: int) -> bytes:
            file.seek((number - 1) * size)
            return file.read(size)

        pages = path.stat().st_size // size
        trunk = int.from_bytes(page(1)[32:36], "big")
        seen: set[int] = set()
        while 0 < trunk <= pages and trunk not in seen:
            seen.add(trunk)
            words = np.frombuffer(page(trunk), ">u4")
            leaves = words[2 : 2 + int(words[1])]
            unclean += bool((words[2 + len(leaves) :] > pages).any())
            unclean += sum(any(page(int(leaf))) for leaf in leaves if 0 < leaf <= pages)
            trunk = int(words[0])
    return unclean
