"""What a key can really do at a real sshd: each function tries one thing and tells whether it worked.

Nothing here knows borgctl; every connection ends with the function that made it.
"""

import contextlib
import os
import socket
import subprocess
import threading

import machines
from machines import run


@contextlib.contextmanager
def listener(family, address):
    """Listen, and collect what arrives: an entry for each connection."""
    arrived = []
    with socket.socket(family) as server:
        server.bind(address)
        server.listen()

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    arrived.append(server.accept()[0].close())

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname(), arrived
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@contextlib.contextmanager
def forwarding(sshd, key, *options):
    """Hold a connection that only forwards (ssh -N) for as long as the block lasts."""
    argv = sshd.ssh_argv(key, "-N", "-o", "ExitOnForwardFailure=yes", *options)
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _dialled(sshd, key, destination, arrived):
    """Tell whether a connection through -L to this destination arrives."""
    local = machines.free_port()
    with forwarding(sshd, key, "-L", f"127.0.0.1:{local}:{destination}") as ssh:
        machines.wait_for(lambda: ssh.poll() is not None or _accepts(local))
        with socket.socket() as client:
            client.settimeout(10)
            with contextlib.suppress(OSError):
                client.connect(("127.0.0.1", local))
                client.recv(1)  # ends when the far end closes, or sshd refuses the channel
    return bool(arrived)


def dials_tcp(sshd, key):
    """Tell whether a TCP port that nobody named can be reached through sshd."""
    with listener(socket.AF_INET, ("127.0.0.1", 0)) as ((_, port), arrived):
        return _dialled(sshd, key, f"127.0.0.1:{port}", arrived)


def dials_socket(sshd, key, directory):
    """Tell whether a unix socket can be reached through sshd."""
    path = directory / "dialled.sock"
    try:
        with listener(socket.AF_UNIX, str(path)) as (_, arrived):
            return _dialled(sshd, key, path, arrived)
    finally:
        path.unlink()


def listens_on_tcp(sshd, key):
    """Tell whether a TCP port can be opened beside sshd."""
    port = machines.free_port()
    with forwarding(sshd, key, "-R", f"127.0.0.1:{port}:127.0.0.1:9") as ssh:
        machines.wait_for(lambda: ssh.poll() is not None or _accepts(port))
        return ssh.poll() is None


def listens_on_socket(sshd, key, directory):
    """Return the mode of a socket that can be made beside sshd, None where none can."""
    path = directory / "made.sock"
    try:
        with forwarding(sshd, key, "-R", f"{path}:{directory}/none") as ssh:
            machines.wait_for(lambda: ssh.poll() is not None or path.exists())
            return path.stat().st_mode & 0o777 if path.exists() else None
    finally:
        path.unlink(missing_ok=True)


def unlinks_a_file(sshd, key, directory):
    """Tell whether a file can be deleted by asking for a socket in its place."""
    victim = directory / "victim"
    victim.write_text("kept")
    try:
        with forwarding(sshd, key, "-R", f"{victim}:{directory}/none") as ssh:
            machines.wait_for(lambda: ssh.poll() is not None or victim.is_socket())
            return not victim.is_file()
    finally:
        victim.unlink(missing_ok=True)


def runs_a_command(sshd, key, directory):
    """Tell whether a command of the key holder's own choice runs."""
    proof = directory / "proof"
    run([*sshd.ssh_argv(key), f"touch {proof}"])
    return _taken(proof)


def has_a_terminal(sshd, key):
    """Tell whether the forced command gets a terminal; that command must print 'terminal' where its stdin is one."""
    return "terminal" in run(sshd.ssh_argv(key, "-tt"), timeout=20).stdout


def has_an_agent(sshd, key, directory):
    """Tell whether an agent of ours is forwarded; the forced command must print its SSH_AUTH_SOCK."""
    with listener(socket.AF_UNIX, str(directory / "agent.sock")) as (path, _):
        argv = sshd.ssh_argv(key, "-A", "-o", f"IdentityAgent={path}")
        said = run(argv).stdout
    (directory / "agent.sock").unlink()
    return "agent=/" in said


def sends_a_variable_that_runs(sshd, key, directory):
    """Tell whether BASH_ENV, sent along, makes a bash run a file first that the login or its command starts.

    The login shell itself, where it is Debian's bash, reads ~/.bashrc instead where sshd has started it.
    """
    proof, script = directory / "proof", directory / "script"
    script.write_text(f"touch {proof}\n")
    env = {**os.environ, "BASH_ENV": str(script)}
    run([*sshd.ssh_argv(key, "-o", "SendEnv=BASH_ENV"), "anything"], env=env)
    return _taken(proof)


def makes_a_tunnel(sshd, key):
    """Tell whether sshd opens a network device for the key's holder: its log at DEBUG says so."""
    before = len(sshd.log())
    with forwarding(sshd, key, "-w", "any:any") as ssh:
        said = ("Tunnel forwarding using interface", "refused tun", "server_input_channel_open: failure tun")
        machines.wait_for(lambda: ssh.poll() is not None or any(text in sshd.log()[before:] for text in said))
    return said[0] in sshd.log()[before:]


def _taken(proof):
    found = proof.exists()
    proof.unlink(missing_ok=True)
    return found
