#!/bin/bash
# Pull through sshfs, on the server: borg runs here, knows the passphrase here, and reads the client's files over sftp.
#
#   MOUNT=DIR sshfs-server.sh REMOTE SSH-COMMAND BORG WORD…
set -euo pipefail

sshfs -f -o "ssh_command=$2" "$1" "$MOUNT" &
mounted=$!
trap 'fusermount3 -u "$MOUNT" 2>/dev/null || true; wait "$mounted" 2>/dev/null || true' EXIT
until mountpoint -q "$MOUNT"; do
    kill -0 "$mounted"
    sleep 0.02
done
cd "$MOUNT"
"${@:3}"
cd /
