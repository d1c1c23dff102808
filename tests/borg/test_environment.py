"""The environment of borg: what it holds, what a policy may set, and that nothing else gets in."""

import shlex

from hypothesis import given
from hypothesis import strategies as st

from borgctl.borg import environment


def test_the_environment_is_built_from_nothing(monkeypatch):
    monkeypatch.setenv("BORG_PASSCOMMAND", "id")
    env = environment.borg_environment("/base/borg", "/tmp/x", "borgctl@1")
    assert set(env) == {
        *("PATH", "HOME", "LOGNAME", "LANG", "TZ", "TMPDIR", "BORG_HOST_ID", "BORG_BASE_DIR", "BORG_EXIT_CODES"),
        *("BORG_SHOW_SYSINFO", "BORG_JSON_INDENT", "BORG_RELOCATED_REPO_ACCESS_IS_OK"),
        *("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "PYTHONNOUSERSITE", "PYTHONSAFEPATH"),
        "PYTHONDONTWRITEBYTECODE",
    }
    assert env["BORG_RELOCATED_REPO_ACCESS_IS_OK"] == env["BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"] == "no"


def test_what_guards_the_repository_cannot_be_chosen():
    fixed = {"BORG_BASE_DIR": "/evil", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes", "PYTHONSAFEPATH": ""}
    env = environment.borg_environment("/base/borg", "/tmp/x", "borgctl@1", fixed.items())
    assert env == environment.borg_environment("/base/borg", "/tmp/x", "borgctl@1")


def test_a_chosen_variable_stands_before_the_usual_one():
    env = environment.borg_environment(
        "/base/borg", "/tmp/x", "borgctl@1", [("TZ", "Europe/Berlin"), ("COLUMNS", "80")]
    )
    assert (env["TZ"], env["COLUMNS"]) == ("Europe/Berlin", "80")


@given(st.lists(st.text(st.characters(blacklist_characters="\0"), min_size=1), min_size=1))
def test_borg_splits_the_relay_into_the_words_that_were_meant(words):
    assert shlex.split(environment.with_transport({}, words, None)["BORG_RSH"]) == words


def test_the_passphrase_is_a_number_of_a_descriptor():
    assert environment.with_transport({"A": "b"}, ["r"], 3) == {"A": "b", "BORG_RSH": "r", "BORG_PASSPHRASE_FD": "3"}
    assert "BORG_PASSPHRASE_FD" not in environment.with_transport({}, ["r"], None)
