"""What the crowd's tests share: the anatomy, built once, and a renderer; where one is not to be had, tests skip."""

import pytest

pytest.importorskip("moderngl", reason="the extra `crowd` is not installed")

from search.crowd.anatomy import anatomy as read
from search.crowd.render import Renderer


@pytest.fixture(scope="session")
def anatomy():
    try:
        return read()
    except ImportError as error:
        pytest.skip(f"bodies need the extra `crowd`: {error}")


@pytest.fixture(scope="module")
def renderer():
    try:
        made = Renderer()
    except RuntimeError as error:
        pytest.skip(str(error))
    with made:
        yield made
