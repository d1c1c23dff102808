#!/bin/sh
# Install sudo, which one kind of login in the end-to-end tests needs; the demo does without.
here=$(dirname "$0")
. "$here/common.sh"
need_packages sudo
