"""How a command ends: its status, and no time lost on the way out."""

import gc

import pytest

from borgctl.console import ending


def test_an_end_looks_for_no_garbage() -> None:
    """The interpreter would, for longer than all else of an end takes, though the memory is about to go."""
    gc.unfreeze()
    with pytest.raises(SystemExit) as ended:
        ending.end(None, 3)
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    assert (ended.value.code, frozen > 1000) == (3, True)
