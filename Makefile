# From a fresh clone on Debian or Ubuntu with git, make and Python 3.11 or later, as root or with sudo. Every target sets
# up what it needs first and says what it installs; a second time that takes a moment.
#
#   make check   lints and the quick tests that need no other program: about a minute on two cores
#   make test    all tests, those with a real sshd and two real borgs too
#   make test T=tests/unit/test_audit.py   only these, with the same set-up; 'make check T=…' likewise. T may hold several
#                words of pytest's, such as -k
#   make format  puts the code into the form that 'make check' asks for
#   make prove   the long proofs at their full size, of the policy language and of pulls in a storm of faults: an hour; two
#                hosts that Ansible sets up and takes down;
#                and 'make prove-guards': each guard of SECURITY.md taken out, in a copy, and its test seen to fail
#   make bench   backups side by side: borg alone, push, the published ways to pull, ours; an hour and a half, 5 GB. Other
#                trees, contenders and rounds: BENCH="--data usr --only scripts,stdio"; see bench/compare.py
#   make bench-parts   runs where nothing changed in close pairs, and what a run's parts cost, each by itself
#   make bench-smoke   the benchmarks with a small tree, once, to see that they run: two minutes
#   make test-on SUITE=trixie   'make demo' and 'make test' in a fresh tree of another Debian release, as root
#   make demo    both machines on this one: set-up, pulls, refusals, prune, compact, restore
#   make setup   only what 'make test' sets up          make lint, make documents, make lock, make clean
#   make man     the manual pages, in dist/man (an installed package has them: man borgctl)

.PHONY: help check lint format test test-on prove prove-guards bench bench-parts bench-smoke demo setup documents lock man clean
.NOTPARALLEL:

# where .venv leads to (tests/setup/venv.sh), asked when it's there
BIN = "$$(readlink -f .venv)"/bin
export PYTHONDONTWRITEBYTECODE := 1
# no caches in the clone
PYTEST = $(BIN)/python -m pytest -p no:cacheprovider
# tests wait for other programs much of the time, so more at once than there are cores; some take a minute, most no time
AT_ONCE := -n 4 --dist worksteal
# what the lints remember of this clone, and its tests as bytecode
CACHE = "$${XDG_CACHE_HOME:-$$HOME/.cache}/borgctl/lint$(subst /,-,$(CURDIR))"
# the tests that a target runs: all, or those that T names
T =
BORGS = BORGCTL_BORG_14="$$(sh tests/setup/borg-1.4.sh)" BORGCTL_BORG_12="$$(sh tests/setup/borg-1.2.sh)"

help:
	@sed -n 's/^#   //p' Makefile

check: lint
	PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CACHE)/bytecode \
		$(PYTEST) $(AT_ONCE) -m 'not e2e and not slow' $(or $(T),--ignore=tests/e2e --ignore=tests/proofs)

lint:
	@sh tests/setup/venv.sh dev
	$(BIN)/ruff check --no-cache
	$(BIN)/ruff format --check --no-cache
	@mkdir -p $(CACHE)
	$(BIN)/lint-imports --cache-dir $(CACHE)/imports & $(BIN)/mypy --cache-dir=$(CACHE)/mypy; typed=$$?; \
		wait $$! && exit $$typed

format:
	@sh tests/setup/venv.sh dev
	$(BIN)/ruff check --no-cache --select I --fix
	$(BIN)/ruff format --no-cache

test: setup
	$(BORGS) $(PYTEST) $(AT_ONCE) $(T)

prove: setup
	$(BORGS) BORGCTL_PROVE=1 $(PYTEST) -s -q tests/proofs tests/e2e/test_ansible.py
	@$(MAKE) --no-print-directory prove-guards

# one or a few of them: make prove-guards G="judge-path window-uid"
prove-guards: setup
	$(BORGS) $(BIN)/python tests/proofs/prove_guards.py $(G)

# its options: BENCH="--data tiny --rounds 3"
BENCH =
bench: setup
	@sh tests/setup/peers.sh
	@mkdir -p dist
	$(BIN)/python bench/compare.py --json dist/performance.json --svg dist/performance.svg $(BENCH)

# close pairs where nothing changed, what a run's parts cost, each by itself, and 300 targets in one call: half an hour
bench-parts: setup
	@sh tests/setup/peers.sh
	$(BIN)/python bench/unchanged.py
	$(BIN)/python bench/gate_start.py --pairs 15
	$(BIN)/python bench/launcher_start.py --pairs 15
	$(BIN)/python bench/parts.py --size full
	$(BIN)/python bench/throughput.py --size full --rounds 5
	$(BIN)/python bench/rpc_guard.py --size full --pairs 5
	$(BIN)/python bench/fleet.py

bench-smoke: setup
	@sh tests/setup/peers.sh
	$(BIN)/python bench/compare.py --data small --rounds 0
	$(BIN)/python bench/unchanged.py --data small --rounds 1 --only push,stdio
	$(BIN)/python bench/launcher_start.py --pairs 1
	$(BIN)/python bench/parts.py
	$(BIN)/python bench/throughput.py --rounds 1
	$(BIN)/python bench/fleet.py --targets 2 --parallel 2 --idle 20

documents:
	@sh tests/setup/venv.sh dev
	$(BIN)/python docs/generate.py

# the newest releases of what the package needs, with the hashes of all their files, for 'pip install --require-hashes'
lock:
	@sh tests/setup/lock.sh

man:
	@sh tests/setup/venv.sh dev
	$(BIN)/python docs/man/pages.py dist

demo:
	@sh tests/setup/venv.sh cli
	@sh tests/setup/sshd-and-borg.sh
	@$(BIN)/python tests/e2e/demo.py

setup:
	@sh tests/setup/venv.sh dev
	@sh tests/setup/sshd-and-borg.sh
	@sh tests/setup/sudo.sh
	@sh tests/setup/manual.sh
	@sh tests/setup/systemd.sh
	@sh tests/setup/chromium.sh
	@sh tests/setup/borg-1.4.sh >/dev/null
	@sh tests/setup/borg-1.2.sh >/dev/null
	@sh tests/setup/ansible.sh >/dev/null

# in a fresh tree of another Debian release: make test-on SUITE=trixie; RUN= for other commands than the README's
RUN = make demo && make test
test-on:
	@sh tests/setup/test-on.sh "$(SUITE)" '$(RUN)'

clean:
	rm -rf $(CACHE) "$$(readlink -f .venv)" .venv dist .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
