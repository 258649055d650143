"""What happens to an index when the process, the disk or a neighbour fails: nothing acknowledged is lost."""

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from autoreid_deploy.gallery import Gallery
from autoreid_deploy.gallery.database import FILE, Database

CROPS = 120

# `reid-index` with small transactions. From the eighth call on its model waits for the file `go`: a middle to
# fail in that lasts as long as the test needs, on a machine of any speed.
SLOW = """
import sys, time
from pathlib import Path
from autoreid_deploy.gallery import intake
from autoreid_deploy.session import ModelSession
intake.COMMIT_CROPS = 8
go, fast, calls = Path(sys.argv.pop(1)), ModelSession.run, []
def slow(self, images):
    calls.append(1)
    while len(calls) > 7 and not go.exists():
        time.sleep(0.02)
    return fast(self, images)
ModelSession.run = slow
from autoreid_deploy.cli.index import main
main()
"""
PLAIN = "from autoreid_deploy.cli.index import main; main()"
QUERY = "from autoreid_deploy.cli.query import main; main()"
# No file may grow beyond this: a write that fails as on a full disk, for any user.
FULL = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"


@pytest.fixture(scope="module")
def many_crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of different small pictures."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    for i in range(CROPS):
        pixels = cv2.resize(rng.integers(0, 256, (16, 8, 3), np.uint8), (64, 128))
        (folder / f"{i // 4:04d}_c{i % 3}s1_{i:06d}_00.jpg").write_bytes(
            cv2.imencode(".jpg", pixels)[1].tobytes()
        )
    return folder


@pytest.fixture(scope="module")
def whole(many_crops: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What an index holds that was built without a fault."""
    folder = tmp_path_factory.mktemp("whole") / "index"
    assert reid(PLAIN, "build", many_crops, "--model", tiny_model, "--index", folder).returncode == 0
    return content(folder)


def start(code: str, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def reid(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def content(folder: Path) -> dict[str, tuple]:
    """Read all that an index holds: path -> what is known, row."""
    with Gallery.open(folder) as gallery, gallery.store.snapshot():
        _, rows = gallery.store.embeddings()
        pairs = zip(gallery.store.stored(), rows, strict=True)
        return {str(r.record.path): (r.record, r.stamp, row.tobytes()) for r, row in pairs}


def wait_for(folder: Path, crops: int) -> dict[str, tuple]:
    """Wait until that many crops are committed, and return all that are."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if Database.exists(folder) and len(seen := content(folder)) >= crops:
            return seen
        time.sleep(0.02)
    raise AssertionError(f"no {crops} crops within two minutes")


@pytest.fixture
def building(many_crops: Path, tiny_model: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A build into `tmp_path / "index"` that stands still in its middle until there is `tmp_path / "go"`."""
    words = ["build", many_crops, "--model", tiny_model, "--index", tmp_path / "index"]
    process = start(SLOW, tmp_path / "go", *words)
    yield process
    process.kill()
    process.communicate()


def finish(many_crops: Path, folder: Path) -> str:
    result = reid(PLAIN, "build", many_crops, "--index", folder)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_kill_9_in_a_build_loses_nothing_and_the_next_build_completes_it(
    building: subprocess.Popen[str], many_crops: Path, tmp_path: Path, whole: dict
) -> None:
    acknowledged = wait_for(tmp_path / "index", 24)
    building.send_signal(signal.SIGKILL)
    assert building.wait() == -signal.SIGKILL
    kept = content(tmp_path / "index")
    assert acknowledged.items() <= kept.items()
    assert len(kept) < CROPS
    told = finish(many_crops, tmp_path / "index")
    assert f"{CROPS - len(kept)} embedded, {len(kept)} known already" in told
    assert content(tmp_path / "index") == whole


def test_kill_9_at_any_moment_leaves_an_index_that_the_next_build_completes(
    many_crops: Path, tiny_model: Path, tmp_path: Path, whole: dict
) -> None:
    chance = random.Random(0)
    folder = tmp_path / "index"
    for _ in range(4):
        process = start(SLOW, "/", "build", many_crops, "--model", tiny_model, "--index", folder)
        time.sleep(chance.uniform(0.3, 1.5))
        process.kill()
        process.communicate()
        if Database.exists(folder):
            kept = content(folder)
            assert kept.items() <= whole.items()
    assert reid(PLAIN, "build", many_crops, "--model", tiny_model, "--index", folder).returncode == 0
    assert content(folder) == whole


def test_ctrl_c_in_a_build_says_what_is_safe_and_exits_with_130(
    building: subprocess.Popen[str], many_crops: Path, tmp_path: Path, whole: dict
) -> None:
    wait_for(tmp_path / "index", 8)
    building.send_signal(signal.SIGINT)
    time.sleep(0.5)
    (tmp_path / "go").touch()
    out, err = building.communicate(timeout=300)
    assert (building.returncode, out) == (130, "")
    kept = len(content(tmp_path / "index"))
    assert 8 <= kept < CROPS
    line = f"stopped; {kept} crops safe in {tmp_path / 'index'}; run the same command again to go on\n"
    assert err.lstrip("\n") == line
    finish(many_crops, tmp_path / "index")
    assert content(tmp_path / "index") == whole


@pytest.mark.parametrize("limit", [1, 20_000, 120_000])
def test_a_full_disk_is_one_line_and_keeps_what_was_kept(
    many_crops: Path, tiny_model: Path, tmp_path: Path, whole: dict, limit: int
) -> None:
    words = ["build", many_crops, "--model", tiny_model, "--index", tmp_path / "index"]
    small = "from autoreid_deploy.gallery import intake; intake.COMMIT_CROPS = 8;"
    result = reid(FULL.format(limit=limit) + small + PLAIN, *words)
    assert result.returncode == 1
    assert re.fullmatch(r"error: .*the disk is full.*\n", result.stderr), result.stderr
    if Database.exists(tmp_path / "index"):
        assert content(tmp_path / "index").items() <= whole.items()
    assert reid(PLAIN, *words).returncode == 0
    assert content(tmp_path / "index") == whole


def test_a_query_answers_while_a_build_goes_on(
    building: subprocess.Popen[str], many_crops: Path, tmp_path: Path
) -> None:
    wait_for(tmp_path / "index", 8)
    image = min(many_crops.iterdir())
    result = reid(QUERY, image, "--index", tmp_path / "index", "-k", 1)
    assert building.poll() is None
    assert result.returncode == 0
    assert image.name in result.stdout.splitlines()[2]


def test_two_builds_at_once_both_come_to_a_whole_index(
    many_crops: Path, tiny_model: Path, tmp_path: Path, whole: dict
) -> None:
    words = ["build", many_crops, "--model", tiny_model, "--index", tmp_path / "index"]
    processes = [start(SLOW, "/", *words) for _ in range(2)]
    results = [process.communicate(timeout=300) for process in processes]
    codes = [process.returncode for process in processes]
    assert codes == [0, 0], results
    assert content(tmp_path / "index") == whole


def test_two_builds_with_different_models_never_mix(
    building: subprocess.Popen[str], many_crops: Path, other_model: Path, tmp_path: Path, whole: dict
) -> None:
    wait_for(tmp_path / "index", 8)
    result = reid(PLAIN, "build", many_crops, "--model", other_model, "--index", tmp_path / "index")
    assert result.returncode == 1
    assert re.fullmatch(r"error: .*was built with tiny@\w+, this model is tiny@\w+.*\n", result.stderr)
    (tmp_path / "go").touch()
    building.communicate(timeout=300)
    assert building.returncode == 0
    assert content(tmp_path / "index") == whole


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:4096] + random.Random(0).randbytes(len(data) - 4096),
    ],
    ids=["cut", "noise"],
)
def test_a_damaged_index_is_one_line_on_every_command(
    many_crops: Path, tiny_model: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    folder = tmp_path / "index"
    reid(PLAIN, "build", many_crops, "--model", tiny_model, "--index", folder)
    (folder / FILE).write_bytes(damage((folder / FILE).read_bytes()))
    for code, *words in (
        (QUERY, min(many_crops.iterdir())),
        (PLAIN, "info"),
        (PLAIN, "build", many_crops),
    ):
        result = reid(code, *words, "--index", folder)
        assert (result.returncode, result.stdout) == (1, "")
        assert re.fullmatch(
            rf"error: {folder}: the index is damaged; move its folder away.*\n", result.stderr
        )
