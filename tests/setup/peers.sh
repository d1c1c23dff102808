#!/bin/sh
# Install what the benchmarks compare borgctl with: socat, nc and sshfs.
here=$(dirname "$0")
. "$here/common.sh"
need_packages socat netcat-openbsd sshfs fuse3
