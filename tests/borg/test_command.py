"""The properties of a decision."""

from borgctl.borg.command import BorgCommand
from borgctl.values import RepositoryPath, SourcePath

OPTIONS = (
    ("compression", "lz4"),
    ("exclude-from", "/etc/borgctl/excludes"),
    ("one-file-system", None),
    ("patterns-from", "/etc/borgctl/patterns"),
    ("exclude", "/home/x"),
)


def test_a_launch_reads_its_paths_and_the_files_that_its_options_name():
    launch = BorgCommand(
        rule="p:1",
        command="create",
        options=OPTIONS,
        repository=RepositoryPath("/srv/a"),
        transport="stdio",
        log="json",
        disclosed=False,
        paths=(SourcePath("/etc"), SourcePath("/home")),
    )
    assert launch.reads == ("/etc", "/home", "/etc/borgctl/excludes", "/etc/borgctl/patterns")
