#!/bin/sh
# Write requirements.lock (the commands for people, and what builds the package) and requirements-gate.lock (the gate alone)
# anew: every distribution with its release and the hashes of all its files, by PyPI's word of today.
here=$(dirname "$0")
. "$here/common.sh"
cd "$here/../.." || exit

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    die "name a Python 3.11 with PYTHON=…: what the oldest needs, newer ones take too"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$python" -m venv "$place/venv"
quietly "$place/pip.log" "$place/venv/bin/python" -m pip install --disable-pip-version-check pip-tools
lock() {
    output=$1
    shift
    printf '# pip install --require-hashes -r %s (made by: make lock)\n' "$output" >"$place/head"
    quietly "$place/$output.log" "$place/venv/bin/pip-compile" --generate-hashes --allow-unsafe --strip-extras \
        --no-header --no-annotate --build-deps-for wheel --no-emit-index-url --no-emit-find-links --upgrade "$@" \
        --output-file "$place/$output" pyproject.toml
    cat "$place/head" "$place/$output" >"$output"
    say "$output: $(grep -c '^[a-z]' "$output") distributions"
}
lock requirements.lock --extra cli
lock requirements-gate.lock
