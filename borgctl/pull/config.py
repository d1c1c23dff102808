"""config: the repository's own file of settings and of its key, as a hash, for which no key is needed.

What a client can change there, through borg serve, is the key. Whether its own admin did it is not to be seen here.

    digest("/srv/borg/web1") == "9f86d081…"
"""

import hashlib
import os


def digest(repository: str) -> str | None:
    """Return the SHA-256 of the repository's config, however long a key the client has put there.

    None where there is none, or none that can be read.
    """
    try:
        fd = os.open(f"{repository}/config", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
