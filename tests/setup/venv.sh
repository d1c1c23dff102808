#!/bin/sh
# Make .venv in the clone, with this package (editable) and its extras: tests/setup/venv.sh cli|dev
# Done again when pyproject.toml, the interpreter or the place of the clone has changed; 'dev' holds 'cli'.
# A script's first line can name no interpreter in a path with a blank, or a long one: the .venv of such a clone leads to
# ${XDG_CACHE_HOME:-$HOME/.cache}/borgctl/venv-HASH.
here=$(dirname "$0")
. "$here/common.sh"
cd "$here/../.." || exit
extra=${1:?cli or dev}
exec 9<tests/setup
flock 9 # two makes at a time

python=${PYTHON:-python3}
command -v "$python" >/dev/null || die "no $python here: install Python 3.11 or later"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$("$python" --version) is too old: borgctl needs Python 3.11 or later (name another with PYTHON=…)"

made="$("$python" -c 'import sys; print(sys.version, sys.base_prefix)') $PWD"
asked=$(sha256sum <pyproject.toml)
stamp=.venv/borgctl-stamp
for whole in dev "$extra"; do
    if [ "$(cat "$stamp" 2>/dev/null)" = "$whole $asked $made" ] && .venv/bin/python -c '' 2>/dev/null; then
        exit 0
    fi
done

say "installing borgctl[$extra] in .venv ($("$python" --version))"
"$python" -c 'import ensurepip, venv' 2>/dev/null || need_packages python3-venv
rm -f "$stamp"
if [ "$(cat .venv/borgctl-made 2>/dev/null)" != "$made" ]; then
    rm -rf .venv
    place=$PWD/.venv
    if [ ${#PWD} -gt 80 ] || ! expr "$PWD" : '[A-Za-z0-9._/+@-]*$' >/dev/null; then
        place=${XDG_CACHE_HOME:-${HOME:?}/.cache}/borgctl/venv-$(printf %s "$PWD" | sha256sum | cut -c -16)
        mkdir -p "${place%/*}"
        rm -rf "$place"
        ln -s "$place" .venv
    fi
    "$python" -m venv "$place"
    printf '%s\n' "$made" >.venv/borgctl-made
fi
place=$(readlink -f .venv)
quietly "$place/pip.log" "$place/bin/python" -m pip install --disable-pip-version-check --editable ".[$extra]"
.venv/bin/python -m compileall -q borgctl # tests start these programs thousands of times
printf '%s\n' "$extra $asked $made" >"$stamp"
