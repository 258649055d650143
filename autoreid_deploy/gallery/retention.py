"""How long a gallery keeps what was seen."""

import time

from autoreid_deploy.errors import InputError
from autoreid_deploy.gallery import upkeep
from autoreid_deploy.gallery.filters import until
from autoreid_deploy.gallery.store import Store

_KEY = "keep_days"
_DAY = 86_400.0


def keep_days(store: Store) -> int | None:
    """How many days a crop is kept; None for as long as nobody removes it."""
    return int(store.told(_KEY) or 0) or None


def set_keep_days(store: Store, days: int | None) -> None:
    """Keep crops for so many days from now on; None ends that. Nothing is forgotten yet: see `expire`.

    Raises:
        InputError: it is not a whole number of 1 or more.
        GalleryError: the gallery cannot be written.
    """
    if days is not None and (not isinstance(days, int) or days < 1):
        raise InputError(f"expected a whole number of days, 1 or more, got {days!r}; None ends the retention")
    if days != keep_days(store):
        with store.write():
            store.tell(_KEY, str(days or 0))
            store.note(f"keep: {days} days" if days else "keep: without a limit")


def horizon(store: Store, now: float | None = None) -> float | None:
    """The time before which crops are too old, in seconds since the epoch; None where nothing is."""
    days = keep_days(store)
    return None if days is None else (time.time() if now is None else now) - days * _DAY


def expire(store: Store, now: float | None = None, tick: upkeep.Tick = lambda count: None) -> int:
    """Forget the crops that are too old; one without a time has no age and stays.

    Args:
        store: the truth.
        now: seconds since the epoch; None for the clock's.
        tick: called with how many rows were read for the new index.

    Returns:
        How many there were.

    Raises:
        GalleryError: as in `upkeep.forget`.
    """
    before = horizon(store, now)
    if before is None:
        return 0
    return upkeep.forget(store, *until(before).sql(), f"expire: older than {keep_days(store)} days", tick)
