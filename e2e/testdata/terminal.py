"""Runs a program in a terminal of its own, prints what it writes, and ends as it ends.

usage: terminal.py PROGRAM ARGUMENT...
Lines of the environment variable KEYS are typed one after the other: each is WAITFOR<TAB>KEYS, in Python's escapes; the keys
are typed once the screen has shown the text.
"""
import os
import pty
import re
import select
import sys
import time

TIMEOUT = 60


def main():
    script = [line.split("\t") for line in os.environ.get("KEYS", "").splitlines() if line]
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execvp(sys.argv[1], sys.argv[1:])
    seen = b""
    since = b""
    end = time.monotonic() + TIMEOUT
    while True:
        ready, _, _ = select.select([terminal], [], [], 0.3)
        if time.monotonic() > end:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            sys.stdout.buffer.write(seen)
            sys.exit("time is up; still to type: %r" % script)
        if ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                data = b""
            if not data:
                break
            seen += data
            since += data
            continue
        # Quiet: the screen is as the program wants it.
        plain = re.sub(rb"\x1b[\[(][0-9;?]*[a-zA-Z]", b"", since).decode("utf-8", "replace")
        if script and re.search(script[0][0], plain):
            os.write(terminal, script.pop(0)[1].encode().decode("unicode_escape").encode())
            since = b""
    _, status = os.waitpid(pid, 0)
    sys.stdout.buffer.write(seen)
    if script:
        sys.exit("ended before it was typed: %r" % script)
    sys.exit(os.waitstatus_to_exitcode(status))


main()
