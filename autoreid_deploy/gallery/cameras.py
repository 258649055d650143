"""What is common to the crops of each camera of a gallery, kept as the gallery changes."""

from autoreid_deploy.centring import CameraMeans
from autoreid_deploy.gallery.store import Store
from autoreid_deploy.gallery.view import View

# Rows that the means are taken of: enough for a hundred cameras, read in a tenth of a second.
_SAMPLE = 20_000
# A share of rows that came or went, by which the means are taken anew.
_CHANGED = 0.05


class Cameras:
    """The means of a gallery's cameras, measured when they are asked for.

    Args:
        store: tells which camera took a crop.
        view: holds the rows; it follows the store.
    """

    def __init__(self, store: Store, view: View) -> None:
        self._store, self._view = store, view
        self._measured: tuple[int, int] | None = None
        self._means: CameraMeans | None = None

    def means(self) -> CameraMeans | None:
        """Give them, of up to 20,000 crops chosen by a seed; None where there is no row.

        They are taken anew once a twentieth of the rows came or went, and with each new index.
        """
        rows, number = len(self._view), self._view.published.number if self._view.published else 0
        if not rows:
            return None
        known = self._measured
        if known is None or known[0] != number or abs(rows - known[1]) > _CHANGED * known[1]:
            ids = self._view.sample_ids(_SAMPLE)
            cameras = self._store.cameras(ids.tolist())
            self._means = CameraMeans.of(self._view.rows_of(ids), [cameras[id] for id in ids.tolist()])
            self._measured = number, rows
        return self._means
