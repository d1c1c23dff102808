"""borgctl: commands for the people who look after a client. The gate never imports any of this."""

from borgctl.cli.app import main

__all__ = ["main"]
