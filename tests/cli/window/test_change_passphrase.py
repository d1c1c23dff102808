"""No passphrase is changed that another policy uses, too."""

import pytest
import stage

from borgctl.cli.policy import lint
from borgctl.cli.window import change_passphrase
from borgctl.errors import BorgctlError
from borgctl.policy import load

POLICY = """\
version: 1
repositories: {{{repository}: {{encryption: required}}}}
passphrase: {{file: {file}}}
jobs: {{default: {{paths: [/etc]}}}}
"""


@pytest.mark.parametrize("other", ["passphrase", "link", "folder/passphrase"])
def test_a_passphrase_that_another_policy_reaches_by_whatever_name_is_not_changed(tmp_path, monkeypatch, other):
    """The other repository's key would still need the old one, and nothing here would have it."""
    (tmp_path / "passphrase").write_text("secret\n")
    (tmp_path / "link").symlink_to("passphrase")
    (tmp_path / "folder").symlink_to(".")
    files = []
    for name, file in (("web1", "passphrase"), ("web2", other)):
        text = POLICY.format(repository=f"/srv/borg/{name}", file=tmp_path / file)
        files.append(stage.written(tmp_path, text, f"{name}.yaml").file)
    monkeypatch.setattr(lint, "usual_policies", lambda: files)
    with pytest.raises(BorgctlError, match="web") as caught:
        next(change_passphrase.change(load.read(files[0]), "/srv/borg/web1", b"new", 0))
    assert caught.value.reason.code == "passphrase-unusable"
