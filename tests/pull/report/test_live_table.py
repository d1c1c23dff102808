"""What a terminal shows while runs go on: one line for one, a table for many, whatever its size."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from borgctl.pull.client.borglog import Counts, Step
from borgctl.pull.client.transcript import Message
from borgctl.pull.report import live_table
from borgctl.pull.report.live_table import Live

NOW = 1000.0  # the time of the clock, which stands still


@pytest.fixture(autouse=True)
def clock(monkeypatch) -> None:
    monkeypatch.setattr(live_table, "time", SimpleNamespace(monotonic=lambda: NOW))


def live(columns: int = 120, height: int = 24, past: int | None = None) -> tuple[Live, Console]:
    console = Console(file=io.StringIO(), force_terminal=True, width=columns, height=height, color_system=None)
    return Live(console, lambda title: past), console


def drawn(screen: Live, console: Console, after: float) -> list[str]:
    """Return what is drawn, `after` seconds from now."""
    size = {"width": console.width, "height": console.height}
    other = Console(file=io.StringIO(), force_terminal=True, color_system=None, **size)
    other.print(screen._drawn(NOW + after))
    return other.file.getvalue().splitlines()


def test_one_run_is_a_line() -> None:
    screen, console = live()
    screen.begin("web1 default")
    screen.show("web1 default", Counts(3, 2_000_000, 1000))
    (line,) = drawn(screen, console, 10)
    assert "web1 default, 3 files, 2.0 MB original, 1.0 kB new, 10 s" in line


def test_more_are_a_table_with_rate_and_time_left() -> None:
    screen, console = live(past=40_000_000)
    for name in ("web1 default", "web2 default"):
        screen.begin(name)
    screen.show("web1 default", Counts(3, 10_000_000, 1000))
    screen.show("web2 default", Step("Saving files"))
    lines = drawn(screen, console, 10)
    assert lines[0].split()[:6] == ["run", "now", "files", "read", "new", "rate"]
    assert lines[1].split()[:2] == ["web1", "default"] and "10.0 MB" in lines[1] and "MB/s" in lines[1]
    assert "30 s" in lines[1].split("/s")[1] and "━" in lines[1]
    assert "Saving files" in lines[2] and lines[3].strip() == "2 running, 0 ended"


@pytest.mark.parametrize(("height", "rows"), [(24, 20), (10, 6), (3, 1)])
def test_a_table_is_never_longer_than_the_terminal(height, rows) -> None:
    screen, console = live(columns=60, height=height)
    for number in range(50):
        screen.begin(f"web{number} default")
    lines = drawn(screen, console, 5)
    assert len([line for line in lines if line.startswith("web")]) == rows and len(lines) <= max(height, 4)
    assert f"{50 - rows} more running, 50 running, 0 ended" in lines[-1]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_client_draws_with_its_words(columns) -> None:
    screen, console = live(columns=columns)
    for name in ("web1 default", "web2 default"):
        screen.begin(name)
    screen.show("web1 default", Step("[red]x[/red]\n\x1b[2Jweb9 default: ok" * 50))
    lines = drawn(screen, console, 5)
    assert len(lines) == 4 and all(len(line) <= columns for line in lines)
    assert [line.split()[0] for line in lines] == ["run", "web1", "web2", "2"]
    assert not any("\x1b[2J" in line for line in lines)


def test_it_goes_with_the_last_run_and_messages_stand_above() -> None:
    screen, console = live()
    for name in ("web1 default", "web2 default"):
        screen.begin(name)
    screen.show("web1 default", Message("borg", "WARNING", "disk is slow"))
    screen.tick(NOW + 1)
    assert screen.due() is not None
    screen.end("web1 default", "web1 default: ok")
    screen.end("web2 default", "web2 default: ok")
    assert screen.due() is None
    text = console.file.getvalue()
    assert "web1 default: borg: warning: disk is slow" in text and text.rstrip().endswith("web2 default: ok")
