#!/bin/bash
# The published pull scripts, on the server: socat gives the client's borg a `borg serve` on a forwarded unix socket, whose
# name and repository the client's script takes from two variables. Written anew from their description.
#
#   BORG=… REPOSITORY=… SOCKETS=DIR scripts-server.sh ssh OPTION… user@client
set -euo pipefail

name=pull-$$-$RANDOM.sock
socat "UNIX-LISTEN:$SOCKETS/$name,unlink-close=1" \
    "EXEC:$BORG serve --append-only --restrict-to-repository $REPOSITORY" &
serve=$!
trap 'kill "$serve" 2>/dev/null || true' EXIT
until [ -S "$SOCKETS/$name" ]; do sleep 0.02; done
export BORG_SOCKET=$SOCKETS/$name.client BORG_REPOPATH=$REPOSITORY
"$1" -R "$BORG_SOCKET:$SOCKETS/$name" -o "SendEnv=BORG_SOCKET BORG_REPOPATH" "${@:2}"
wait "$serve"
