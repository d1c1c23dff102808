"""The defaults of all targets: a target's own word always wins, and each value knows the line that it comes from."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from stage import CORPORA

from borgctl.pull.targets import defaults, targets
from borgctl.pull.targets.errors import PullError
from borgctl.pull.targets.paths import Folders, TargetName
from borgctl.strict_yaml import Node, Problems, parse
from borgctl.values import JobName

HERE = CORPORA / "targets"
FOLDERS = Folders("/etc/borgpull", "/var/lib/borgpull")
NAME = TargetName("web1")
OWN = "host: web1\nrepository: /srv/borg/web1\nquota: 500G\n"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Give folders with a directory of targets."""
    (tmp_path / "targets").mkdir(parents=True)
    return Folders(str(tmp_path), str(tmp_path / "state"))


def write(folders: Folders, own: str = OWN, below: str | None = None, name: TargetName = NAME) -> None:
    """Write a target's file, and the defaults."""
    Path(folders.target(name)).write_text(own)
    if below is not None:
        Path(folders.defaults).write_text(below)


def read(own: str, below: str, name: TargetName = NAME) -> targets.Target:
    """Read a target over defaults from texts."""
    return targets.read(own, name, FOLDERS, parse(below, "defaults.yaml"))


# ---- the merge


def texts(depth: int = 2) -> st.SearchStrategy:
    """Return a strategy for nested mappings of words and lists of words, with few keys, so that both sides meet."""
    words = st.text("xyz", min_size=1, max_size=3)
    leaves = words | st.lists(words, max_size=2)
    for _ in range(depth):
        leaves = leaves | st.dictionaries(st.sampled_from("abc"), leaves, max_size=3)
    return st.dictionaries(st.sampled_from("abc"), leaves, max_size=3)


def node(plain: dict, file: str) -> Node:
    return parse(yaml.safe_dump(plain, default_flow_style=False) if plain else "{}", file)


def plain(node: Node) -> object:
    if node.pairs is not None:
        return {key.value: plain(value) for key, value in node.pairs}
    return node.value if isinstance(node.value, str) else [plain(item) for item in node.value]


def expected(below: object, own: object) -> object:
    if not isinstance(below, dict) or not isinstance(own, dict):
        return own
    return {key: expected(below.get(key), own[key]) if key in own else below[key] for key in {**below, **own}}


def leaves(node: Node, path: tuple = ()) -> dict[tuple, Node]:
    if not node.pairs:
        return {path: node}
    return {place: leaf for key, value in node.pairs for place, leaf in leaves(value, (*path, key.value)).items()}


@given(texts(), texts())
def test_a_key_of_the_targets_always_wins_and_mappings_are_merged_key_by_key(below: dict, own: dict) -> None:
    merged = defaults.merge(node(below, "d"), node(own, "t"))
    assert plain(merged) == expected(below, own)
    found, ours, theirs = leaves(merged), leaves(node(own, "t")), leaves(node(below, "d"))
    for place, leaf in found.items():
        assert leaf == (ours if leaf.file == "t" else theirs)[place]
    assert all(found[place] == leaf for place, leaf in ours.items() if leaf.pairs is None)


@given(texts())
def test_a_target_over_nothing_and_nothing_over_defaults_are_what_there_is(one: dict) -> None:
    assert plain(defaults.merge(node({}, "d"), node(one, "t"))) == one
    assert defaults.merge(node(one, "t"), node(one, "t")) == node(one, "t")
    assert plain(defaults.merge(node(one, "d"), node({}, "t"))) == one


@given(st.data())
def test_a_target_over_defaults_is_the_target_with_those_lines_in_its_own_file(data) -> None:
    lines = [line for line in (HERE / "valid/all.yaml").read_text().splitlines() if line]
    words = {line.partition(":")[0]: line for line in lines}
    movable = [key for key in defaults.KEYS if key in words and key != "repository"]
    moved = data.draw(st.sets(st.sampled_from(movable)))
    both = data.draw(st.sets(st.sampled_from([key for key in movable if key != "jobs"])))
    other = parse((HERE / "defaults/valid/all.yaml").read_text(), "d")
    below = Node(1, 1, (), tuple(pair for pair in other.pairs if pair[0].value in both - moved), "d")
    below = defaults.merge(below, parse("\n".join(words[key] for key in moved) or "{}", "d"))
    own = "\n".join(line for key, line in words.items() if key not in moved)
    assert targets.read(own, NAME, FOLDERS, below) == targets.read("\n".join(lines), NAME, FOLDERS)


@pytest.mark.parametrize("path", sorted((HERE / "valid").iterdir()), ids=lambda path: path.stem)
def test_without_defaults_all_is_as_before(folders, path: Path) -> None:
    text = path.read_text()
    for below in (None, "# quota: 500G\n\n", ""):
        write(folders, text, below)
        assert targets.load(folders, NAME) == targets.read(text, NAME, folders)


def test_the_order_of_jobs_is_that_of_the_defaults_so_that_a_prune_stays_behind_its_backup() -> None:
    below = "jobs: {default: {every: 24h}, prune: {every: 7d, deletes: 5000}}"
    target = read(f"{OWN}jobs: {{prune: {{deletes: 100}}, more: {{}}}}", below)
    assert [(str(job.name), job.deletes, job.every) for job in target.described] == [
        ("default", 0, 86400),
        ("prune", 100, 7 * 86400),
        ("more", 0, None),
    ]


def test_a_list_of_jobs_chooses_among_those_of_the_defaults_and_keeps_their_words() -> None:
    below = "jobs: {default: {every: 24h}, prune: {every: 7d, deletes: 5000}}"
    target = read(f"{OWN}jobs: [other, prune]", below)
    assert [(str(job.name), job.deletes, job.every) for job in target.described] == [
        ("other", 0, None),
        ("prune", 5000, 7 * 86400),
    ]
    assert [str(job) for job in read(f"{OWN}jobs: {{default: {{}}}}", "jobs: [a, b]").jobs] == ["default"]
    assert read(f"{OWN}jobs: [prune]", "quota: 1T").job(JobName("prune")).deletes == 0


@pytest.mark.parametrize("jobs", ["[]", "[a, a]", "[[a]]", "[{a: b}]", "a", "[-x]", "{prune: [deletes]}", "{prune: x}"])
def test_a_mistake_in_a_targets_jobs_is_none_less_over_defaults(jobs) -> None:
    below = parse("jobs: {default: {}, prune: {deletes: 5}}", "d")
    found = []
    for defaults_node in (None, below):
        with pytest.raises(Problems) as raised:
            targets.read(f"{OWN}jobs: {jobs}", NAME, FOLDERS, defaults_node)
        found.append([str(problem) for problem in raised.value.all])
    assert found[0] == found[1]


# ---- what may stand in them


@pytest.mark.parametrize("path", sorted((HERE / "defaults/invalid").iterdir()), ids=lambda path: path.stem)
def test_each_mistake_of_the_defaults_is_named_at_its_place_and_stops_each_target(folders, path: Path) -> None:
    write(folders, below=path.read_text())
    lines = re.findall(r"^# expect: (.*)$", path.read_text(), re.MULTILINE)
    for act in (lambda: targets.load_defaults(folders), lambda: targets.load(folders, NAME)):
        with pytest.raises(PullError) as raised:
            act()
        assert raised.value.text.split("\n") == [f"{folders.defaults}:{line}" for line in lines]


@pytest.mark.parametrize("path", sorted((HERE / "defaults/valid").iterdir()), ids=lambda path: path.stem)
def test_valid_defaults_are_taken(folders, path: Path) -> None:
    write(folders, "host: web1\nrepository: /srv/borg/web1\n", path.read_text())
    assert targets.load(folders, NAME).quota == "500G"


@pytest.mark.parametrize("change", ["written", "replaced", "given", "made", "gone"])
def test_a_call_that_has_read_the_defaults_sees_that_they_change(folders, change: str) -> None:
    """A run over all targets reads them once, as long as they are the same."""
    own, path = "host: web1\nrepository: /srv/borg/web1\nquota: 1G\n", Path(folders.defaults)
    write(folders, own, None if change == "made" else "timeout: 2h\n")
    assert targets.load(folders, NAME).timeout == (12 if change == "made" else 2) * 3600
    if change == "given":
        path.chmod(0o666)
        with pytest.raises(PullError, match="others may use it"):
            targets.load(folders, NAME)
        return
    if change in ("replaced", "gone"):
        path.unlink()
    if change != "gone":
        path.write_text("timeout: 13h\n")
    assert targets.load(folders, NAME).timeout == (12 if change == "gone" else 13) * 3600


@pytest.fixture(scope="module")
def any_folders(tmp_path_factory) -> Folders:
    root = tmp_path_factory.mktemp("any")
    return Folders(str(root), str(root / "state"))


@given(st.text(max_size=200) | texts().map(yaml.safe_dump))
def test_any_text_is_defaults_or_a_mistake_with_its_place(any_folders, text: str) -> None:
    Path(any_folders.defaults).write_text(text)
    try:
        targets.load_defaults(any_folders)
    except PullError as error:
        lines = error.text.split("\n")
        assert all(re.match(rf"{any_folders.defaults}:[0-9]+:[0-9]+: ", line) for line in lines)


def test_every_key_is_a_targets_own_or_may_stand_in_the_defaults() -> None:
    own = {"host", "identity", "host_key", "paused", "policy"}
    assert own | set(defaults.KEYS) == set(targets.KEYS) and not own & set(defaults.KEYS)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True), st.data())
def test_no_two_targets_get_one_repository_from_the_defaults_and_none_leaves_its_place(name, data) -> None:
    other = data.draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True))
    below = parse("repository: /srv/borg/{target}\nquota: 1T", "d")
    try:
        names = TargetName(name), TargetName(other)
    except ValueError:
        return
    places = [targets.read("host: web1", one, FOLDERS, below).repository.text for one in names]
    assert (places[0] == places[1]) == (name == other)
    assert all(re.fullmatch(r"/srv/borg/[^/]+", place) for place in places)


def test_a_placeholder_is_no_word_of_a_target_files() -> None:
    with pytest.raises(Problems, match="bad repository path"):
        targets.read("host: web1\nrepository: '/srv/{target}'\nquota: 1T", NAME, FOLDERS)


# ---- where mistakes are found that two files make together


def test_what_a_default_means_to_other_transports_only_is_no_mistake_of_the_targets() -> None:
    below = "port: 2222\nsocket_directory: /run/pull\nquota: 1T"
    target = read("transport: local\npolicy: /etc/x.yaml\nrepository: /srv/x", below)
    assert target.transport == "local"
    with pytest.raises(Problems, match="1:7: key 'port' means nothing with transport 'local'"):
        read("port: 22\ntransport: local\npolicy: /etc/x.yaml\nrepository: /srv/x", below)


@pytest.mark.parametrize(
    ("own", "place"),
    [
        ("prune: {kind: read}", "4:22: a job of kind 'read' deletes nothing"),
        ("prune: {expect: 1d}", "4:24: 'expect' is shorter than 'every'"),
        ("prune: {every: 14d}", "4:23: 'expect' is shorter than 'every'"),
    ],
)
def test_a_target_that_contradicts_the_defaults_is_told_its_own_line(folders, own: str, place: str) -> None:
    below = "jobs:\n prune: {deletes: 5, every: 7d, expect: 8d}"
    write(folders, f"{OWN}jobs: {{{own}}}", below)
    with pytest.raises(PullError) as raised:
        targets.load(folders, NAME)
    assert raised.value.text.startswith(f"{folders.target(NAME)}:{place}")


def test_a_key_that_neither_has_is_missing_in_the_targets_file(folders) -> None:
    write(folders, "host: web1\n", "expect: 3d")
    with pytest.raises(PullError) as raised:
        targets.load(folders, NAME)
    path = folders.target(NAME)
    assert raised.value.text.split("\n") == [f"{path}:1:1: missing key '{key}'" for key in ("quota", "repository")]


def test_a_place_that_the_name_makes_too_long_is_a_mistake_of_that_target_alone(folders) -> None:
    long = TargetName("x" * 60)
    write(folders, "host: web1\n", f"quota: 1T\nrepository: /{'y' * 990}/{{target}}")
    write(folders, "host: web1\n", name=long)
    assert targets.load(folders, NAME).quota == "1T"
    with pytest.raises(PullError, match=r"defaults\.yaml:2:13: repository path of 1052 characters is too long"):
        targets.load(folders, long)


def test_a_change_of_the_defaults_is_seen_by_the_next_target(folders) -> None:
    for quota in ("1T", "2T"):
        write(folders, "host: web1\nrepository: /srv/x", f"quota: {quota}")
        assert targets.load(folders, NAME).quota == quota
