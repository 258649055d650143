"""Find a person again across cameras.

`Embedder` turns crops into unit rows, `Gallery` keeps them and answers queries, `Record` is one gallery entry and
`ModelSpec` says what a model file holds. The names load on first use (PEP 562), so that importing the package
starts neither FAISS nor ONNX Runtime.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoreid_deploy.embedder import Embedder
    from autoreid_deploy.gallery import Gallery
    from autoreid_deploy.model import ModelSpec
    from autoreid_deploy.records import Record

__version__ = "0.1.0"
__all__ = ["Embedder", "Gallery", "ModelSpec", "Record", "__version__"]

_HOME = {"Embedder": "embedder", "Gallery": "gallery", "ModelSpec": "model", "Record": "records"}


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use."""
    if name in _HOME:
        return getattr(import_module(f"autoreid_deploy.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the lazy names too."""
    return sorted(__all__)
