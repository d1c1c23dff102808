"""Mounted file systems, and those that a backup with 'one-file-system' does not enter."""

import subprocess

import pytest
import stage

from borgctl.fs import mountinfo
from borgctl.fs.mountinfo import kernel_mounts
from borgctl.policy.model import Job
from borgctl.state import skipped_mounts
from borgctl.values import JobName, SourcePath

ROOT = ("1", "0", "8:1", "/", "ext4")
# number, what it is mounted on, device, place, kind
USUAL = [
    *(ROOT, ("2", "1", "0:2", "/proc", "proc"), ("3", "1", "0:3", "/sys", "sysfs"), ("4", "1", "0:4", "/run", "tmpfs")),
    *(
        ("5", "1", "0:5", "/dev", "devtmpfs"),
        ("6", "5", "0:6", "/dev/shm", "tmpfs"),
        ("7", "4", "0:7", "/run/u", "tmpfs"),
    ),
]


@pytest.fixture
def kernel(monkeypatch):
    """Replace the kernel's list of mounts."""

    def mount(*mounts):
        rows = [f"{n} {on} {device} / {place} rw shared:1 - {kind} x rw\n" for n, on, device, place, kind in mounts]

        class Rows(list):
            __enter__ = list.__iter__

            def __exit__(self, *_):
                pass

        monkeypatch.setattr(mountinfo, "open", lambda *_, **__: Rows(rows), raising=False)

    return mount


def held(path, kind="ext4", number="20", on="1", device="8:2"):
    return (number, on, device, path, kind)


@pytest.mark.parametrize(
    ("paths", "more", "found"),
    [
        (["/srv/a"], [held("/srv/a/db")], ["/srv/a/db"]),
        (["/srv/a"], [held("/srv/a/db", "nfs4")], ["/srv/a/db"]),
        (["/srv/a"], [held("/srv/a\\040b")], []),
        (["/srv"], [held("/srv/a\\040b")], ["/srv/a b"]),
        (["/"], [held("/home")], ["/home"]),
        (["/"], [], []),  # the kernel's own, and what each start makes anew
        (["/srv/a"], [held("/srv/a/db", device="8:1")], []),  # a bind mount of the same file system
        (["/srv/a/db"], [held("/srv/a/db")], []),
        (["/srv/a", "/srv/a/db"], [held("/srv/a/db")], []),
        (["/srv/a", "/srv/a/db/x"], [held("/srv/a/db")], ["/srv/a/db"]),
        (["/srv/a"], [held("/srv/ab")], []),
        (["/srv/a"], [held("/srv/a/net", "autofs"), held("/srv/a/proc", "proc", "21")], []),
        (
            ["/srv/a"],
            [held("/srv/a/x"), held("/srv/a/x/y", number="21", on="20", device="8:3")],
            ["/srv/a/x", "/srv/a/x/y"],
        ),
        (  # of the same file system again, and out of borg's way
            ["/srv/a"],
            [held("/srv/a/x"), held("/srv/a/x/y", number="21", on="20", device="8:1")],
            ["/srv/a/x", "/srv/a/x/y"],
        ),
        (
            ["/srv/a", "/srv/a/x/y"],
            [held("/srv/a/x"), held("/srv/a/x/y", number="21", on="20", device="8:1")],
            ["/srv/a/x"],
        ),
        (  # where the machine's start mounts disks: no data of a whole machine's, and that of a path that names it
            ["/run/media/disk"],
            [held("/run/media/disk", on="4"), held("/run/media/disk/x", number="21", on="20", device="8:3")],
            ["/run/media/disk/x"],
        ),
        (["/", "/run/media"], [held("/run/media/disk", on="4")], ["/run/media/disk"]),
        # hidden: by another one above it, or at the very place, where that is of the path's own file system
        (["/srv"], [held("/srv/a/db"), held("/srv/a", number="21", device="8:3")], ["/srv/a"]),
        (["/srv"], [held("/srv/a"), held("/srv/a", number="21", on="20", device="8:1")], []),
    ],
)
def test_what_one_file_system_leaves_out_is_found(kernel, paths, more, found):
    kernel(*USUAL, *more)
    assert list(mountinfo.skipped(paths)) == found


def test_many_mounts_are_many_looks_and_not_their_square(kernel, monkeypatch):
    within, looks = mountinfo._within, []
    monkeypatch.setattr(mountinfo, "_within", lambda *words: looks.append(words) or within(*words))
    kernel(*USUAL, *(held(f"/srv/{number}/merged", "overlay", f"{number}") for number in range(20, 1020)))
    assert len(mountinfo.skipped(["/"])) == 1000
    assert len(looks) < 20 * 1000


def test_a_path_through_a_symlink_is_looked_at_where_it_leads_and_a_link_holds_nothing(kernel, tmp_path):
    (tmp_path / "real/a").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    kernel(*USUAL, held(f"{tmp_path}/real/a/db"))
    assert mountinfo.skipped([f"{tmp_path}/link/a"]) == (f"{tmp_path}/real/a/db",)
    assert mountinfo.skipped([f"{tmp_path}/link"]) == ()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), ()),
        ((("one-file-system", None),), ("/srv/a/db",)),
        ((("one-file-system", None), ("exclude", "*.o")), ("/srv/a/db",)),
        ((("one-file-system", None), ("exclude", "/srv/a/db")), ()),
        ((("one-file-system", None), ("pattern", "- sh:srv/*/db")), ()),
    ],
)
def test_only_what_a_job_does_not_say_itself_is_told(kernel, options, found):
    kernel(*USUAL, held("/srv/a/db"))
    job = Job(JobName("x"), "create", 1, options, paths=(SourcePath("/srv/a"),))
    assert skipped_mounts.file_systems(job) == found


def test_the_kernels_files_in_the_root_of_another_system_are_found(kernel):
    kernel(
        *USUAL, held("/srv/root/proc", "proc"), held("/srv/root/dev", "devtmpfs", "21"), held("/srv/x", "ext4", "22")
    )
    assert kernel_mounts(["/srv"]) == ("/srv/root/dev", "/srv/root/proc")
    assert kernel_mounts(["/"]) == ("/srv/root/dev", "/srv/root/proc")
    assert kernel_mounts(["/etc"]) == ()


@pytest.mark.skipif(not stage.ROOT, reason="only root can mount")
@pytest.mark.parametrize("name", ["a b", "a\rb", "a\nb", "a - b", "a\u2028b", "a\\040b"])
def test_the_real_kernels_list_is_read_whatever_somebody_has_called_a_place(tmp_path, name):
    (tmp_path / name).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path / name], check=True)
    try:
        assert mountinfo.skipped([str(tmp_path)]) == (f"{tmp_path}/{name}",)
    finally:
        subprocess.run(["umount", tmp_path / name], check=True)
