"""Everything that can go wrong, as one tree.

    ReidError
    ├── InputError            a folder, a file, an array or an argument is not what was asked for
    │   └── CropError         one picture can't be read; carries its path and the reason
    ├── ModelError            a model file is missing, unreadable or breaks the model contract
    ├── DeviceError           the requested execution provider isn't there
    ├── MissingExtraError     an optional package isn't installed; names the exact command
    └── GalleryError          a gallery is missing, damaged or of a newer schema
        └── ModelMismatchError  a gallery was built with another model than the query's

A message says what was expected, what came and what to do. The command lines print it as one line and exit with 1;
code that embeds the library catches `ReidError` or the branch it can handle.
"""


class ReidError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(ReidError):
    """A folder, a file, an array or an argument is not what was asked for."""


class CropError(InputError):
    """One picture can't be read.

    Attributes:
        path: the file, or `<array 3>` for an array that came without a file.
        reason: why, in a few words, without the path.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class ModelError(ReidError):
    """A model file is missing, unreadable or breaks the model contract."""


class DeviceError(ReidError):
    """The requested execution provider isn't there, or didn't come up."""


class MissingExtraError(ReidError):
    """An optional package isn't installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; install it with: pip install 'autoreid-deploy[{extra}]'"
        )
        self.package = package
        self.extra = extra


class GalleryError(ReidError):
    """A gallery is missing, damaged or of a newer schema."""


class ModelMismatchError(GalleryError):
    """A gallery was built with another model than the one that asks."""
