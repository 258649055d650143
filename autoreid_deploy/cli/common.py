"""What the commands share: one line for an error, exit codes, `--json`, `--index`, and a progress bar.

Exit codes: 0 done, 1 the user's input or machine is at fault, 2 wrong usage, 130 stopped with Ctrl-C.
"""

import contextlib
import errno
import io
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoreid_deploy.errors import ModelError, ReidError
from autoreid_deploy.model import bundled_models

if TYPE_CHECKING:
    from autoreid_deploy.calibration import Calibration
    from autoreid_deploy.embedder import Embedder
    from autoreid_deploy.gallery import Gallery
    from autoreid_deploy.model import ModelSpec

DEFAULT_INDEX = "./.reid"

index_option = click.option(
    "--index",
    type=click.Path(path_type=Path),
    envvar="REID_INDEX",
    default=DEFAULT_INDEX,
    show_default=True,
    show_envvar=True,
    help="Folder that holds the index.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")

device_option = click.option(
    "--device", default="cpu", show_default=True, help="cpu, cuda, cuda:N, openvino or tensorrt."
)


def bundled() -> str:
    """Name the bundled models, for the help of a `--model`."""
    return ", ".join(bundled_models()) or "none"


class Stopped(click.ClickException):
    """Ctrl-C in the middle of work; the message says what is kept and how to go on."""

    exit_code = 130


def entry_point(command: click.Command) -> Callable[[], None]:
    """Make the function that `[project.scripts]` points at from a click command."""

    def main() -> None:
        sys.exit(run(command))

    return main


def run(command: click.Command) -> int:
    """Run a command on `sys.argv` and return its exit code; a foreseen failure becomes one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal's encoding lacks is escaped; printing it must never be what fails.
            stream.reconfigure(errors="backslashreplace")
    # OpenCV prints lines of its own about a broken picture; ours says it. It reads this when it is loaded.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        code = command.main(standalone_mode=False)
        sys.stdout.flush()  # here, where a closed pipe can still be caught, and not when Python shuts down
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _fail(error.message, error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _fail("stopped", Stopped.exit_code)
    except BrokenPipeError:
        # `| head` has seen enough. What Python still writes when it shuts down goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except ReidError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(_explain(error))
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int = 1) -> int:
    click.echo(("" if code == Stopped.exit_code else "error: ") + shown(message), err=True)
    return code


def _explain(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{where}the disk is full; free some space and run the same command again"
    return f"{where}{error.strerror or error}"


def shown(text: object) -> str:
    r"""Escape what a terminal must not receive: control characters and bytes that are not text.

    >>> shown("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def print_json(value: object) -> None:
    """Print a value as JSON; paths become text and NumPy's scalars plain numbers."""
    click.echo(json.dumps(value, indent=2, default=_plain, allow_nan=False))


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


@contextlib.contextmanager
def progress(total: int | None, unit: str = "crops") -> Iterator[Callable[[int], object]]:
    """Show a bar with rate and time left on stderr, if that is a terminal; gives what moves it."""
    from tqdm import tqdm

    shape = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}, {rate_noinv_fmt}, {remaining} left"
    # disable=None: tqdm itself keeps quiet where stderr is not a terminal.
    with tqdm(total=total, unit=f" {unit}", bar_format=shape, disable=None, file=sys.stderr) as bar:
        yield bar.update


def plural(count: int, one: str, many: str = "") -> str:
    """Count things in words.

    >>> plural(1, "crop"), plural(1200, "crop")
    ('1 crop', '1,200 crops')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def to_index(folder: Path) -> str:
    """Give the option that a suggested command needs to reach this index; none for the default one."""
    return "" if folder == Path(DEFAULT_INDEX) else f" --index {shlex.quote(str(folder))}"


def load_model(gallery: "Gallery", model: str | None, device: str) -> "Embedder":
    """Load the model that a gallery was built with.

    Args:
        gallery: open.
        model: another place to look for it; None means where it was when the gallery was built.
        device: where to run it.

    Raises:
        ModelError: it is gone or unreadable.
        ModelMismatchError: what lies there is another model.
    """
    from autoreid_deploy.embedder import Embedder

    try:
        embedder = Embedder.load(model or gallery.model, device=device)
    except ModelError as error:
        if model:
            raise
        raise ModelError(
            f"the index was built with {gallery.model_id}, which can't be loaded any more: {error}; "
            "if it lies elsewhere now, say where with --model FILE"
        ) from error
    gallery.check_model(embedder.id)
    return embedder


def meaning_of(gallery: "Gallery", spec: "ModelSpec | None") -> "Calibration | None":
    """What distances mean: as fitted on the gallery, else as the model brings it along, else nobody knows.

    Raises:
        InputError: what is there is damaged.
    """
    from autoreid_deploy.calibration import Calibration

    if (own := gallery.calibration) is not None or spec is None or not spec.calibration:
        return own
    return Calibration.from_dict(spec.calibration, spec.name)


def pace(embedder: "Embedder") -> dict[str, float]:
    """Measure a model's ms a crop here, alone and in batches of 8, for `--json`."""
    return {str(batch): round(embedder.milliseconds(batch), 3) for batch in (1, 8)}


def pace_text(told: Mapping[str, float]) -> str:
    """Describe it for people.

    >>> pace_text({"1": 0.912, "8": 0.7})
    '0.91 ms a crop, 0.7 in batches of 8, on one thread here'
    """
    return f"{told['1']:.2g} ms a crop, {told['8']:.2g} in batches of 8, on one thread here"
