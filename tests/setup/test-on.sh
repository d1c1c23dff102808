#!/bin/sh
# Run commands in a fresh tree of another Debian release, as root in a clone of what is committed here:
#     tests/setup/test-on.sh trixie 'make demo && make test'
# The tree has mounts and processes of its own, this machine's network and pip settings; it goes at the end.
here=$(dirname "$0")
. "$here/common.sh"

suite=${1:?a release of Debian: bookworm, trixie}
commands=${2:?what to run there}
mirror=${MIRROR:-http://deb.debian.org/debian}
[ "$(id -u)" -eq 0 ] || die "run this as root: it makes a tree with devices and mounts"
need_packages debootstrap util-linux

place=$(mktemp -d /var/tmp/borgctl-on.XXXXXX)
tree=$place/tree
trap 'rm -rf --one-file-system "$place"' EXIT # what was mounted went with its namespace
trap 'exit 130' INT TERM HUP
say "making $suite in $tree (a minute or two)"
quietly "$place/debootstrap.log" debootstrap --variant=minbase --include=ca-certificates,git,make,python3 \
    "$suite" "$tree" "$mirror"
git clone --quiet "$here/../.." "$tree/root/borgctl"
cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
echo "127.0.0.1 localhost" >"$tree/etc/hosts" # as an installed system has
cp -L /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/ca-certificates.crt"

# its root is the tree by pivot_root(8): in a chroot(2) the kernel makes no user namespaces
inside='
    mount --bind "$1" "$1"
    cd "$1"
    mount -t proc proc proc
    mount --rbind /sys sys
    mount --rbind /dev dev
    for own in dev/shm run tmp; do mount -t tmpfs -o mode=1777 tmpfs "$own"; done
    chmod 755 run
    pivot_root . mnt
    umount -l /mnt
    cd /root/borgctl
    exec env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        PIP_CERT=/etc/ssl/certs/ca-certificates.crt ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} \
        ${https_proxy:+https_proxy="$https_proxy"} /bin/sh -c "$2"'
unshare --mount --pid --ipc --uts --fork --kill-child sh -euc "$inside" sh "$tree" "$commands"
