"""Hints: what to do about a run that failed, by its reason, and by the messages of ssh and borg.

ADVICE has the launcher's reasons; those of the gate are in `errors`. SSH and _BORG have fixed sentences for ssh's words
and for the names of borg's messages. Nothing that the other side sends is repeated here. `outcome` decides the
reason.

    >>> advice(Verdict("failed", "ssh", 255, "ssh-failed"), (), "web1")
    'can the client be reached under this name and port?'
"""

import re
from collections.abc import Iterable

from borgctl.console.text import elapsed
from borgctl.pull.client.transcript import Message
from borgctl.pull.client.verdict import Verdict
from borgctl.pull.report.outcome import ACCEPTED
from borgctl.pull.report.trends import SHRUNKEN, SLOW
from borgctl.pull.targets.paths import BUSY
from borgctl.reasons import REASONS
from borgctl.wire.frames import DRY_RUN, GOOD

ADVICE = {
    DRY_RUN: "nothing was saved, as it was a dry run: take 'dry-run' out of the job in the client's policy",
    ACCEPTED: "borg gave only warnings that the target file accepts ('accept_warnings')",
    "timeout": "raise 'timeout' in the target file, or run more often",
    "deadline": "the time for all targets was over (--within): give more, or run more at once (--parallel)",
    "stopped": "run again: borg goes on from its last checkpoint",
    "broken-off": "borgpull was killed or failed, or this machine went down: run again",
    "window-cut": "a command of the client's admin was cut short: open another window",
    "stream-limit": "the client sent a line of more than 1 MiB: look at what it runs",
    "ssh-failed": "can the client be reached under this name and port?",
    "connection-lost": "what borg had committed is kept, its last checkpoint too: run again",
    "stray-output": "the client's login prints on stdout before the gate speaks: is its shell one that runs commands? "
    "there make ~/.bashrc, /etc/bash.bashrc, ~/.zshenv, /etc/zsh/zshenv, ~/.cshrc, ~/.ssh/rc and /etc/ssh/sshrc "
    "print nothing, or to stderr (echo hi >&2)",
    "no-exit-line": "the gate did not say how it ended: is it the key's forced command? was it killed?",
    "frame-mismatch": "the client answered for another run, job or repository: is the right gate behind this key?",
    "no-start": "the gate reports success without having started: look at the client",
    "exit-code-mismatch": "the gate's exit line and its exit status contradict each other: look at the client",
    "serve-failed": "read serve's messages above, then check the repository on the server",
    "serve-missing": "check 'borg' in the target file",
    "serve-unused": "the client never connected to the forwarded socket",
    "result-cut": "ask for less: borg's result had more than 4 MiB and was cut",
    "target-busy": BUSY,
    "repository-gone": "is its disk mounted, is 'repository' right? a lost 'config' comes back with: borgpull copies "
    "TARGET; to begin anew on purpose: borgpull forget TARGET --repository",
    "repository-replaced": "another one is mounted or was put there, or its 'config' is damaged: borgpull copies "
    "TARGET; to use what is there on purpose: borgpull forget TARGET --repository",
    "alert-stands": "compact makes deletions final: look into the alerts (docs/going-back.md), then: "
    "borgpull accept TARGET --reason TEXT",
    "repository-known": "it was made before; to begin anew on purpose: borgpull forget TARGET --repository",
    "repository-unfinished": "an earlier 'init' broke off (was the disk full?): remove what it left on this server, "
    "then: borgpull run TARGET --job init",
    "server-full": "make room on this server's disk, or free what pruning has marked: borgpull compact TARGET",
    "guard-failed": "the guard in front of borg serve ended without saying what it let pass: see the error above",
    "nothing-committed": "the client reports success and has saved nothing: look at the client; if the job only reads, "
    "or prunes, say so in the target file, under 'jobs'",
    "nothing-backed-up": "no file was backed up, and the last good run had some: is it mounted on the client? if it is "
    "empty on purpose: borgpull accept TARGET --reason TEXT",
    SHRUNKEN: "the backup was made, and is empty, or less than half as large as usual: is everything mounted on the "
    "client? if it is to be so small: borgpull accept TARGET --reason TEXT, and from then on this is usual",
    SLOW: "the backup was made, and took more than three times as long as usual: is the client or the network busy, "
    "or is there much more to save? if that stays: borgpull accept TARGET --reason TEXT, and then this is usual",
    "no-repository": "is its disk mounted, is 'repository' right? if it was never made: borgpull run TARGET --job init",
    "target-invalid": "see the error above: 'borgpull targets' shows every mistake",
    "target-paused": "--all and @TAG leave it out until then, and a name is refused; to run it now, take 'paused' "
    "out of the target file",
    "not-started": "see the error above",
    "internal": "a defect of borgpull: please report it with the error above",
    "host-key-missing": "run the line that 'borgctl authorize' prints on the client: "
    "borgpull trust TARGET 'ssh-ed25519 AAAA…'",
    "unknown-protocol": "the gate speaks another protocol: bring both sides to the same version",
    "no-hello": "the client did not answer 'hello': is the gate the key's forced command?",
    "no-jobs": "the client's policy has no job with command create: name jobs in the target file",
}
# Words of ssh's, and what failed
_WORDS = (
    (r"Host key verification failed|REMOTE HOST IDENTIFICATION|host key is known", "host-key"),
    (r"Permission denied|Too many authentication failures", "key"),
    (r"[Rr]emote port forwarding failed|forwarding failed", "socket"),
)
# Words of ssh's for a lost connection; where the gate was killed it says nothing, with the same exit status
_LOST = r"Timeout, server|closed by remote host|[Cc]onnection reset|[Bb]roken pipe|timed out|send disconnect"
SSH = {
    "host-key": "the client shows another host key than the target file has: was it reinstalled? compare with what "
    "'borgctl authorize' prints on the client, then: borgpull trust --replace TARGET 'ssh-ed25519 AAAA…'",
    "key": "put the line that 'borgctl authorize' prints into the client's authorized_keys; "
    "check with 'borgctl doctor'",
    "socket": "the client's sshd doesn't forward: check with 'borgctl doctor' there, or use transport stdio",
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


def ssh_failure(texts: Iterable[str]) -> str:
    """Return what failed, by ssh's words: a key of SSH."""
    words = list(texts)
    return next((name for pattern, name in _WORDS if any(re.search(pattern, text) for text in words)), "ssh")


def advice(verdict: Verdict, messages: Iterable[Message], target: str) -> str | None:
    """Return what to do about it, in one sentence; None where we know nothing."""
    shown = list(messages)
    if verdict.reason == "ssh-failed":
        hint: str | None = SSH[ssh_failure(message.text for message in shown if message.source == "unframed")]
    elif (of_reason := advice_on_reason(verdict)) or verdict.outcome in GOOD:
        hint = of_reason
    else:
        names = [message.msgid for message in shown if message.source == "borg"]
        hint = next((_BORG[name] for name in names if name in _BORG), None)
    return hint and hint.replace("TARGET", target)


def advice_on_reason(verdict: Verdict) -> str | None:
    """Return what to do about its reason; the gate's reasons are those of `errors`, all others are in ADVICE."""
    if verdict.origin not in ("borg", "gate"):
        return ADVICE.get(verdict.reason or "")
    return REASONS[verdict.reason].advice if verdict.reason in REASONS else None


def advice_on_unknown_job(target: str, jobs: Iterable[str]) -> str:
    """Return what to do about a job that the client does not offer; `jobs` are those that it has run before."""
    names = ", ".join(jobs)
    before = f"; it has run: {names}" if names else ""
    return f"the client's policy has no such job{before}; to see what it offers: borgpull test {target}"


def advice_on_lost_connection(messages: Iterable[Message], seconds: float, *, window: bool) -> str:
    """Return what to do where the client's side ended in the middle, after so many seconds."""
    after = elapsed(seconds)
    ssh_says_so = any(message.source == "unframed" and re.search(_LOST, message.text) for message in messages)
    return f"connection lost after {after}{'' if ssh_says_so else ', or the gate was killed'}; " + (
        "open another window" if window else "what borg had committed is kept, run again"
    )


def advice_for(name: str, target: str) -> str:
    """Return the advice for a key of SSH or a reason of the launcher, with the target's name in it."""
    return (SSH | ADVICE)[name].replace("TARGET", target)
