"""Start the process that tells people of runs: `python3 -I -m borgctl.pull.notify`, by the launcher."""

from borgctl.pull.notify.notifier import main

main()
