"""A real HTTP server on loopback that receives what borgpull tells, and answers as the path says.

/ok… takes it, /refuse… says 403, /hang… says nothing until `released` is set, /redirect… leads to /ok, and /away… to
another scheme.
"""

import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 30.0  # seconds for what must come; no test passes by waiting


@dataclass(frozen=True)
class Request:
    """What came."""

    method: str
    path: str
    body: str


class Receiver:
    """The server, and what it has received."""

    def __init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                receiver._take(Request(self.command, self.path, self.rfile.read(length).decode()))
                if self.path.startswith("/hang"):
                    receiver.released.wait(PATIENCE)
                self.send_response(receiver._status(self.path))
                if self.path.startswith("/redirect"):
                    self.send_header("Location", "/ok/after")
                if self.path.startswith("/away"):
                    self.send_header("Location", f"ftp://127.0.0.1:{receiver.port}/ok")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - as the library wants it

            def log_message(self, *_: object) -> None:
                pass

        self.requests: list[Request] = []
        self.released = threading.Event()
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.handle_error = lambda *_: None  # who asked has gone
        self.server_port = self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str) -> str:
        """Return a URL to ping."""
        return f"http://127.0.0.1:{self.port}{path}"

    def service(self, path: str) -> str:
        """Return a URL of Apprise's."""
        return f"json://127.0.0.1:{self.port}{path}"

    def wait(self, count: int) -> list[Request]:
        """Wait until so many requests have come; return all."""
        end = time.monotonic() + PATIENCE
        with self._changed:
            while len(self.requests) < count:
                assert self._changed.wait(end - time.monotonic()), f"only {self.requests} came"
            return list(self.requests)

    def _take(self, request: Request) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    @staticmethod
    def _status(path: str) -> int:
        if path.startswith("/refuse"):
            return 403
        return 302 if path.startswith(("/redirect", "/away")) else 200
