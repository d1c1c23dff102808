#!/bin/sh
# Install the two judges of the manual pages: groff and mandoc.
here=$(dirname "$0")
. "$here/common.sh"
need_packages groff-base mandoc
