"""What a key line starts: python3 -I -m borgctl.gate --policy FILE [--key NAME]."""

import gc

gc.disable()  # until something runs: what is imported is no garbage, and to look for some costs 2 ms

from borgctl.gate.main import main  # noqa: E402

main()
