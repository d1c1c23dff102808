"""borg's version: asked once for each file, as a run would start it; what a borg that fails has said."""

import os

import programs
import pytest
import stage

from borgctl.errors import BorgctlError
from borgctl.process.spawn import Confinement
from borgctl.sandbox import plan
from borgctl.state import borg_version
from borgctl.state.state_dir import StateDir

NEEDS_A_ROOM = """\
#!/usr/bin/python3 -I
import tempfile
tempfile.TemporaryFile()
print("borg 1.4.5")
"""


@pytest.fixture
def base(tmp_path):
    with_base = StateDir.open(str(tmp_path / "base"))
    yield with_base
    os.close(with_base.fd)


def code_of(caught):
    return caught.value.reason.code


def fake_borg(tmp_path, answer, status=0):
    return programs.script(
        tmp_path / "borg", f"echo called >> {tmp_path}/calls\nprintf '%s\\n' '{answer}'\nexit {status}"
    )


def calls(tmp_path):
    return len((tmp_path / "calls").read_text().splitlines()) if (tmp_path / "calls").exists() else 0


@pytest.mark.parametrize(
    ("answer", "release"),
    [
        ("borg 1.4.5", (1, 4, 5)),
        ("borg 1.2.4", (1, 2, 4)),
        ("borg 1.4.5.dev3+g12ab", (1, 4, 0)),
        ("borg 1.2.99-rc1", (1, 2, 0)),
    ],
)
def test_a_release_of_a_known_series_is_taken(base, tmp_path, answer, release):
    version = borg_version.version(base, fake_borg(tmp_path, answer), {}, Confinement())
    assert (f"borg {version.text}", version.release, version.series) == (answer, release, release[:2])


@pytest.mark.parametrize(
    "answer",
    ["borg 2.0.0b14", "borg 1.1.18", "borg 1.40.1", "borg 1.4", "borg 11.4.5", "", "hello", "borg 1.4.5 x"],
)
def test_another_series_or_nonsense_is_unsupported(base, tmp_path, answer):
    with pytest.raises(BorgctlError) as caught:
        borg_version.version(base, fake_borg(tmp_path, answer), {}, Confinement())
    assert code_of(caught) == "borg-unsupported"


def test_borg_is_asked_once_for_each_file(base, tmp_path):
    borg = fake_borg(tmp_path, "borg 1.4.5")
    for _ in range(3):
        assert borg_version.version(base, borg, {}, Confinement()).text == "1.4.5"
    assert calls(tmp_path) == 1
    fake_borg(tmp_path, "borg 1.4.6")
    os.utime(borg, ns=(1, 1))
    assert borg_version.version(base, borg, {}, Confinement()).text == "1.4.6"
    assert calls(tmp_path) == 2


def test_a_failure_is_not_kept(base, tmp_path):
    borg = programs.script(tmp_path / "borg", f"test -e {tmp_path}/ready || exit 1\necho borg 1.4.5")
    with pytest.raises(BorgctlError):
        borg_version.version(base, borg, {}, Confinement())
    (tmp_path / "ready").touch()
    assert borg_version.version(base, borg, {}, Confinement()).text == "1.4.5"


def test_a_missing_borg_is_missing(base, tmp_path):
    with pytest.raises(BorgctlError) as caught:
        borg_version.version(base, str(tmp_path / "none"), {}, Confinement())
    assert code_of(caught) == "borg-missing"


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_borg_that_others_may_write_is_never_started(base, tmp_path, mode):
    borg = fake_borg(tmp_path, "borg 1.4.5")
    os.chmod(borg, mode)
    with pytest.raises(BorgctlError) as caught:
        borg_version.version(base, borg, {}, Confinement())
    assert code_of(caught) == "borg-unsafe" and calls(tmp_path) == 0


def test_a_borg_in_a_directory_that_others_may_write_is_never_started(base, tmp_path):
    (tmp_path / "bin").mkdir()
    borg = fake_borg(tmp_path / "bin", "borg 1.4.5")
    (tmp_path / "bin").chmod(0o777)
    with pytest.raises(BorgctlError) as caught:
        borg_version.version(base, borg, {}, Confinement())
    assert code_of(caught) == "borg-unsafe" and calls(tmp_path / "bin") == 0


def test_a_cache_that_lies_is_only_believed_for_the_very_file(base, tmp_path):
    with open(f"{base.path}/borg-version", "w") as file:
        file.write("1:2:3:4 1.4.5")
    with pytest.raises(BorgctlError) as caught:
        borg_version.version(base, fake_borg(tmp_path, "borg 2.0.0"), {}, Confinement())
    assert code_of(caught) == "borg-unsupported"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "echo Traceback >&2; echo >&2; echo 'ImportError: no x' >&2; exit 2",
            "status 2 and said 'Traceback ImportError: no x'",
        ),
        ("echo borg 1.4.5; exit 1", "status 1 and said ''"),
        ("kill -9 $$", "status -9"),
        ("head -c 300000 /dev/zero | tr '\\0' x >&2; exit 3", "status 3"),
    ],
)
def test_what_a_borg_that_fails_has_said_is_in_the_reason(base, tmp_path, body, said):
    with pytest.raises(BorgctlError) as caught:
        borg_version.version(base, programs.script(tmp_path / "borg", body), {"PATH": "/usr/bin:/bin"}, Confinement())
    assert code_of(caught) == "borg-missing" and said in caught.value.detail and len(caught.value.detail) < 1000


@pytest.mark.parametrize("mode", ["prefer", "off"])
def test_a_borg_whose_imports_write_has_a_directory_of_its_own_for_that(base, tmp_path, mode):
    borg = tmp_path / "borg"
    borg.write_text(NEEDS_A_ROOM)
    borg.chmod(0o755)
    policy = stage.written(
        tmp_path,
        f"version: 1\nrepositories: {{/srv/a: {{encryption: none}}}}\njobs: {{}}\nborg: {borg}\nuser: 64123\n",
    )
    held = plan.prepare(mode, policy.user, policy.borg)
    assert borg_version.asked(policy, held, base, "12ab").text == "1.4.5"
    assert os.listdir(f"{base.path}/runs") == []
