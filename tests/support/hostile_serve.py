"""A hostile `borg serve`: the real one, whose answers are changed on the way. argv: MODE REAL-BORG serve …"""

import contextlib
import os
import re
import subprocess
import sys
import threading

OPENED = b"\x82\xa1i\x02\xa1r\xda\x00\x20"
FORGED = b"\x07" * 32
NONCES = {"nonce-near-the-end": (1 << 64) - (1 << 32), "nonce-half-way": (1 << 63) - 1}
ASKED = re.compile(rb"\xa1i(.{1,5}?)\xa1m\xaeget_free_nonce", re.DOTALL)
OBJECT, OBJECT_FROM_AN_OLD_SERVER = "object-with-a-far-nonce", "object-with-a-far-nonce-from-an-old-server"
GOT = re.compile(rb"\xa1i(.{1,5}?)\xa1m\xa3get\xa1a", re.DOTALL)
asked = []  # numbers of the questions for a nonce
got = []  # and for an object
FAR = (1 << 63) - (1 << 29)
OLD_SERVER = (  # borg believes it, counts on by itself, and tells nobody what it reserves
    b"\xafexception_class\xb0InvalidRPCMethod\xaeexception_args\x91\xaeget_free_nonce\xaeexception_full\x90"
    b"\xafexception_short\x90\xafexception_trace\xc2\xa7sysinfo\xa0"
)


def nonce_answer(answer, head, value):
    """Return the bytes of an answer with another one to the last question for a nonce."""
    return re.sub(
        rb"\x82\xa1i" + re.escape(asked[-1]) + rb"\xa1r(?:\xc0|[\x00-\x7f]|\xcc.|\xcd..|\xce.{4}|\xcf.{8})",
        lambda _: head + b"\xa1i" + asked.pop() + value,
        answer,
        count=1,
        flags=re.DOTALL,
    )


def changed(mode, answer):
    """Return what the client gets for the bytes of one answer."""
    if asked and mode in NONCES:
        return nonce_answer(answer, b"\x82", b"\xa1r\xcf" + NONCES[mode].to_bytes(8, "big"))
    if asked and mode == OBJECT_FROM_AN_OLD_SERVER:
        return nonce_answer(answer, b"\x87", OLD_SERVER)
    if mode in (OBJECT, OBJECT_FROM_AN_OLD_SERVER) and len(got) == 1:
        head = rb"(\x82\xa1i" + re.escape(got[0]) + rb"\xa1r(?:\xda..|\xdb.{4}).{33}).{8}"
        got.append(b"")
        return re.sub(head, lambda found: found[1] + FAR.to_bytes(8, "big"), answer, count=1, flags=re.DOTALL)
    at = answer.find(OPENED)
    if at < 0:
        return answer
    head, real, rest = answer[:at], answer[at : at + len(OPENED) + 32], answer[at + len(OPENED) + 32 :]
    match mode:
        case "forged":
            return head + OPENED + FORGED + rest
        case "twice":
            return head + real + OPENED + FORGED + rest
        case "other-form":
            return head + b"\x82\xa1r\xda\x00\x20" + FORGED + b"\xa1i\x02" + rest
        case "three-keys":
            return head + b"\x83" + real[1:] + b"\xa1r\xda\x00\x20" + FORGED + rest
        case "as-an-error":
            return head + b"\x83\xa1i\x02\xa1x\xafexception_class\xa1r\xda\x00\x20" + FORGED + rest
    return answer


def flood():
    """Answer what nobody asked, 200 MB of it."""
    for number in range(200):
        os.write(1, b"\x82\xa1i\xce\x70\x00\x00" + bytes([number]) + b"\xa1r\xdb\x00\x10\x00\x00" + bytes(1 << 20))


def main(mode, *argv):
    serve = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    if mode == "before-it-is-asked":
        os.write(1, b"\x94\x01\x01\xc0\x81\xaeserver_version\x94\x01\x04\x05\xff" + OPENED + FORGED + OPENED + FORGED)

    def outward():
        while data := os.read(0, 65536):
            asked.extend(ASKED.findall(data))
            got.extend(() if got else GOT.findall(data)[:1])
            if mode == "unasked" and b"\xa1m\xa3put" in data:
                with contextlib.suppress(BrokenPipeError):  # nobody listens any more
                    flood()
            serve.stdin.write(data)
        serve.stdin.close()

    threading.Thread(target=outward, daemon=True).start()
    while data := os.read(serve.stdout.fileno(), 65536):
        os.write(1, changed(mode, data))
    os._exit(serve.wait())


if __name__ == "__main__":
    main(*sys.argv[1:])
