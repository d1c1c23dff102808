"""How borg is ended: INT to it alone (it writes a checkpoint, and needs its relay for that), TERM to it, KILL to all.

The seconds of each step count from the one before.
"""

import signal

BORG_ENDING = ((0.0, signal.SIGINT), (20.0, signal.SIGTERM), (10.0, signal.SIGKILL))
