"""lint's warnings about hooks, as far as their words show them.

list(advise([("/bin/sh", "-c", "sleep 300 &")])) == ["its hook 'sleep 300 &' leaves …"]
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence

_SHELLS = ("sh", "ash", "bash", "dash", "ksh", "mksh", "zsh", "busybox")
_BACKGROUND = re.compile(r"(?<![&<>\\])&(?=[\s;)}]|\Z)")
_WAIT = re.compile(r"(?:\A|[\s;&])wait\b")
_SERVICE = (
    "the gate ends it with the hook unless it makes its own session, and no log shows how it ended: start a service "
    "with 'systemctl start', or with its own command ('pg_ctl -w start')"
)


def advise(hooks: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the warnings."""
    for hook in hooks:
        if os.path.basename(hook[0]) in _SHELLS:
            yield from (f"its hook {word!r} leaves a program running: {_SERVICE}" for word in hook[1:] if _leaves(word))


def _leaves(script: str) -> bool:
    """Tell whether a shell's script starts something with '&' and does not wait for it."""
    return _BACKGROUND.search(script) is not None and _WAIT.search(script) is None
