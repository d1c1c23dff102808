"""What is unwise in a job's hooks, as far as their words tell.

list(advise([("/bin/sh", "-c", "sleep 300 &")])) == ["its hook 'sleep 300 &' leaves …"]
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence

_SHELLS = ("sh", "ash", "bash", "dash", "ksh", "mksh", "zsh", "busybox")
_BACKGROUND = re.compile(r"(?<![&<>\\])&(?=[\s;)}]|\Z)")
_WAIT = re.compile(r"(?:\A|[\s;&])wait\b")
_SERVICE = (
    "it is ended with the hook, unless it makes a session of its own, and nobody sees how it ends: start a service "
    "with 'systemctl start', or with its own command ('pg_ctl -w start')"
)


def advise(hooks: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield what is unwise."""
    for hook in hooks:
        if os.path.basename(hook[0]) in _SHELLS:
            yield from (f"its hook {word!r} leaves a program running: {_SERVICE}" for word in hook[1:] if _leaves(word))


def _leaves(script: str) -> bool:
    """Tell whether a shell's script starts something with '&' and does not wait for it."""
    return _BACKGROUND.search(script) is not None and _WAIT.search(script) is None
