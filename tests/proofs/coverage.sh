#!/bin/sh
# Branch coverage of the policy language by its unit tests and the (small) proofs: prints the table, fails below 100 %.
#
#   sh tests/proofs/coverage.sh            PYTHON=… names the Python that has coverage and pytest (default: .venv's)
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
modules="wire/request wire/request_parser strict_yaml values borg/subcommands borg/value_kinds borg/variables borg/command"
modules="$modules policy/model policy/load policy/jobs policy/judge policy/placeholders"

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
export COVERAGE_FILE="$directory/data" PYTHONDONTWRITEBYTECODE=1

include='' tests=''
for module in $modules; do
    include="$include,*/borgctl/$module.py"
    for file in "tests/$(dirname "$module")/test_$(basename "$module").py" "tests/unit/test_$module.py"; do
        ! [ -e "$file" ] || tests="$tests $file"
    done
done
# shellcheck disable=SC2086 # a list of files
"$python" -m coverage run --branch --include="${include#,}" -m pytest -q -p no:cacheprovider $tests tests/proofs && failed=0 || failed=$?
"$python" -m coverage report --show-missing --fail-under=100
exit "$failed"
