"""Act with another user's rights for a while, where root would follow what that user lets lie around (seteuid(2)).

    with acting_as(990, 990): open("/home/alice/.ssh/authorized_keys")

Real and saved user stay root's, so that user's processes can neither trace nor signal us. No thread may run beside.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def acting_as(user: int) -> Iterator[None]:
    """Have root be this user, with the groups of the account, within the block; nothing changes for others."""
    if os.geteuid() != 0 or user == 0:
        yield
        return
    own = os.getegid(), os.getgroups()
    group, groups = _groups(user)
    os.setgroups(groups)
    try:
        os.setegid(group)
        os.seteuid(user)
        yield
    finally:
        os.seteuid(0)
        os.setegid(own[0])
        os.setgroups(own[1])


def _groups(user: int) -> tuple[int, list[int]]:
    """Return an account's group and all of its groups; a number without an account has its own alone."""
    try:
        entry = pwd.getpwuid(user)
    except KeyError:
        return user, [user]
    return entry.pw_gid, os.getgrouplist(entry.pw_name, entry.pw_gid)
