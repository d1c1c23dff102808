"""The signals that end borg: INT to it alone (it writes a checkpoint over its relay), TERM to it, KILL to all.

The seconds of each step count from the step before.
"""

import signal

BORG_ENDING = ((0.0, signal.SIGINT), (20.0, signal.SIGTERM), (10.0, signal.SIGKILL))
