"""A real browser without a screen: Debian's chromium, driven through the pipe of its debugging protocol.

with Browser() as browser:
    page = browser.open(file, width=390, dark=True)
    page.value("document.documentElement.scrollWidth"), page.complaints, page.requests
"""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PATIENCE = 120  # seconds for one answer on a busy machine
WORDS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-quic", "--disable-breakpad"),
    *("--remote-debugging-pipe", "about:blank"),
)
# It reads commands from descriptor 3 and writes to 4.
START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
COMPLAINTS = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")


@dataclass
class Page:
    """A page that has been loaded: what the browser logged meanwhile, and which addresses it asked for."""

    browser: "Browser"
    session: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def value(self, expression):
        """Return what a script of ours says, which no policy of the page's holds up."""
        answer = self.browser.call("Runtime.evaluate", self.session, expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    def picture(self, file, *, whole=True):
        """Write what is seen as PNG."""
        shown = self.browser.call("Page.captureScreenshot", self.session, captureBeyondViewport=whole)
        Path(file).write_bytes(b64decode(shown["data"]))


class Browser:
    """A chromium with a new, empty profile."""

    def __enter__(self):
        chromium = shutil.which("chromium")
        if chromium is None:
            pytest.fail("no chromium here: run 'make setup'", pytrace=False)
        self.profile = tempfile.mkdtemp(prefix="browser-")
        (theirs_in, self.commands), (self.answers, theirs_out) = os.pipe(), os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (theirs_in, theirs_out)]
        for fd in (theirs_in, theirs_out):
            os.close(fd)
        argv = [sys.executable, "-I", "-c", START, *map(str, high), chromium, f"--user-data-dir={self.profile}", *WORDS]
        home = {"PATH": "/usr/bin:/bin", "HOME": self.profile, "LANG": "C.UTF-8"}
        null = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        self.process = subprocess.Popen(argv, pass_fds=high, env=home, **null)
        for fd in high:
            os.close(fd)
        self.number, self.unread = 0, b""
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self.commands)
            os.close(self.answers)
            shutil.rmtree(self.profile, ignore_errors=True)

    def open(self, file, *, width, height=900, dark=False, media=""):
        """Load a file in a tab of its own, and return the page; `media` is "print" for what goes to paper."""
        tab = self.call("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"])
        self.page = page
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.call(f"{domain}.enable", page.session)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", page.session, **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", page.session, media=media, features=[scheme])
        self.loaded = False
        self.call("Page.navigate", page.session, url=Path(file).as_uri())
        while not self.loaded:
            self._read()
        return page

    def call(self, method, session=None, **params):
        """Have the browser do something, and return its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self.number:
            pass
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _read(self):
        """Return the next message; keep what one tells of the page that is open."""
        while b"\0" not in self.unread:
            assert select.select([self.answers], [], [], PATIENCE)[0], "the browser says nothing"
            block = os.read(self.answers, 1 << 20)
            assert block, "the browser has ended"
            self.unread += block
        line, _, self.unread = self.unread.partition(b"\0")
        message = json.loads(line)
        method, params = message.get("method"), message.get("params")
        if method in COMPLAINTS:
            self.page.complaints.append(json.dumps(params))
        elif method == "Network.requestWillBeSent":
            self.page.requests.append(params["request"]["url"])
        elif method == "Page.loadEventFired":
            self.loaded = True
        return message
