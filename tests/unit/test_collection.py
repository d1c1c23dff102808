"""The Ansible collection: what its files say of each other, and what its tasks may do; e2e/test_ansible runs them."""

import re
import sys

import pytest
import yaml
from stage import TOP

import borgctl

sys.path.insert(0, str(TOP / "docs"))

import collection

ANSIBLE = TOP / "contrib/ansible"
ROLES = sorted(path.name for path in collection.ROLES.iterdir())
SAID = {name: option for role in ROLES for name, option in collection.options(role).items()}
each_role = pytest.mark.parametrize("role", ROLES)
# What may stand beside a task's module.
KEYWORDS = {
    *(
        "name",
        "when",
        "loop",
        "loop_control",
        "register",
        "vars",
        "notify",
        "listen",
        "delegate_to",
        "become",
        "no_log",
    ),
    *("diff", "check_mode", "changed_when", "failed_when", "ignore_unreachable", "block", "rescue", "always"),
}


def defaults(role):
    return yaml.safe_load((collection.ROLES / role / "defaults/main.yml").read_text())


def tasks():
    """Yield each task of the roles, with the file that it is in."""
    for path in [*collection.ROLES.glob("*/tasks/*.yml"), *collection.ROLES.glob("*/handlers/*.yml")]:
        waiting = yaml.safe_load(path.read_text())
        while waiting:
            task = waiting.pop()
            yield "/".join(path.parts[-3:]), task
            for part in ("block", "rescue", "always"):
                waiting += task.get(part, [])


TASKS = list(tasks())


def used(text):
    return set(re.findall(r"\b(?:client_borgctl|server_borgpull|borgctl)_[a-z_]+", text))


@each_role
def test_each_variable_has_a_default_and_the_documents_say_the_same(role):
    own, said = defaults(role), collection.options(role)
    assert own.keys() == said.keys()
    for name, option in said.items():
        if "default" in option:
            assert option["default"] == own[name], name
        else:  # it is made from others, and the description says from which
            assert "{{" in own[name] and "Without it, " in option["description"], name


@each_role
def test_each_variable_has_a_type_and_a_sentence(role):
    for name, option in collection.options(role).items():
        assert option["type"] and re.fullmatch(r"[A-Z].*\.", option["description"].strip(), re.DOTALL), name
        assert "|" not in option["description"], "it stands in a table"


def test_no_task_uses_a_variable_that_is_not_documented_and_each_is_used():
    files = [
        path for path in collection.ROLES.rglob("*") if path.suffix in (".yml", ".j2") and "meta" not in path.parts
    ]
    found = set().union(*(used(path.read_text()) for path in files))
    assert found - SAID.keys() <= {"borgctl_gatekeeper"}
    bodies = [path.read_text() for path in files if "defaults" not in path.parts]
    derived = {name for role in ROLES for value in defaults(role).values() for name in used(str(value))}
    assert SAID.keys() == derived | set().union(*map(used, bodies))


def test_the_pages_inventory_says_what_the_roles_take():
    page = (TOP / "docs/ansible.md").read_text()
    inventory = yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    assert used(str(inventory)) - {"borgctl_gatekeeper", "borgctl_clients"} <= SAID.keys()
    plays = yaml.safe_load((ANSIBLE / "playbooks/site.yml").read_text())
    assert [play["hosts"] for play in plays] == list(inventory["all"]["children"])
    assert f"borgctl_gatekeeper-{borgctl.__version__}-py3-none-any.whl" in page


def test_the_collection_has_the_number_of_the_package():
    assert yaml.safe_load((ANSIBLE / "galaxy.yml").read_text())["version"] == borgctl.__version__


def test_only_modules_of_ansible_itself_are_used_and_none_that_starts_a_shell():
    for place, task in TASKS:
        modules = set(task) - KEYWORDS
        assert len(modules) == (0 if "block" in task else 1), (place, task)
        assert all(re.fullmatch(r"ansible\.builtin\.[a-z_]+", module) for module in modules), place
        assert not modules & {f"ansible.builtin.{name}" for name in ("shell", "raw", "script", "expect")}, place


def test_a_command_is_a_list_of_words():
    commands = [task["ansible.builtin.command"] for _, task in TASKS if "ansible.builtin.command" in task]
    assert len(commands) > 5 and all("argv" in command for command in commands)


def test_a_task_that_has_the_passphrase_shows_nothing():
    found = [task for _, task in TASKS if re.search(r"\{\{ client_borgctl_passphrase \}\}", str(task))]
    assert len(found) == 1 and all(task["no_log"] is True and task["diff"] is False for task in found)
    assert SAID["client_borgctl_passphrase"]["no_log"] is True
    templates = "".join(path.read_text() for path in collection.ROLES.rglob("*.j2"))
    assert "client_borgctl_passphrase_file" in templates and "client_borgctl_passphrase " not in templates


def test_every_file_that_a_task_writes_has_an_owner_and_a_mode():
    writing = ("copy", "template", "lineinfile")
    for place, task in TASKS:
        for module in writing:
            words = task.get(f"ansible.builtin.{module}", {"state": "absent"})
            assert words.get("state") == "absent" or {"owner", "group", "mode"} <= words.keys(), (place, task["name"])


def test_what_a_program_can_check_is_checked_before_it_is_put_in_place():
    validated = {
        task["name"]: words["validate"].removesuffix("%s")
        for _, task in TASKS
        for words in task.values()
        if isinstance(words, dict) and "validate" in words
    }
    assert validated == {
        "Write the policy": "{{ borgctl_venv }}/bin/borgctl lint {{ client_borgctl_policy }} --candidate ",
        "Write the settings": "/usr/sbin/sshd -t -f ",
    }


# Places whose content user borgpull chooses, as a task of a role can name them.
BORGPULLS = re.compile(
    r"/(?:etc|var/lib)/borgpull|_client_said\.(?:file|repository|borgpull)|_client_(?:as_)?borgpull|server_borgpull_repositories"
    r"|client_borgctl_repository|_server_argv"
)
AS_BORGPULL = ("{{ _client_as_borgpull", "{{ _client_runuser", "{{ _server_as_borgpull", "{{ _server_runuser")
# What root puts in place must come from no process of borgpull's, which that user could change while it runs
AS_ROOT = {"Ask for the units of this server": "{{ _server_argv + ['units', item] }}"}
# Folders in directories of root's, which borgpull cannot replace; a word against another place; a unit's text
OUTSIDE = {
    "Make the user that owns the backups",
    "Make the folders of targets, states and repositories",
    "Need a folder of repositories that root has made",
    "Make the folder above the repositories",
    "Write the settings",
}


def named(task):
    """Return what a task's module is told, without the words that only choose whether it does it."""
    return {
        module: {key: value for key, value in words.items() if key not in ("creates", "removes")}
        for module, words in task.items()
        if module.startswith("ansible.builtin.") and isinstance(words, dict)
    }


def test_root_neither_reads_nor_writes_where_user_borgpull_may_have_put_a_link():
    """Only a program that runs as borgpull does; what it writes comes through its stdin, in no file of root's.

    Root does ask for the units, which it installs.
    """
    outside, found = set(), 0
    for place, task in TASKS:
        for module, words in named(task).items():
            if not BORGPULLS.search(str([words, task.get("loop", "")])) or module == "ansible.builtin.set_fact":
                continue
            if module == "ansible.builtin.command":
                root = words["argv"] == AS_ROOT.get(task["name"])
                assert words["chdir"] == "/", (place, task["name"])
                assert root if task["name"] in AS_ROOT else words["argv"].startswith(AS_BORGPULL), (place, task["name"])
                found += 1
            else:
                outside.add(task["name"])
    assert found > 9 and outside == OUTSIDE
    for role in ("client", "server"):
        said = yaml.safe_load((collection.ROLES / role / "vars/main.yml").read_text())
        assert said[f"_{role}_runuser"] == ["/usr/sbin/runuser", "-u", "borgpull", "--"]
        assert said[f"_{role}_as_borgpull"].startswith(f"{{{{ _{role}_runuser + ")
    assert not any({"become", "become_user"} & task.keys() for place, task in TASKS if place.startswith(("cl", "se")))


def test_a_task_that_has_what_may_be_told_with_a_secret_shows_nothing():
    """`notify` and `ping` in a target's file and in the defaults are URLs with secrets in them."""
    secret = re.compile(r"client_borgctl_settings|_client_more|target\.yaml\.j2|server_borgpull_defaults")
    found = [task for _, task in TASKS if secret.search(str(task)) and "block" not in task]
    assert len(found) == 3 and all(task["no_log"] is True for task in found)
    assert SAID["client_borgctl_settings"]["no_log"] is SAID["server_borgpull_defaults"]["no_log"] is True


def test_once_a_host_is_heard_only_what_was_settled_before_is_used():
    """See tasks/settle.yml of the client; the policy is written before its server is heard."""
    client = collection.ROLES / "client"
    files = {path for path in client.rglob("*.*") if path.parts[-2] in ("tasks", "handlers", "templates")}
    before = {client / "tasks/settle.yml", client / "tasks/policy.yml", client / "templates/policy.yaml.j2"}
    assert before < files
    for path in files - before:
        lines = [line for line in path.read_text().splitlines() if "name that server in" not in line]
        assert used("\n".join(lines)) == set(), path
    main = [task["name"] for place, task in reversed(TASKS) if place == "client/tasks/main.yml"]
    assert main[0] == "Settle what is to be"
    present = (client / "tasks/present.yml").read_text()
    assert present.index("policy.yml") < present.index("target.yml")


def test_a_key_of_the_other_side_is_judged_before_it_is_a_word_of_a_command():
    names = [task["name"] for place, task in TASKS if place in ("client/tasks/target.yml", "client/tasks/key.yml")]
    assert {"Need a host key", "Need a public key"} <= set(names)
    for _, task in TASKS:
        words = str(task.get("ansible.builtin.command", {}).get("argv", ""))
        for peers in ("_client_host_key", "_client_key,"):
            if peers in words:
                assert "'--'" in words.partition(peers)[0], task["name"]
                assert task["ansible.builtin.command"]["expand_argument_vars"] is False, task["name"]
