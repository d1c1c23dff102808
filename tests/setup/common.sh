# Shared by the scripts beside this one; sourced, never run. It knows how to say things and how to install Debian packages.
# shellcheck shell=sh

set -eu
umask 022 # the gate refuses programs that others may write

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Run a command with what it prints in a file, LOG; show the end of that file when the command fails, and end.
quietly() {
    log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null || {
        tail -n 40 "$log" >&2
        die "failed: $* (its whole output: $log)"
    }
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "run this as root, or install sudo: $*"
    fi
}

# Print those of the named Debian packages that are not installed.
missing_packages() {
    for package in "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || printf '%s ' "$package"
    done
}

# Install those of the named Debian packages that are missing; start no service.
need_packages() {
    command -v dpkg-query >/dev/null || die "this is no Debian or Ubuntu: install by hand what these packages hold: $*"
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    say "installing Debian packages: $missing"
    log=$(mktemp)
    quietly "$log" install_packages "$missing"
    rm -f "$log"
    case " $missing " in
        *" openssh-server "*) leave_sshd_off ;;
    esac
}

install_packages() (
    # invoke-rc.d(8) asks this program whether a package may start its service: 101 is no. One that is there stays.
    answer=/usr/sbin/policy-rc.d
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 update
    if [ ! -e "$answer" ]; then
        trap 'as_root rm -f "$answer"' EXIT
        trap 'exit 130' INT TERM HUP
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$answer" >/dev/null
        as_root chmod 755 "$answer"
    fi
    # shellcheck disable=SC2086 # a list of names
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
        install -y --no-install-recommends $1
)

# The tests start an sshd of their own; the system's, which came with the package just now, need not run at the next boot.
leave_sshd_off() {
    command -v systemctl >/dev/null || return 0
    as_root systemctl disable ssh.service ssh.socket >/dev/null 2>&1 || true
    say "the system's own sshd is neither started nor enabled ('systemctl enable --now ssh' does both)"
}
