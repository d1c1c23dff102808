# Build a borg release from PyPI, once for each user, Python and architecture; sourced after common.sh, never run.
# shellcheck shell=sh

# borg_from_pypi RELEASE [OPTION]: build it where it isn't yet, and print its path, which is
# ${XDG_CACHE_HOME:-$HOME/.cache}/borgctl/borg-RELEASE-py3.X-ARCH/bin/borg. A stamp written last tells a whole build.
# OPTION is for `python -m venv`.
borg_from_pypi() {
    release=$1 option=${2:---clear}
    exec 3>&1 1>&2 # stdout is for the path alone
    python=${PYTHON:-python3}
    cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/borgctl
    place=$cache/borg-$release-py$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-$(uname -m)
    mkdir -p "$cache"
    exec 9<"$cache"
    flock 9
    if [ "$(cat "$place/borgctl-stamp" 2>/dev/null)" != "$release" ] || ! "$place/bin/python" -c '' 2>/dev/null; then
        build_borg
    fi
    printf '%s\n' "$place/bin/borg" >&3
}

build_borg() {
    set -- pkg-config libc6-dev libacl1-dev libzstd-dev liblz4-dev libxxhash-dev libssl-dev
    command -v gcc >/dev/null || set -- "$@" gcc
    "$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null ||
        set -- "$@" python3-dev
    "$python" -c 'import ensurepip, venv' 2>/dev/null || set -- "$@" python3-venv
    need_packages "$@"
    say "building borg $release once in $place (a minute or two)"
    rm -rf "$place"
    "$python" -m venv "$option" "$place" # scripts hold absolute paths, so it is built where it stays
    quietly "$place/build.log" "$place/bin/python" -m pip install --disable-pip-version-check "borgbackup==$release"
    "$place/bin/borg" --version
    printf '%s\n' "$release" >"$place/borgctl-stamp"
}
