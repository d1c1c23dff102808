"""Paths that a peer chose, looked at before borg does: nobody else may be able to lead one of them somewhere else.

borg follows symlinks in a path's parents (not its last component), so a path inside an offered directory could end
outside it, also later: the server decides how long borg waits before it reads. So every parent must be a real directory
that only root or the gate's user can change. It does not know what is offered; `judge` does.
"""

import os
from collections.abc import Iterable

from borgctl import custody
from borgctl.custody import Unsafe
from borgctl.errors import BorgctlError
from borgctl.values import SourcePath


def check(paths: Iterable[SourcePath]) -> None:
    """Raise BorgctlError where another user could redirect one of the paths. A missing path is borg's to report."""
    for path in paths:
        try:
            custody.directory(os.path.dirname(path.text), follow=False).close()
        except FileNotFoundError:
            continue
        except Unsafe as error:
            raise BorgctlError("source-refused", f"{path.text!r}: {error}") from None
        except OSError as error:
            raise BorgctlError("source-refused", f"{path.text!r}: {error.strerror}") from None
