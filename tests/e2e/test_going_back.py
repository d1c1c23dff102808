"""The page on going back, typed as it stands there: what a client has deleted comes back, with each borg."""

import re
from pathlib import Path

from machines import run

PAGE = Path(__file__).parents[2] / "docs/going-back.md"


def test_what_a_client_deleted_comes_back_by_the_commands_of_the_page(scratch, borg):
    repository, serve = scratch / "web1", scratch / "serve"
    serve.write_text(f"#!/bin/sh\nexec {borg.path} serve --append-only --restrict-to-repository {repository}\n")
    serve.chmod(0o755)
    env = {"PATH": "/usr/bin:/bin", "BORG_BASE_DIR": str(scratch / "base"), "BORG_RSH": str(serve)}
    env |= {"BORG_PASSPHRASE": "secret", "BORG_SELFTEST": "disabled"}

    def client(*words):
        done = run([borg.path, *(word.replace("REPO", f"ssh://server{repository}") for word in words)], env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    client("init", "--encryption=repokey", "REPO")
    client("create", "REPO::one", str(PAGE))
    client("create", "REPO::two", str(PAGE))
    transactions = (repository / "transactions").read_text()
    good = transactions.splitlines()[-1].split()[1].rstrip(",")
    client("delete", "REPO::one", "two")
    assert client("list", "--short", "REPO") == "" and (repository / "transactions").read_text() != transactions
    done = run(["sh", "-ec", typed(repository, good)])
    assert done.returncode == 0, done.stderr
    assert (scratch / "web1.evidence/transactions").read_text() != transactions
    env["BORG_BASE_DIR"] = str(scratch / "new")  # what `borgctl moved --earlier` is for: tests/e2e/test_restore.py
    assert client("list", "--short", "REPO") == "one\ntwo\n"
    client("check", "--verify-data", "REPO")


def typed(repository, last):
    """Return the lines of the chapter 'Go back' that are typed on the server, for this repository and transaction."""
    chapter = PAGE.read_text().partition("\n## Go back\n")[2]
    block = re.search(r"(?m)(?:^ {4}.*\n)+", chapter)[0]
    assert "R=/srv/borg/web1 N=13\n" in block
    return block.replace("R=/srv/borg/web1 N=13", f"R={repository} N={last}")
