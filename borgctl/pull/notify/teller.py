"""Teller: the launcher's end of the notifier, the process that tells people of runs.

It hands over what happened, and never waits for that: what the notifier does not read at once is kept until the next
call. At the end it waits for PATIENCE seconds at most. The notifier then goes on alone, and what it cannot do `borgpull
status` says.

    teller = Teller(folders, ["web1"], stop)
    teller.started(target, "default"); teller.ended(report); teller.finished()
"""

import contextlib
import json
import os
import select
import subprocess
import sys

from borgctl.console.ending import silence
from borgctl.process.event_loop import EventLoop
from borgctl.process.hook_environment import PATH
from borgctl.pull.process.signals import Stop
from borgctl.pull.report.report import RunReport, summary
from borgctl.pull.targets.paths import Folders
from borgctl.pull.targets.targets import Target
from borgctl.text import printable_excerpt

PATIENCE = 15.0  # seconds at the end of a call
_HURRIED = 2.0  # seconds, once somebody wants the call to end
_PROGRAM = (sys.executable, "-I", "-m", "borgctl.pull.notify")
_LONGEST = 20_000  # characters of a summary
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_PASSED = (*_PROXIES, *map(str.upper, _PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "TZ")
_NOT_STARTED = "borgpull: nobody is told of these runs: the notifier cannot be started"
_GOES_ON = "borgpull: messages are still being sent; 'borgpull status' says if that fails"


class Teller:
    """The notifier, and what is still to be handed over to it."""

    def __init__(self, folders: Folders, texts: tuple[str, ...], stop: Stop) -> None:
        self._texts, self._stop = texts, stop
        self._pending = b""
        self._process = _start()
        self._say(config=folders.config, state=folders.state, credentials=folders.credentials)

    def started(self, target: Target, job: str) -> None:
        """Tell that a job's run begins."""
        self._say(event="started", target=str(target.name), job=job)

    def ended(self, report: RunReport) -> None:
        """Tell how a run ended."""
        verdict = report.verdict
        how = {
            "outcome": verdict.outcome,
            "origin": verdict.origin,
            "reason": verdict.reason,
            "run": report.transcript.gate_run,
        }
        text = summary(report)[:_LONGEST]
        alerts = [(alert.reason, alert.text) for alert in report.alerts]
        self._say(event="ended", target=report.target, job=report.job, **how, text=text, alerts=alerts)

    def meanwhile(self, targets: tuple[str, ...]) -> None:
        """Tell that some runs still go on: of these targets others may be overdue by now."""
        self._texts = targets
        self._say(event="meanwhile", targets=list(targets))

    def finished(self) -> None:
        """Tell that all runs have ended; wait a moment, and print to stderr who could not be told."""
        self._say(event="finished", targets=list(self._texts))
        lines = [_NOT_STARTED] if self._process is None else self._last_lines(self._process)
        for line in lines:
            _print(printable_excerpt(line))

    def _last_lines(self, process: "subprocess.Popen[bytes]") -> list[str]:
        lines = self._end(process).decode("utf-8", "replace").splitlines()
        if process.poll() is None:
            lines.append(_GOES_ON)
        elif process.returncode != 0:
            lines.append(f"borgpull: the notifier ended with status {process.returncode}: not everybody was told")
        return lines

    def _say(self, **words: object) -> None:
        self._pending += json.dumps(words).encode("ascii") + b"\n"
        self._hand_over()

    def _hand_over(self) -> None:
        if self._process is None or self._process.stdin is None:
            return
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._process.stdin.fileno(), self._pending) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:  # it has ended: its status says so
            self._pending = b""

    def _end(self, process: "subprocess.Popen[bytes]") -> bytes:
        """Hand over what is left, close its stdin, and read what it prints, for a limited time; return that."""
        assert process.stdin is not None and process.stdout is not None
        loop, output = EventLoop(), bytearray()
        given, said = process.stdin, process.stdout
        over: list[str] = []

        def hand_over() -> None:
            self._hand_over()
            if not self._pending:
                loop.forget(given.fileno())
                given.close()

        def read() -> None:
            data = loop.read(said.fileno())
            output.extend(data)
            if not data:
                over.append("the end")

        loop.watch(given.fileno(), hand_over, select.POLLOUT)
        loop.watch(said.fileno(), read)
        loop.after(PATIENCE, lambda: over.append("no time left"))
        self._stop.tell(loop, lambda: loop.after(_HURRIED, lambda: over.append("stopped")))
        with said:
            while not over:
                loop.turn()
        with contextlib.suppress(OSError):
            given.close()
        if over == ["the end"]:
            process.wait()
        return bytes(output)


def _start() -> "subprocess.Popen[bytes] | None":
    """Start the notifier, in a session of its own: Ctrl-C at the terminal is for the runs. None where that fails."""
    env = {"PATH": PATH, "LANG": "C.UTF-8"} | {name: os.environ[name] for name in _PASSED if name in os.environ}
    try:
        process = subprocess.Popen(
            _PROGRAM,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            umask=0o077,
            start_new_session=True,
        )
    except OSError:
        return None
    assert process.stdin is not None
    os.set_blocking(process.stdin.fileno(), False)
    return process


def _print(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:  # nobody reads it
        silence(sys.stderr)
