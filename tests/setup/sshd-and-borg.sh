#!/bin/sh
# Install what the end-to-end tests and the demo run for real: sshd, ssh, sudo, the distribution's borg with what it needs
# to mount an archive, and ip for a link that can be taken down.
here=$(dirname "$0")
. "$here/common.sh"
need_packages openssh-server openssh-client borgbackup sudo iproute2 python3-pyfuse3 fuse3
