"""What is backed up in the benchmarks: trees of files, and a change of one per cent of them.

    tree = grow("/tmp/x/tree", "random")
    change(tree, "a seed")

`random` is 1 GiB in 16 files and 20,000 files of 0.1 to 9 KB; `little` is those 20,000 alone; `small` has the shape of
`random` and a hundredth of it; `tiny` is 200,000 files of up to 200 bytes; `usr` is a copy of /usr, and `share` one of
/usr/share. All others are random data, which no compression makes smaller.
"""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from typing import NamedTuple


class Shape(NamedTuple):
    """Big files and their size in bytes; little files, and the least and most bytes of each."""

    big: int
    size: int
    little: int
    least: int = 100
    most: int = 9_000


SHAPES = {
    "random": Shape(16, 64 << 20, 20_000),
    "small": Shape(4, 2 << 20, 200),
    "little": Shape(0, 0, 20_000),
    "tiny": Shape(0, 0, 200_000, 1, 200),
}
COPIES = {"usr": "/usr", "share": "/usr/share"}
NAMES = (*SHAPES, *COPIES)


class Tree(NamedTuple):
    """A tree of regular files."""

    path: str

    def files(self) -> Iterator[os.DirEntry[str]]:
        """Yield every regular file."""
        waiting = [self.path]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        yield entry

    def size(self) -> tuple[int, int]:
        """Return the number of files and of their bytes."""
        sizes = [entry.stat(follow_symlinks=False).st_size for entry in self.files()]
        return len(sizes), sum(sizes)


def grow(path: str, name: str) -> Tree:
    """Make a new tree of that name at `path`."""
    if name in COPIES:
        subprocess.run(["cp", "-a", COPIES[name], path], check=True)
        return Tree(path)
    shape, draw = SHAPES[name], random.Random(8)  # noqa: S311 - repeatable, not secret
    lengths = [shape.size] * shape.big + [draw.randrange(shape.least, shape.most) for _ in range(shape.little)]
    for at, length in enumerate(lengths):
        folder = f"{path}/{at // 1000}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/{at}", "xb") as file:
            file.write(draw.randbytes(length))
    return Tree(path)


def change(tree: Tree, seed: str) -> None:
    """Write new random data into one per cent of the files, and over one per cent of the bytes of the largest ones."""
    draw = random.Random(seed)  # noqa: S311
    files = sorted(tree.files(), key=lambda entry: entry.path)
    for entry in draw.sample(files, max(1, len(files) // 100)):
        _overwrite(entry.path, 0, min(entry.stat().st_size, 9_000), draw)
    largest = max(files, key=lambda entry: entry.stat().st_size)
    _, size = tree.size()
    length = min(size // 100, largest.stat().st_size)
    _overwrite(largest.path, draw.randrange(largest.stat().st_size - length + 1), length, draw)


def renew(tree: Tree) -> None:
    """Put a copy in the place of every file: new inodes and change times, the same data and modification times."""
    subprocess.run(["cp", "-a", tree.path, f"{tree.path}.new"], check=True)
    shutil.rmtree(tree.path)
    os.rename(f"{tree.path}.new", tree.path)


def _overwrite(path: str, offset: int, length: int, draw: random.Random) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(draw.randbytes(length))
