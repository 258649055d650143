"""Which identities are surely two people.

A labelled person is nobody else. Of a tracklet nobody knows whose it is: the same person may have left another one, by
another camera or by the same one before. Only tracklets that one camera saw at the same time are surely of two people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.config import Source, first_of_same_people
from search.data import Crops


@dataclass(frozen=True)
class Rivals:
    """A question about pairs of identities, answered without a table of all pairs.

    Attributes:
        people: (n,) int64, which of the sources' people an identity belongs to.
        camera: (n,) int64, the camera of a tracklet, -1 for a labelled person.
        start: (n,) float64, when a tracklet begins; -inf where no time is known.
        end: (n,) float64, when it ends; inf where no time is known.
    """

    people: Tensor
    camera: Tensor
    start: Tensor
    end: Tensor

    @classmethod
    def of(cls, crops: Crops, sources: Sequence[Source], device: torch.device) -> Rivals | None:
        """Those of some crops; None where everybody is labelled, and therefore everybody's rival."""
        if not any(source.tracklets for source in sources):
            return None
        tracked = np.array([source.tracklets for source in sources])[crops.origins]
        people = np.array(first_of_same_people(sources))[crops.origins]
        seen_by = [f"{group} {record.camid}" for group, record in zip(people, crops.records, strict=True)]
        camera = np.unique(seen_by, return_inverse=True)[1]
        start, end = np.full(crops.people, np.inf), np.full(crops.people, -np.inf)
        times = [record.time for record in crops.records]
        np.minimum.at(start, crops.labels, [-np.inf if t is None else t for t in times])
        np.maximum.at(end, crops.labels, [np.inf if t is None else t for t in times])
        columns = (people, np.where(tracked, camera, -1))
        own = [np.zeros(crops.people, np.int64) for _ in columns]
        for column, values in zip(own, columns, strict=True):
            column[crops.labels] = values
        return cls(*(torch.from_numpy(value).to(device) for value in (*own, start, end)))

    def __call__(self, one: Tensor, other: Tensor) -> Tensor:
        """(N,) and (M,) identities -> (N, M) bool, whether two are surely not one person."""
        i, j = one[:, None], other[None, :]
        labelled = (self.camera[i] < 0) & (self.camera[j] < 0)
        elsewhere = (self.people[i] != self.people[j]) & ((self.camera[i] < 0) | (self.camera[j] < 0))
        together = (self.camera[i] == self.camera[j]) & (self.start[i] <= self.end[j])
        together &= self.start[j] <= self.end[i]
        return (i != j) & (labelled | elsewhere | together)

    def of_one(self, identity: int) -> NDArray[np.int64]:
        """The rivals of an identity."""
        device = self.camera.device
        one, everybody = (
            torch.tensor([identity], device=device),
            torch.arange(len(self.camera), device=device),
        )
        found: NDArray[np.int64] = torch.nonzero(self(one, everybody)[0]).squeeze(1).cpu().numpy()
        return found
