"""A person before a camera: posed, placed, lit, with others around, boxed as a detector would, and developed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.crowd import boxes, sensor
from search.crowd.anatomy import NAMES, Anatomy, Floats
from search.crowd.body import Body, body, place
from search.crowd.camera import Camera, camera
from search.crowd.garments import CUTS, Cloth, Tailor, dress
from search.crowd.mesh import Material, Piece, quad
from search.crowd.pose import pose
from search.crowd.props import PROPS, Prop, make
from search.crowd.render import Renderer, Uploaded
from search.crowd.scenery import obstacles, scenery
from search.crowd.wardrobe import Person

if TYPE_CHECKING:
    from search.crowd.config import CrowdConfig

_SHARPER = 2  # a crop is rendered at twice its size and reduced: no jagged edges
_LEAST_SEEN = 0.4  # of a person; less, and nobody could tell who it is
_TRIES = 6
_KEPT = 160  # dressed people in memory, for those who pass by again and again


@dataclass(frozen=True, eq=False)
class Crop:
    """One picture and what is known of it.

    Attributes:
        image: JPEG.
        camera: its number, from 1.
        time: of day, `HH:MM`.
        pose: `walk`, `stride` or `stand`.
        view: the side that is seen: `front`, `left`, `back` or `right`.
        box: (x0, y0, x1, y1) as detected, pixels of the camera's frame.
        occlusion: share of the person that something hides, [0, 1].
    """

    image: bytes = field(repr=False)
    camera: int
    time: str
    pose: str
    view: str
    box: tuple[int, int, int, int]
    occlusion: float


@dataclass(frozen=True, eq=False)
class Dressed:
    """A person made up: what takes time, done once for all of its crops."""

    body: Body
    cloth: tuple[Cloth, ...]
    props: tuple[Prop, ...]
    hands: dict[str, str]
    upright: float


@dataclass(frozen=True, eq=False)
class _Posed:
    pieces: list[Piece]
    name: str
    points: Floats


class Studio:
    """Shoots people with the cameras of one seed.

    Args:
        renderer: who draws.
        seed: of the cameras.
        settings: what the crowd is to be like.
        anatomy: of everybody.
    """

    def __init__(self, renderer: Renderer, seed: int, settings: CrowdConfig, anatomy: Anatomy) -> None:
        self._renderer, self._seed, self._settings = renderer, seed, settings
        self._tailor = Tailor.of(anatomy)
        self._places: dict[int, tuple[Camera, list[Uploaded], list[Uploaded]]] = {}
        self._people: OrderedDict[Person, Dressed] = OrderedDict()

    def shoot(
        self,
        person: Person,
        cameras: Sequence[int],
        rng: np.random.Generator,
        neighbours: Callable[[np.random.Generator], Person],
    ) -> Iterator[Crop]:
        """One crop of a person for each camera number, in order.

        Args:
            person: who.
            cameras: numbers from 1; the same number again is another moment.
            rng: where the moments come from.
            neighbours: draws who else is there.
        """
        dressed = self.dressed(person)
        for number in cameras:
            yield self._shoot(dressed, number, rng, neighbours)

    def dressed(self, person: Person) -> Dressed:
        """A person's body, clothes and things."""
        if person in self._people:
            self._people.move_to_end(person)
            return self._people[person]
        made = make_up(self._tailor, person)
        self._people[person] = made
        if len(self._people) > _KEPT:
            self._people.popitem(last=False)
        return made

    def _shoot(
        self,
        person: Dressed,
        number: int,
        rng: np.random.Generator,
        neighbours: Callable[[np.random.Generator], Person],
    ) -> Crop:
        at, ground, rest = self._place(number)
        height, width = self._settings.size
        for attempt in range(_TRIES):
            light, time = at.light(rng)
            spot, heading = at.spot(rng), rng.uniform(0, 2 * np.pi)
            posed = _pose(person, spot, heading, rng)
            box = _bounds(at.project(posed.points))
            seen = boxes.detected(box, rng)
            view = at.window(seen, _SHARPER * height, _SHARPER * width)
            others: list[Piece] = []
            # The last tries are for an open view.
            if attempt < _TRIES - 2:
                if rng.random() < self._settings.neighbours:
                    for _ in range(1 + (rng.random() < 0.3)):
                        other = self.dressed(neighbours(rng))
                        others += _pose(
                            other, _beside(spot, view.eye, rng), rng.uniform(0, 2 * np.pi), rng
                        ).pieces
                if rng.random() < self._settings.occlusion:
                    others += obstacles(at, spot, rng)
            picture = self._renderer.picture(view, light, posed.pieces, others, ground, rest)
            whole = int(picture.whole.sum())
            shown = float(picture.visible.sum()) / max(whole, 1)
            if whole and shown >= _LEAST_SEEN:
                break
        image = sensor.develop(picture.pixels, at, rng, height, width, box[3] - box[1])
        toward = np.arctan2(view.eye[0] - spot[0], -(view.eye[1] - spot[1])) - heading
        side = ("front", "left", "back", "right")[int(np.round(toward / (np.pi / 2))) % 4]
        x0, y0, x1, y1 = (round(float(edge)) for edge in seen)
        return Crop(
            sensor.encode(image, at, rng),
            number,
            time,
            posed.name,
            side,
            (x0, y0, x1, y1),
            round(1 - shown, 3),
        )

    def _place(self, number: int) -> tuple[Camera, list[Uploaded], list[Uploaded]]:
        if number not in self._places:
            at = camera(self._seed, number, one_sensor=self._settings.sensors == "one")
            if self._settings.backgrounds == "plain":
                floor = quad((-60, -60, 0), (120, 0, 0), (0, 120, 0))
                ground: list[Piece] = [(floor, Material((0.2, 0.2, 0.2)))]
                rest: list[Piece] = []
            else:
                ground, rest = scenery(at)
            self._places[number] = at, self._renderer.upload(ground), self._renderer.upload(rest)
        return self._places[number]


def make_up(tailor: Tailor, person: Person) -> Dressed:
    """Give a person a body, clothes and things."""
    shape = body(
        tailor.anatomy,
        female=person.female,
        years=person.age,
        height=person.height,
        weight=person.weight,
        muscle=person.muscle,
        proportions=person.proportions,
    )
    cloth = dress(tailor, shape, person.skin, person.garments, PROPS[person.shoes.kind].bare)
    thick = sum(CUTS[g.kind].thick + 0.5 * CUTS[g.kind].loose * g.looseness for g in person.garments[1:])
    fit = shape.fit.over(thick)
    hat = next((extra.kind for extra in person.extras if PROPS[extra.kind].category == "hat"), None)
    props: list[Prop] = list(make(person.hair, fit, hat)) if person.hair is not None else []
    hands: dict[str, str] = {}
    for extra in (person.shoes, *person.extras):
        for prop in make(extra, fit):
            props.append(prop)
            if prop.pose:
                hands[prop.bone[-1] if prop.bone.startswith("hand.") else extra.side] = prop.pose
    bent = max(0.0, person.age - 65) / 25
    return Dressed(shape, tuple(cloth), tuple(props), hands, 1 - 0.4 * bent)


def _pose(person: Dressed, spot: tuple[float, float], heading: float, rng: np.random.Generator) -> _Posed:
    moment = pose(person.body, person.hands, rng, person.upright)
    matrices = place(person.body, dict(moment.turns), heading, spot)
    pieces = [cloth.posed(matrices) for cloth in person.cloth]
    points = np.concatenate([mesh.vertices[::4] for mesh, _ in pieces])
    for prop in person.props:
        pieces += _held(prop, person, matrices, heading, rng)
    return _Posed(pieces, moment.name, points)


def _held(
    prop: Prop, person: Dressed, matrices: Floats, heading: float, rng: np.random.Generator
) -> list[Piece]:
    matrix = matrices[NAMES.index(prop.bone)]
    if not prop.hangs or not prop.pieces:
        return [(mesh.moved(matrix), material) for mesh, material in prop.pieces]
    wrist, elbow = person.body.joint(prop.bone), person.body.joint(prop.bone.replace("hand", "lowerarm"))
    reach = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    grip = matrix @ np.array([*(wrist + 0.07 * reach), 1.0], np.float32)
    c, s = np.cos(heading + (turn := rng.normal(0, 0.15))), np.sin(heading + turn)
    tilt = rng.normal(0, 0.06)
    swing = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    hung = np.eye(4, dtype=np.float32)
    hung[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ swing
    hung[:3, 3] = grip[:3]
    bottom = min(float(mesh.moved(hung).vertices[:, 2].min()) for mesh, _ in prop.pieces)
    # What is made to reach the ground stands on it; nothing goes into it.
    if bottom < 0 or (bottom < 0.2 and prop.pose == "pull"):
        hung[2, 3] -= bottom
    return [(mesh.moved(hung), material) for mesh, material in prop.pieces]


def _beside(
    spot: tuple[float, float], eye: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, float]:
    """Where somebody else stands: mostly behind or beside, at times half in front."""
    away = np.array(spot) - eye[:2]
    away /= np.linalg.norm(away)
    across = np.array([-away[1], away[0]]) * rng.choice([-1, 1])
    if rng.random() < 0.3:
        depth, aside = rng.uniform(-1.2, -0.4), rng.uniform(0.3, 0.6)
    else:
        depth, aside = rng.uniform(-0.3, 4.0), rng.uniform(0.25, 1.0)
        aside += 0.3 * (depth < 0.5)
    x, y = np.array(spot) + depth * away + aside * across
    return float(x), float(y)


def _bounds(points: NDArray[np.floating]) -> tuple[float, float, float, float]:
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)
