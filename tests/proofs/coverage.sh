#!/bin/sh
# Branch coverage of the policy language by its unit tests and the (small) proofs: prints the table, fails below 100 %.
#
#   sh tests/proofs/coverage.sh            PYTHON=… names the Python that has coverage and pytest (default: .venv's)
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
modules="request yamlnodes vocabulary policy policyfile orders judge launch templates values"

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
export COVERAGE_FILE="$directory/data" PYTHONDONTWRITEBYTECODE=1

include='' tests=''
for module in $modules; do
    include="$include,*/borgctl/$module.py"
    ! [ -e "tests/unit/test_$module.py" ] || tests="$tests tests/unit/test_$module.py"
done
# shellcheck disable=SC2086 # a list of files
"$python" -m coverage run --branch --include="${include#,}" -m pytest -q -p no:cacheprovider $tests tests/proofs && failed=0 || failed=$?
"$python" -m coverage report --show-missing --fail-under=100
exit "$failed"
