#!/bin/sh
# Print the path of the newest borg of the 1.4 series, built from PyPI where it isn't yet (borg.sh).
here=$(dirname "$0")
. "$here/common.sh"
. "$here/borg.sh"
borg_from_pypi 1.4.5
