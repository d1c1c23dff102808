"""Diagnosis: what to do about a run that failed, from what ssh and borg said of it.

It knows words of ssh's and names of borg's messages, and gives fixed sentences of our own for them. What else the other
side says is not repeated here, and what a report says of the outcome is decided elsewhere (`outcome`).

    >>> advice(Verdict("failed", "ssh", 255, "ssh-failed"), (), "web1")
    'can the client be reached under this name and port?'
"""

import re
from collections.abc import Iterable

from borgctl.console.text import elapsed
from borgctl.pull.client.transcript import Message
from borgctl.pull.report.outcome import ADVICE, Verdict
from borgctl.wire.frames import GOOD

# What ssh says, and what failed by it
_WORDS = (
    (r"Host key verification failed|REMOTE HOST IDENTIFICATION|host key is known", "host-key"),
    (r"Permission denied|Too many authentication failures", "key"),
    (r"[Rr]emote port forwarding failed|forwarding failed", "socket"),
)
# What it says where it had been connected; it says nothing where the gate was killed, and has the same status
_LOST = r"Timeout, server|closed by remote host|[Cc]onnection reset|[Bb]roken pipe|timed out|send disconnect"
SSH = {
    "host-key": "the client shows another host key than the target file has: was it installed anew? compare with what "
    "'borgctl authorize' prints on the client, then: borgpull trust --replace TARGET 'ssh-ed25519 AAAA…'",
    "key": "put the line that 'borgctl authorize' prints into the client's authorized_keys; look with 'borgctl doctor'",
    "socket": "the client's sshd doesn't forward: look with 'borgctl doctor' there, or take transport stdio",
    "ssh": ADVICE["ssh-failed"],
}
_UNSIGNED = (
    "an archive is not signed, as of a borg before 1.2.5: if all of them are yours, the client's admin signs them in a "
    "window: borgpull window TARGET --for 30m --allow delete, and there: borgctl window -- borg upgrade "
    "--archives-tam ::"
)
_BORG = {
    "Repository.DoesNotExist": "is its disk mounted, is 'repository' right? if it was never made: "
    "borgpull run TARGET --job init",
    "StorageQuotaExceeded": "raise 'quota' in the target file, or free what pruning has marked: "
    "borgpull compact TARGET",
    "Cache.RepositoryAccessAborted": "the client's borg knows this repository under another path: if it was moved, its "
    "admin says so there: borgctl moved POLICY --from OLD-PATH",
    "Cache.RepositoryReplay": "the repository is older than what the client last saw: was it restored from a backup? "
    "then the client's admin says so there: borgctl moved POLICY --earlier",
    "KeyfileNotFoundError": "the key of this repository is a file, and the client has none: its admin imports it in a "
    "window: borgpull window TARGET --for 30m, and there: borgctl window -- borg key import :: FILE",
    "ArchiveTAMInvalid": _UNSIGNED,
    "ArchiveTAMRequiredError": _UNSIGNED,
    "PassphraseWrong": "the client's passphrase does not open the repository's key: has one of them been changed?",
}


def ailment(texts: Iterable[str]) -> str:
    """Return what failed by ssh's words: a key of SSH."""
    said = list(texts)
    return next((name for pattern, name in _WORDS if any(re.search(pattern, text) for text in said)), "ssh")


def advice(verdict: Verdict, messages: Iterable[Message], target: str) -> str | None:
    """Return what to do about it, in one sentence, None where nothing is known."""
    said = list(messages)
    if verdict.reason == "ssh-failed":
        found: str | None = SSH[ailment(message.text for message in said if message.source == "unframed")]
    elif verdict.advice or verdict.outcome in GOOD:
        found = verdict.advice
    else:
        named = [message.msgid for message in said if message.source == "borg"]
        found = next((_BORG[name] for name in named if name in _BORG), None)
    return found and found.replace("TARGET", target)


def lost(messages: Iterable[Message], seconds: float, *, window: bool) -> str:
    """Return what to do about a client whose side ended in the middle, after so many seconds."""
    after = elapsed(seconds)
    told = any(message.source == "unframed" and re.search(_LOST, message.text) for message in messages)
    return f"connection lost after {after}{'' if told else ', or the gate was killed'}; " + (
        "open another window" if window else "what borg had committed is kept, run again"
    )


def named(name: str, target: str) -> str:
    """Return the advice for one of ssh's ailments or of the launcher's reasons, with the target's name in it."""
    return (SSH | ADVICE)[name].replace("TARGET", target)
