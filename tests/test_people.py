import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.people import camera_of, draw_people, hold_out, person_of
from tests.people.body import Pose, build
from tests.people.pattern import patch
from tests.people.shot import take
from tests.people.tube import Cloth, Light, Tube, View, rasterise, shade

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return draw_people(tmp_path_factory.mktemp("people"), people=12)


def contents(paths: list[Path]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths}


def upright(yaw: float) -> View:
    return View(60, 40, x=20, y=55, scale=50, yaw=yaw, tilt=0.0)


def layout(path: Path) -> np.ndarray:
    """Return the colours of a crop's middle on an 8 x 3 grid, free of its mean: a (72,) unit row."""
    middle = cv2.imread(str(path))[:, 16:48].astype(np.float32)
    row = cv2.resize(middle, (3, 8), interpolation=cv2.INTER_AREA).ravel()
    row -= row.mean()
    return row / np.linalg.norm(row)


def test_the_same_seed_draws_the_same_bytes_and_another_seed_other_people(tmp_path: Path) -> None:
    first, again, other = (
        contents(draw_people(tmp_path / name, people=2, cameras=2, seed=seed))
        for name, seed in (("first", 5), ("again", 5), ("other", 6))
    )
    assert first == again
    assert not set(first.values()) & set(other.values())


def test_more_people_cameras_or_shots_leave_the_earlier_files_as_they_were(
    crops: list[Path], tmp_path: Path
) -> None:
    few = contents(draw_people(tmp_path, people=3, cameras=2, shots=1))
    assert few.items() <= contents(crops).items()


def test_names_are_those_of_market_and_cover_every_person_camera_and_shot(crops: list[Path]) -> None:
    names = [re.fullmatch(r"(\d{4})_c(\d)s1_\d{6}_(\d\d)\.jpg", path.name) for path in crops]
    found = [tuple(int(part) for part in name.groups()) for name in names if name]
    assert found == [(p, c, s) for p in range(1, 13) for c in (1, 2, 3) for s in (1, 2)]


@pytest.mark.parametrize("size", [(128, 64), (256, 128), (40, 30)])
def test_crops_have_the_size_asked_for(size: tuple[int, int], tmp_path: Path) -> None:
    for path in draw_people(tmp_path, people=1, cameras=1, size=size):
        assert cv2.imread(str(path)).shape == (*size, 3)


def test_somebody_is_seen_in_the_middle_of_every_crop() -> None:
    for number in range(1, 7):
        person, camera = person_of(0, number), camera_of(0, 1 + number % 3)
        with_person, without = (
            take(person, camera, (128, 64), np.random.default_rng(number), empty=empty).astype(float)
            for empty in (False, True)
        )
        changed = np.abs(with_person - without).max(axis=2) > 20
        assert changed[16:112, 20:44].mean() > 0.45
        assert changed[:, :4].mean() < 0.25


def test_a_person_looks_more_like_themselves_than_like_others_across_cameras(crops: list[Path]) -> None:
    rows = np.array([layout(path) for path in crops])
    people = np.array([path.name[:4] for path in crops])
    cameras = np.array([path.name.split("_")[1] for path in crops])
    distance = 1 - rows @ rows.T
    across = cameras[:, None] != cameras
    same = people[:, None] == people
    assert distance[same & across].mean() < 0.7 * distance[~same & across].mean()


def test_a_person_is_not_the_same_picture_twice(crops: list[Path]) -> None:
    assert len(set(contents(crops).values())) == len(crops)


def test_what_is_in_front_hides_what_is_behind_from_either_side() -> None:
    trunk = Tube((0, 1, 0), (0, 0, 0), (0.2, 0.2), Cloth((1, 0, 0)))
    badge = Tube((0, 0.7, 0.2), (0, 0.3, 0.2), (0.05, 0.05), Cloth((0, 1, 0)))
    for yaw, seen in ((0.0, 2), (np.pi, 1)):
        assert rasterise([trunk, badge], upright(yaw)).part[30, 20] == seen


def test_a_print_on_the_chest_is_seen_from_the_front_and_turns_with_the_body() -> None:
    cloth = Cloth((1, 0, 0), paints=((patch(0, 0.3, 0.2, 0.8), (0, 1, 0)),))
    trunk = [Tube((0, 1, 0), (0, 0, 0), (0.2, 0.2), cloth)]
    light = Light((0, 0, 1), ambient=1.0)
    for yaw, column in ((0.0, 20), (np.pi / 4, 27), (-np.pi / 4, 13), (np.pi, None)):
        view = upright(yaw)
        layer = shade(rasterise(trunk, view), trunk, view, light, np.random.default_rng(0))
        green = np.flatnonzero(layer[30, :, 1] > layer[30, :, 0])
        assert not green.size if column is None else abs(green.mean() - column) < 1.5


def test_the_carrying_foot_stands_on_the_ground() -> None:
    for phase in np.linspace(0, 2 * np.pi, 9):
        tubes = build(person_of(0, 1), Pose(float(phase), 0.4, 0.05, 0.0, (0.3, 0.3)))
        lowest = min(min(t.start[1], t.end[1]) - max(t.radii) for t in tubes)
        assert abs(lowest) < 0.08


def test_held_out_queries_are_one_of_each_person_and_not_in_the_gallery(tmp_path: Path) -> None:
    drawn = draw_people(tmp_path / "gallery", people=3)
    queries = hold_out(drawn, tmp_path / "query")
    left = {path.name for path in (tmp_path / "gallery").iterdir()}
    assert [path.name[:7] for path in queries] == ["0001_c1", "0002_c2", "0003_c3"]
    assert all(path.is_file() and path.name.endswith("_02.jpg") for path in queries)
    assert left == {path.name for path in drawn} - {path.name for path in queries}


def test_the_command_draws_a_gallery_and_its_queries(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.people", str(tmp_path / "g"), "--people", "2", "--cameras", "2"]
    done = subprocess.run(
        [*command, "--query", str(tmp_path / "q")], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0] == f"6 crops in {tmp_path / 'g'}"
    assert len(list((tmp_path / "g").iterdir())) == 6
    assert len(list((tmp_path / "q").iterdir())) == 2
