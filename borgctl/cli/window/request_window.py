"""Asking a gate for its open restore window, and waiting for one.

granted, connection = request_window(base, WindowRequest(("borg", "list")), wait=15)
"""

import time
from socket import socket

import typer

from borgctl.errors import BorgctlError
from borgctl.reasons import REASONS
from borgctl.state import window_protocol
from borgctl.state.state_dir import StateDir
from borgctl.state.window_protocol import WindowRequest

_EVERY = 0.2  # seconds between two looks
_TO_ANSWER = 30.0  # seconds: the gate writes a record first
_CLOSED = "no window is open"
_HINT = "on the server: borgpull window TARGET --for 30m"


def request_window(base: StateDir, what: WindowRequest, wait: float) -> tuple[dict[str, str], socket]:
    """Return the gate's answer and the connection to it; raise BorgctlError where no window opens in `wait` seconds."""
    end, announced = time.monotonic() + wait, False
    while True:
        busy = None
        for run, connection in window_protocol.windows(base.fd):
            answer = _answer(connection, what)
            if answer is not None and answer.get("run") == run:
                return answer, connection
            connection.close()
            if answer is not None and "refused" in answer:
                busy = BorgctlError(REASONS[str(answer["refused"])].code, str(answer.get("detail")))
        if busy is not None:
            raise busy
        if time.monotonic() > end:
            raise BorgctlError("window-closed", _CLOSED, _HINT)
        if not announced:
            typer.echo("borgctl: waiting for a window", err=True)
            announced = True
        time.sleep(_EVERY)


def _answer(connection: socket, what: WindowRequest) -> dict[str, str] | None:
    """Ask, and return the gate's answer; None where the gate has gone or serves another repository."""
    connection.settimeout(_TO_ANSWER)
    return window_protocol.receive(connection) if window_protocol.send(connection, what.message) else None
