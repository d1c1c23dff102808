"""The chart of a comparison: one panel for each phase, one bar for each contender, as SVG for the documents.

    .venv/bin/python bench/chart.py results.json >docs/performance.svg

The text of every bar says its number, so the chart can be read without its colours; it follows the reader's dark or
light setting.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from results import PHASES, Results, read

OURS = {
    "stdio": "ours: stdio",
    "socket": "ours: socket",
    "no-sandbox": "stdio, no sandbox",
    "no-guard": "stdio, no guard",
}
PEERS = {
    "local": "local, the limit",
    "push": "push over ssh",
    "push-gcm": "push, AES-GCM",
    "scripts": "published scripts",
    "socat": "socat recipe",
    "sshfs": "sshfs",
}
WIDTH, ROW, BAR, LEFT, RIGHT, HEAD = 760, 22, 15, 150, 90, 34  # pixels
STYLE = """
svg { background: #ffffff }
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .head { font-weight: 600; font-size: 15px }
.peer { fill: #8c959f } .limit { fill: #d0d7de } .ours { fill: #0969da } .part { fill: #54aeff }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117 }
  text { fill: #e6edf3 } .peer { fill: #6e7681 } .limit { fill: #3d444d }
  .ours { fill: #4493f8 } .part { fill: #1f6feb }
}"""


def draw(results: Results) -> str:
    """Return the chart as SVG."""
    names = [name for name in {**PEERS, **OURS} if name in results.steps]
    panel = HEAD + ROW * len(names) + 14
    height = panel * len(PHASES)
    size = {"width": str(WIDTH), "height": str(height), "viewBox": f"-12 -6 {WIDTH + 24} {height + 6}"}
    top = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", "aria-labelledby": "title desc"} | size)
    SubElement(top, "title", {"id": "title"}).text = "Seconds that each way of backing up takes"
    SubElement(
        top, "desc", {"id": "desc"}
    ).text = f"{results.files:,} files, {results.bytes:,} bytes, {results.machine}; medians of rounds, less is better"
    SubElement(top, "style").text = STYLE
    for at, (phase, title) in enumerate(PHASES.items()):
        group = SubElement(top, "g", {"transform": f"translate(0 {at * panel})"})
        SubElement(group, "text", {"class": "head", "x": "0", "y": "20"}).text = f"{title}, seconds"
        longest = max(results.wall(name, phase) for name in names)
        for row, name in enumerate(names):
            _bar(group, HEAD + row * ROW, name, results.wall(name, phase), longest)
    ElementTree.indent(top)
    return ElementTree.tostring(top, encoding="unicode") + "\n"


def _bar(group: Element, y: int, name: str, seconds: float, longest: float) -> None:
    width = (WIDTH - LEFT - RIGHT) * seconds / longest
    middle = str(y + BAR - 3)
    kind = (
        "limit" if name == "local" else "peer" if name in PEERS else "ours" if name in ("stdio", "socket") else "part"
    )
    SubElement(group, "text", {"x": "0", "y": middle}).text = (PEERS | OURS)[name]
    SubElement(
        group,
        "rect",
        {"class": kind, "x": str(LEFT), "y": str(y), "width": f"{width:.1f}", "height": str(BAR), "rx": "2"},
    )
    SubElement(group, "text", {"x": f"{LEFT + width + 6:.1f}", "y": middle}).text = f"{seconds:.2f}"


if __name__ == "__main__":
    sys.stdout.write(draw(read(Path(sys.argv[1]).read_text())))
