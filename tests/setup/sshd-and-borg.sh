#!/bin/sh
# Install what the end-to-end tests and the demo run for real: sshd, ssh, sudo, and the distribution's borg.
here=$(dirname "$0")
. "$here/common.sh"
need_packages openssh-server openssh-client borgbackup sudo
