"""Puts the manual pages into the wheel, so that `man borgctl` works wherever its bin/ is in PATH (manpath(1))."""

import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPages(BuildHookInterface):  # type: ignore[type-arg]
    """Renders them before the wheel is built; they lie in a directory that is gone afterwards."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name each page's file and its place."""
        self._made = tempfile.TemporaryDirectory()
        pages = runpy.run_path(str(Path(self.root, "docs/man/pages.py")))
        build_data["shared_data"] |= pages["write"](Path(self._made.name))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        self._made.cleanup()
