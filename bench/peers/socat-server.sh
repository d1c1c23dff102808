#!/bin/bash
# The recipe with socat that borg's documentation has, on the server: a listening socket with a `borg serve` behind it, and
# ssh -R. The last word is the command line for the client, which gets the socket's name as SOCKET.
#
#   BORG=… REPOSITORY=… SOCKETS=DIR socat-server.sh ssh OPTION… user@client 'COMMAND'
set -euo pipefail

name=recipe-$$.sock
socat "UNIX-LISTEN:$SOCKETS/$name,fork,mode=600" \
    "EXEC:$BORG serve --append-only --restrict-to-path $REPOSITORY --umask 077" &
listener=$!
trap 'kill "$listener" 2>/dev/null || true; rm -f "$SOCKETS/$name"' EXIT
until [ -S "$SOCKETS/$name" ]; do sleep 0.02; done
remote=$SOCKETS/$name.client
status=0
"$1" -R "$remote:$SOCKETS/$name" "${@:2:$#-2}" "SOCKET=$remote; ${!#}; status=\$?; rm -f \"\$SOCKET\"; exit \$status" || status=$?
while pkill -0 -P "$listener"; do sleep 0.02; done # its children are borg's
kill "$listener"
wait "$listener" || true
exit "$status"
