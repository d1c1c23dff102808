"""The launcher's side with real borg on both ends: serve here, and `borg create` in a stand-in gate."""

from pathlib import Path


def test_a_local_run_makes_an_archive_and_counts_it(world, borg, repository: Path) -> None:
    source = world.root / "data"
    source.mkdir()
    (source / "file").write_bytes(b"x" * 100_000)
    steps = [["start"], ["borg", borg, "create", "--json", "--stats", "REPO::monday", str(source)]]
    (report,) = world.run(world.local(steps, borg=borg))
    print(world.screen.getvalue())
    assert (report.verdict.outcome, report.serve) == ("ok", 0)
    assert report.transcript.result.archive.name == "monday"
    assert "web1 default: ok, 1 files, 100." in world.screen.getvalue()
