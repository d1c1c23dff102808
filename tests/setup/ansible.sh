#!/bin/sh
# Print the directory that has ansible-playbook and ansible-lint, of releases that fit together, from PyPI where they aren't
# yet, once for each user, Python and architecture: ${XDG_CACHE_HOME:-$HOME/.cache}/borgctl/ansible-RELEASE-py3.X-ARCH/bin.
# A stamp written last tells a whole one.
here=$(dirname "$0")
. "$here/common.sh"

core=2.19.14 lint=26.10.1
exec 3>&1 1>&2 # stdout is for the path alone
python=${PYTHON:-python3}
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/borgctl
place=$cache/ansible-$core-py$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-$(uname -m)
mkdir -p "$cache"
exec 9<"$cache"
flock 9
if [ "$(cat "$place/borgctl-stamp" 2>/dev/null)" != "$core $lint" ] || ! "$place/bin/python" -c '' 2>/dev/null; then
    "$python" -c 'import ensurepip, venv' 2>/dev/null || need_packages python3-venv
    say "installing ansible-core $core and ansible-lint $lint once in $place"
    rm -rf "$place"
    "$python" -m venv "$place" # scripts hold absolute paths, so it is made where it stays
    quietly "$place/pip.log" "$place/bin/python" -m pip install --disable-pip-version-check \
        "ansible-core==$core" "ansible-lint==$lint"
    "$place/bin/python" -m compileall -q "$place/lib" || true # a linter's examples of bad Python are among it
    printf '%s\n' "$core $lint" >"$place/borgctl-stamp"
fi
printf '%s\n' "$place/bin" >&3
