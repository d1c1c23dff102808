"""Pull-mode BorgBackup that neither side has to trust: the gate, the launcher and their commands."""

__version__ = "0.1.0"
