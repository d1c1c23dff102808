"""What tests of telling share: a real server that receives."""

from collections.abc import Iterator

import pytest
from receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a running server on loopback."""
    with Receiver() as receiver:
        yield receiver
