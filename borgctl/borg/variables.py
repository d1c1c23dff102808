"""Variables of borg's environment that a policy may accept from a server or set itself, and what each value must be.

It does not know a policy.

    >>> ACCEPTABLE["COLUMNS"].check("80")
    '80'
"""

from borgctl.borg.value_kinds import Kind, count, word

ACCEPTABLE = {
    "BORG_FILES_CACHE_TTL": count(1, 10000),
    "BORG_USE_CHUNKS_ARCHIVE": word("yes", "no"),
    "COLUMNS": count(20, 500),
    "LINES": count(5, 500),
}
SETTABLE = ACCEPTABLE | {
    "BORG_FILES_CACHE_SUFFIX": Kind("letters, digits, '_' and '-'", r"[A-Za-z0-9_-]{1,64}"),
    "BORG_HOSTNAME": Kind("a host name", r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}"),
    "BORG_HOST_ID": Kind("a host's identity", r"[A-Za-z0-9][A-Za-z0-9.@:-]{0,99}"),
    "BORG_USERNAME": Kind("a user name", r"[a-z_][a-z0-9_-]{0,31}"),
    "LANG": word("C.UTF-8", "en_US.UTF-8"),
    "TZ": Kind("UTC or Area/City", r"UTC|[A-Z][A-Za-z_]+/[A-Z][A-Za-z_+-]+(?:/[A-Z][A-Za-z_]+)?", 64),
}
