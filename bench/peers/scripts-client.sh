#!/bin/bash
# The published pull scripts, on the client: the forced command of the server's key. nc joins borg to the forwarded socket.
# A word `extract ARCHIVE` instead of an archive's name restores into the directory TO. Written anew from their description.
#
#   scripts-client.sh ENVIRONMENT-FILE PATH
set -euo pipefail

# shellcheck disable=SC1090
. "$1"
export BORG_RSH="sh -c 'exec nc -U $BORG_SOCKET'"
trap 'rm -f "$BORG_SOCKET"' EXIT
read -ra words <<<"$SSH_ORIGINAL_COMMAND"
if [ "${words[0]}" = extract ]; then
    cd "$TO"
    "$BORG" extract "ssh://server$BORG_REPOPATH::${words[1]}"
else
    "$BORG" create "ssh://server$BORG_REPOPATH::${words[0]}" "$2"
fi
