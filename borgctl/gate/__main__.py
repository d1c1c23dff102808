"""What a key line starts: python3 -I -m borgctl.gate --policy FILE [--key NAME]."""

from borgctl.gate.main import main

main()
