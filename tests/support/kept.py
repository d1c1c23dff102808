"""Machines that tests have in turn: set up once, and put back for each test as they were then.

    pair = kept(with_an_archive, borg, "stdio", "repokey-blake2")

The test gets what `with_an_archive(directory, sshd, borg, "stdio", "repokey-blake2")` returned: something with a
`client` and a `server`, which live in that directory, and a `join()` that makes the sshd know them.
"""

import copy
import shutil

import machines


class Kept:
    """What was set up in this process, by who made it of what."""

    def __init__(self, directory, sshd):
        self._directory, self._sshd, self._made = directory, sshd, {}

    def __call__(self, make, *words):
        """Return what `make` makes of these words, with nothing done since."""
        if (make, *words) in self._made:
            made = self._made[make, *words]
            for place in _places(made):
                if place.exists():
                    shutil.rmtree(place)
                _copy(f"{place}.kept", place)
            made.join()
        else:
            directory = self._directory / str(len(self._made))
            if directory.exists():  # of one that failed
                shutil.rmtree(directory)
            made = make(directory, self._sshd, *words)
            machines.wait_for(lambda: not self._sshd.sessions(), what="the sessions to end")
            for place in _places(made):
                _copy(place, f"{place}.kept")
            self._made[make, *words] = made
        made = copy.copy(made)
        made.client, made.server = copy.copy(made.client), copy.copy(made.server)
        return made


def _places(made):
    return made.client.directory, made.server.directory


def _copy(source, target):
    """Copy a directory with owners, modes, times and links."""
    done = machines.run(["cp", "--archive", "--no-target-directory", source, target])
    assert done.returncode == 0, done.stderr
