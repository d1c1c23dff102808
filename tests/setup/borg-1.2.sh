#!/bin/sh
# Print the path of a borg of the 1.2 series: the distribution's, or where that is a newer one (Debian 13), one that is
# built from PyPI where it isn't yet (borg.sh).
here=$(dirname "$0")
. "$here/common.sh"
. "$here/borg.sh"
case "$(/usr/bin/borg --version 2>/dev/null)" in
    "borg 1.2."*) printf '%s\n' /usr/bin/borg ;;
    *) borg_from_pypi 1.2.9 --system-site-packages ;; # with the distribution's pyfuse3, to mount
esac
