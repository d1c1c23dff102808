#!/bin/sh
# Install the browser in which the tests look at the page of `borgpull report`: chromium, with a font.
here=$(dirname "$0")
. "$here/common.sh"
need_packages chromium fonts-dejavu-core
