"""A crowd in a folder: people drawn one by one in several processes, each of them there whole or not at all.

What a person's crops show depends on the seed, the number and the settings alone: not on who was drawn before, on how
many people there are, or on how many processes draw.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from autoreid_deploy.errors import InputError, MissingExtraError, ReidError
from search.crowd.config import CrowdConfig
from search.crowd.folder import Row, check_folder, finished, gather, home_of, note_down, row_of, write_rows
from search.crowd.sheet import draw_sheet
from search.crowd.wardrobe import BLOCK, Person, block, person

if TYPE_CHECKING:
    from search.crowd.scene import Crop

# One thread a process: the processes share the cores, and sums come out the same whatever the machine.
_ALONE = {"LP_NUM_THREADS": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Shooter(Protocol):
    """Who makes crops of people, as `scene.Studio` does."""

    def shoot(
        self,
        person: Person,
        cameras: Sequence[int],
        rng: np.random.Generator,
        neighbours: Callable[[np.random.Generator], Person],
    ) -> Iterator[Crop]:
        """One crop of a person for each camera number, in order."""


Maker = Callable[[int, CrowdConfig], Shooter]
"""(seed, settings) -> who makes the crops, called once a process."""


def studio(seed: int, settings: CrowdConfig) -> Shooter:
    """A renderer and the studio around it."""
    from search.crowd.anatomy import anatomy
    from search.crowd.render import Renderer
    from search.crowd.scene import Studio

    return Studio(Renderer(), seed, settings, anatomy())


def prepare() -> None:
    """Make sure that crowds can be drawn here, and build the anatomy, in about a minute, if nobody has yet.

    Raises:
        MissingExtraError: a package is missing.
        InputError: there is no EGL.
    """
    try:
        from search.crowd.anatomy import anatomy
        from search.crowd.render import Renderer

        anatomy()
    except ImportError as error:
        raise MissingExtraError(error.name or "moderngl", "crowd") from error
    try:
        Renderer().close()
    except RuntimeError as error:
        raise InputError(str(error)) from error


def generate(
    folder: Path,
    settings: CrowdConfig,
    *,
    seed: int = 0,
    workers: int = 1,
    resume: bool = False,
    maker: Maker = studio,
    tick: Callable[[int], object] = lambda crops: None,
) -> list[Row]:
    """Draw a crowd.

    Args:
        folder: where it goes; made if it isn't there.
        settings: how many people, and what they and the cameras are like.
        seed: of everything.
        workers: processes.
        resume: go on with the crowd that is there; it may become larger.
        maker: makes what makes the crops; a function of a module, as it goes to other processes.
        tick: called with a number of crops that got done.

    Returns:
        A row of `folder.COLUMNS` for each crop.

    Raises:
        InputError: the folder holds a crowd and nobody said to go on with it, or another crowd than this one; or
            somebody could not be drawn.
    """
    check_folder(folder, settings, seed, resume)
    (folder / "crops").mkdir(parents=True, exist_ok=True)
    unfinished = folder / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    note_down(folder, settings, seed)
    done = finished(folder, settings.people)
    todo = [number for number in range(1, settings.people + 1) if number not in done]
    if todo:
        _draw_all(_shares(todo, workers), folder, settings, seed, min(workers, len(todo)), maker, tick)
    unfinished.rmdir()
    rows = gather(folder, settings.people)
    draw_sheet(folder, rows, folder / "sheet.jpg")
    return rows


def plan(seed: int, number: int, settings: CrowdConfig) -> tuple[list[int], np.random.Generator]:
    """Which cameras a person passes, one for each crop, and where everything else of the crops comes from.

    A block's people share some cameras, twice as many as anybody passes at most: so they meet each other.
    """
    town = np.random.default_rng([seed, block(number)[0], 22])
    there = town.permutation(settings.cameras)[: 2 * settings.met[1]] + 1
    rng = np.random.default_rng([seed, number, 21])
    met = rng.permutation(there)[: rng.integers(settings.met[0], settings.met[1] + 1)][: settings.crops]
    again = rng.choice(met, settings.crops - len(met))
    return sorted(int(camera) for camera in (*met, *again)), rng


# The other processes.
_told: tuple[Path, CrowdConfig, int, Maker]
_shooter: Shooter | None = None


def _draw_all(
    shares: Sequence[Sequence[int]],
    folder: Path,
    settings: CrowdConfig,
    seed: int,
    workers: int,
    maker: Maker,
    tick: Callable[[int], object],
) -> None:
    pool = ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(folder, settings, seed, maker),
    )
    whole = False
    try:
        with _environment(_ALONE):
            waiting: set[Future[int]] = {pool.submit(_draw, share) for share in shares}
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    tick(future.result() * settings.crops)
        whole = True
    except BrokenProcessPool as error:
        raise InputError(
            "a process that drew was ended from outside, perhaps for want of memory; "
            "go on with --resume, or with fewer --workers"
        ) from error
    finally:
        if not whole:  # nobody waits for people whom nobody will look at
            for process in multiprocessing.active_children():
                process.terminate()
        pool.shutdown(cancel_futures=True)


def _shares(todo: Sequence[int], workers: int) -> list[list[int]]:
    """People to be drawn by one process: of one block, whose members know each other, and not all too many."""
    most = min(BLOCK, max(1, len(todo) // (4 * workers)))
    shares: list[list[int]] = []
    for number in todo:
        if shares and len(shares[-1]) < most and shares[-1][-1] in block(number):
            shares[-1].append(number)
        else:
            shares.append([number])
    return shares


def _begin(folder: Path, settings: CrowdConfig, seed: int, maker: Maker) -> None:
    global _told
    _told = folder, settings, seed, maker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed cannot tell its children."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)


def _draw(numbers: Sequence[int]) -> int:
    """Draw people and say how many."""
    global _shooter
    folder, settings, seed, maker = _told
    for number in numbers:
        try:
            if _shooter is None:
                _shooter = maker(seed, settings)
            _draw_one(_shooter, folder, settings, seed, number)
        except MissingExtraError as error:  # it takes two arguments, and would not come back from here
            raise InputError(str(error)) from None
        except ReidError:
            raise
        except Exception as error:
            raise InputError(
                f"person {number} of seed {seed} cannot be drawn: {type(error).__name__}: {error}"
            ) from error
    return len(numbers)


def _draw_one(shooter: Shooter, folder: Path, settings: CrowdConfig, seed: int, number: int) -> None:
    who = person(seed, number, settings)
    cameras, rng = plan(seed, number, settings)
    others = [other for other in block(number) if other != number]

    def neighbour(rng: np.random.Generator) -> Person:
        return person(seed, others[int(rng.integers(len(others)))], settings)

    desk = folder / "unfinished" / f"{number:05d}-{os.getpid()}"
    desk.mkdir()
    home = home_of(folder, number)
    rows: list[Row] = []
    for i, crop in enumerate(shooter.shoot(who, cameras, rng, neighbour)):
        name = f"{number:05d}_c{crop.camera}s1_{i:06d}_00.jpg"
        (desk / name).write_bytes(crop.image)
        rows.append(row_of(f"crops/{home.name}/{name}", who, crop))
    write_rows(desk / "rows.csv", rows)
    desk.rename(home)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables for processes that start meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
