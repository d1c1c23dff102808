#!/bin/sh
# Install systemd: its programs judge our units. It need not be what has started this machine.
here=$(dirname "$0")
. "$here/common.sh"
need_packages systemd
