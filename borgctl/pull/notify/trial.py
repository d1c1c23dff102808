"""Trial: send a test message to each service of a target, and say what became of it (`borgpull test --notify`).

for name, error in trial(folders, target): …          `error` is None where it was sent
"""

import time
from collections.abc import Iterator
from contextlib import suppress

from borgctl.fs.secure_path import InsecurePath
from borgctl.pull.notify import services
from borgctl.pull.notify.messages import Message
from borgctl.pull.state import told
from borgctl.pull.targets.paths import Folders
from borgctl.pull.targets.targets import Target


def trial(folders: Folders, target: Target) -> Iterator[tuple[str, str | None]]:
    """Yield each service's name, and why it was not reached; what `status` says of it is what the trial found."""
    for service in target.telling.notify:
        text = f"A test of borgpull. It tells here of {target.name}: {', '.join(service.kinds)}."
        error = services.send(service.address.reveal(), Message(f"{target.name}: a test", text, "info"))
        with suppress(OSError, InsecurePath), told.change(folders.told(target.name)) as memory:
            memory.end(service.name, error, time.time())
        yield service.name, error
