"""The proof that a gallery is what it should be: whole, and without anything that it was told to forget."""

from collections.abc import Iterator
from pathlib import Path

from autoreid_deploy.errors import GalleryError
from autoreid_deploy.gallery import generation as files
from autoreid_deploy.gallery.generation import DamagedError
from autoreid_deploy.gallery.store import Published, Store
from autoreid_deploy.gallery.upkeep import Tick, is_forgetting_due, is_running, is_scrubbed, number_of

INTERRUPTED = (
    "forgetting was interrupted: deleted rows may be left in the files; finish it with: reid-index compact"
)


def verify(store: Store, tick: Tick = lambda count: None) -> Iterator[str]:
    """Compare everything with everything; gives one line for each thing that is wrong.

    SQLite's own check of tables and indexes; every row against its checksum; the index against its SHA-256 and
    against the rows; and that nothing that was forgotten is left: in an index, the journal, a free page or a stray
    file.

    Args:
        store: the truth.
        tick: called with how many rows were read.
    """
    told: set[str] = set()
    for part in (_tables(store), _index(store, tick), _left_behind(store)):
        try:
            for line in part:
                told.add(line)
                yield line
        except GalleryError as error:
            if str(error) not in told:
                told.add(str(error))
                yield str(error)


def _tables(store: Store) -> Iterator[str]:
    for complaint in store.complaints(thorough=True):
        yield f"database: {complaint}"
    yield from store.orphans()


def index_trouble(store: Store) -> str | None:
    """Say why queries do without the current generation's file, or None; its rows are not read."""
    current = store.current()
    if current is None:
        return None
    try:
        files.read(path_of(store, current), current.sha256)
    except (DamagedError, OSError) as error:
        return _out_of_use(error)
    return None


def path_of(store: Store, generation: Published) -> Path:
    """Where a generation's file lies."""
    return store.folder / files.FOLDER / files.name_of(generation.number)


def _out_of_use(error: Exception) -> str:
    return f"index: {error}; queries read the database instead; mend it with: reid-index compact"


def _index(store: Store, tick: Tick) -> Iterator[str]:
    """Compare the generation with its checksums and with the rows."""
    with store.snapshot():
        ids, rows = store.rows(tick=tick)
        current = store.current()
        gone = {id for _, id in store.tombstones()}
    if current is None:
        return
    path = path_of(store, current)
    try:
        found = files.read(path, current.sha256)
        if fault := found.check_rows():
            raise DamagedError(fault)
    except (DamagedError, OSError) as error:
        if store.current() == current:  # else a new one has taken its place meanwhile
            yield _out_of_use(error)
        return
    wrong = [id for id in files.check_against(found, ids, rows).tolist() if id not in gone]
    if wrong:
        yield (
            f"{path}: holds {len(wrong)} rows that are not those of the database, such as id {wrong[0]}; "
            "make it anew with: reid-index compact"
        )


def _left_behind(store: Store) -> Iterator[str]:
    """Look for what should have gone."""
    strays = list(files.files(store.folder))
    current = store.current()
    for path in strays:
        number = number_of(path)
        if path.suffix == ".tmp" and is_running(path):
            continue  # a compaction is at it
        if (current is not None and number is not None and number < current.number) or path.suffix == ".tmp":
            yield f"{path}: left over from an older index; drop it with: reid-index compact"
        elif current is None or path.name != files.name_of(current.number):
            yield f"{path}: no part of the index; delete it"
    if is_forgetting_due(store):
        yield INTERRUPTED
    elif is_scrubbed(store):
        pages = store.unclean_pages()
        if pages is None:
            yield "database: a query that is still running hides the free pages; verify again when it is done"
        elif pages:
            yield f"database: {pages} free pages hold what was deleted; clean them with: reid-index forget --removed"
