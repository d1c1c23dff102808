"""The two real borgs as judges: one long-lived process each, asked in batches, JSON lines over pipes.

Parser(borg).differences([{"argv": […], "meant": {…}}, …]) == []
"""

import contextlib
import json
import subprocess
import threading
from pathlib import Path

_WORKER = str(Path(__file__).parent / "borg_worker.py")
_ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
# What every argv of the gate has, in the words of this proof and not of `command_line`
PINNED = [["log-json", None], ["umask", "0077"], ["lock-wait", "120"]]


class Parser(contextlib.AbstractContextManager):
    """The argument parser of one real borg."""

    def __init__(self, borg):
        self.series = borg.series
        self._process = subprocess.Popen(
            [borg.python, _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=_ENV
        )

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def ask(self, question):
        """Send one question, wait for its answer."""
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the worker died; its last words are on stderr"
        return json.loads(line)

    def differences(self, cases):
        """Return [[number of the case, what borg reads otherwise than it was meant], …]."""
        answer = self.ask({"cases": cases})
        assert answer["parsed"] == len(cases)
        return answer["differences"]

    def destinations(self, command, names):
        """Return where borg keeps each of these options of a subcommand, without those that it does not know."""
        return self.ask({"command": command, "names": names})["destinations"]


def both(parsers, cases):
    """Ask both borgs at once, each what it can know; return how many each was asked, and the differences.

    `cases` is [(oldest series that knows all of it, case), …].
    """
    results, asked = {}, {}

    def work(series, parser):
        mine = [case for since, case in cases if since <= series]
        asked[series] = len(mine)
        results[series] = [(series, mine[at], text) for at, text in parser.differences(mine)]

    threads = [threading.Thread(target=work, args=pair) for pair in parsers.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.keys() == parsers.keys(), "a worker failed; see above"
    return asked, [difference for found in results.values() for difference in found]
