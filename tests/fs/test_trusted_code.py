"""No other user can change a program, its interpreter, or a module of borg's Python without being refused."""

import os
import sys

import pytest
import stage
from programs import script

from borgctl.fs import trusted_code
from borgctl.fs.secure_path import InsecurePath

OTHER = 54321
only_root = pytest.mark.skipif(not stage.ROOT, reason="only root gives files away")


@pytest.fixture
def environment(tmp_path):
    """Make a virtual environment with a borg, and all that may lead its Python elsewhere; return its directory."""
    top = tmp_path / "venv"
    packages = top / "lib/python3.11/site-packages"
    (packages / "borg/crypto").mkdir(parents=True)
    for name in ("borg/__init__.py", "borg/crypto/low_level.so", "other.py"):
        (packages / name).touch(0o644)
    (top / "bin").mkdir()
    (top / "lib64").symlink_to("lib")
    (tmp_path / "base/bin").mkdir(parents=True)
    (tmp_path / "base/lib/python3.11/json").mkdir(parents=True)
    (tmp_path / "base/lib/python3.11/json/__init__.py").touch(0o644)
    (tmp_path / "base/lib/python3.11/site-packages").mkdir()
    (tmp_path / "base/lib/libpython3.11.so").touch(0o644)
    (tmp_path / "base/bin/python3.11").write_bytes(b"\x7fELF")
    (tmp_path / "base/bin/python3.11").chmod(0o755)
    (top / "bin/python").symlink_to(tmp_path / "base/bin/python3.11")
    (top / "pyvenv.cfg").write_text("home = x\ninclude-system-site-packages = false\n")
    (top / "bin/borg").write_text(f"#!{top}/bin/python\n")
    (top / "bin/borg").chmod(0o755)
    (tmp_path / "elsewhere/package").mkdir(parents=True)
    (tmp_path / "elsewhere/package/module.py").touch(0o644)
    for path in (top, *top.rglob("*"), *(tmp_path / "base").rglob("*"), *(tmp_path / "elsewhere").rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    (top / "pyvenv.cfg").chmod(0o644)
    return top


def unsafe(environment):
    with pytest.raises(InsecurePath) as caught:
        trusted_code.require_borg(f"{environment}/bin/borg")
    return str(caught.value)


ALL = (
    *("bin/borg", "bin", "pyvenv.cfg", "lib", "lib/python3.11/site-packages", "lib/python3.11/site-packages/other.py"),
    *("lib/python3.11/site-packages/borg", "lib/python3.11/site-packages/borg/crypto/low_level.so"),
    *("../base", "../base/bin/python3.11", "../base/lib/python3.11", "../base/lib/python3.11/json/__init__.py"),
    "../base/lib/libpython3.11.so",
)


def test_a_borg_of_ours_is_taken(environment):
    before = len(stage.descriptors())
    trusted_code.require_borg(f"{environment}/bin/borg")
    assert len(stage.descriptors()) == before


@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("name", ALL)
def test_whatever_others_may_write_of_it_is_refused(environment, name, mode):
    path = environment / name
    path.chmod(path.stat().st_mode | mode)
    before = len(stage.descriptors())
    assert os.path.basename(name) in unsafe(environment)
    assert len(stage.descriptors()) == before


@only_root
@pytest.mark.parametrize("name", [*ALL, "bin/python", "lib64"])
def test_whatever_another_user_owns_of_it_is_refused(environment, name):
    os.chown(environment / name, OTHER, OTHER, follow_symlinks=False)
    assert f"uid {OTHER}" in unsafe(environment)


@pytest.mark.parametrize("way", ["a .pth file", "a symlink", "a symlink to a file"])
def test_where_modules_come_from_elsewhere_is_looked_at_there(environment, way):
    packages, elsewhere = environment / "lib/python3.11/site-packages", environment.parent / "elsewhere"
    if way == "a .pth file":
        (packages / "more.pth").write_text(f"# a comment\nimport sys\n\n../../../../elsewhere/none\n{elsewhere}\n")
        (packages / "more.pth").chmod(0o644)
    else:
        (packages / "package").symlink_to(elsewhere / ("package/module.py" if "file" in way else "package"))
    trusted_code.require_borg(f"{environment}/bin/borg")
    (elsewhere / "package/module.py").chmod(0o666)
    assert "0666" in unsafe(environment)
    (elsewhere / "package/module.py").chmod(0o644)
    elsewhere.chmod(0o777)
    assert "elsewhere" in unsafe(environment)


def test_packages_of_the_python_below_count_only_where_the_environment_sees_them(environment):
    below = environment.parent / "base/lib/python3.11/site-packages/x.py"
    below.touch()
    below.chmod(0o666)
    trusted_code.require_borg(f"{environment}/bin/borg")
    (environment / "pyvenv.cfg").write_text("Include-System-Site-Packages=TRUE\n")
    assert "x.py" in unsafe(environment)
    (environment / "pyvenv.cfg").unlink()
    assert "x.py" in unsafe(environment)


@pytest.mark.parametrize("line", ["#!python3", "#!", "#! ", "#!/usr/bin/env nosuchprogram", "#!/usr/bin/env -S"])
def test_a_script_without_an_interpreter_that_can_be_told_is_refused(environment, line):
    (environment / "bin/borg").write_text(f"{line}\n")
    unsafe(environment)


@pytest.mark.parametrize("place", ["borg", "interpreter", "pyvenv.cfg", "pth"])
def test_a_fifo_is_refused_and_not_waited_for(environment, place):
    names = {"borg": "bin/borg", "interpreter": "fifo/python3", "pyvenv.cfg": "pyvenv.cfg", "pth": "lib/x.pth"}
    path = environment / names[place]
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    if place == "interpreter":
        (environment / "bin/borg").write_text(f"#!{path}\n")
    if place == "pth":  # no module, so nobody's business
        trusted_code.require_borg(f"{environment}/bin/borg")
    else:
        assert "regular file" in unsafe(environment)


def test_what_is_missing_is_an_error_of_the_system(environment):
    with pytest.raises(FileNotFoundError):
        trusted_code.require_borg(f"{environment}/none")
    (environment / "bin/borg").write_text(f"#!{environment}/none/python3\n")
    with pytest.raises(FileNotFoundError):
        trusted_code.require_borg(f"{environment}/bin/borg")


def test_the_python_of_these_tests_and_a_compiled_program_can_be_told():
    for program in ("/bin/true", sys.executable):
        trusted_code.require_program(program)
    trusted_code.require_borg("/bin/true")


def test_scripts_that_interpret_each_other_come_to_an_end(tmp_path):
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / one).write_text(f"#!{tmp_path}/{other}\n")
        (tmp_path / one).chmod(0o700)
    with pytest.raises(InsecurePath, match="script of a script"):
        trusted_code.require_program(f"{tmp_path}/a")


@pytest.mark.parametrize("kind", ["directly", "env"])
def test_the_interpreter_of_a_script_is_held_too(tmp_path, kind, monkeypatch):
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin/interpreter", "exit 0")
    monkeypatch.setattr(trusted_code, "_SEARCHED", (f"{tmp_path}/bin",))
    first = f"{tmp_path}/bin/interpreter" if kind == "directly" else "/usr/bin/env interpreter"
    (tmp_path / "hook").write_text(f"#!{first}\n")
    (tmp_path / "hook").chmod(0o700)
    trusted_code.require_program(f"{tmp_path}/hook")
    (tmp_path / "bin/interpreter").chmod(0o777)
    with pytest.raises(InsecurePath, match="0777"):
        trusted_code.require_program(f"{tmp_path}/hook")
    (tmp_path / "bin/interpreter").chmod(0o700)
    (tmp_path / "bin").chmod(0o777)
    with pytest.raises(InsecurePath, match="bin"):
        trusted_code.require_program(f"{tmp_path}/hook")


# ---- words


@pytest.mark.parametrize(
    ("word", "paths"),
    [
        ("/a/b c", ["/a/b c"]),
        ("--file=/a/b", ["/a/b"]),
        ("of=/a", ["/a"]),
        ("cat /a/b|sort >/c; . '/d e'", ["/a/b", "/c", "/d"]),
        ("PATH=/a:/b:$HOME/x", ["/a", "/b"]),
        ("host:/a", ["/a"]),
        ("https://example.org/a", []),
        ("a/b", []),
        ("10/20", []),
        ("", []),
        ("@/a", []),
    ],
)
def test_absolute_paths_are_found_among_words(word, paths):
    assert sorted(trusted_code.paths([word])) == sorted(paths) or set(paths) <= set(trusted_code.paths([word]))
    assert bool(paths) == bool(list(trusted_code.paths([word])))


def test_a_path_that_others_choose_is_refused_and_a_missing_or_strange_one_is_not(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for path in ("open", "open/none", "open/none/x"):
        with pytest.raises(InsecurePath):
            trusted_code.require_path(f"{tmp_path}/{path}")
    for path in (f"{tmp_path}/none/x", "/dev/null", "/dev/zero", "/tmp", "/etc/passwd/x", "/" + "x" * 300, "/"):
        trusted_code.require_path(path)
    os.mkfifo(tmp_path / "fifo", 0o600)
    trusted_code.require_path(f"{tmp_path}/fifo")
