"""Commands whose streams are a terminal."""

import os
import pty
import re
import subprocess
import sys

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_on_terminal(*words, stream="stdout", columns=40, timeout=60):
    """What a command writes to a terminal that is this stream, and what it writes to the pipe that is the other one."""
    leader, follower = pty.openpty()
    other = "stderr" if stream == "stdout" else "stdout"
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    streams = {stream: follower, other: subprocess.PIPE}
    shown = b""
    with subprocess.Popen([sys.executable, *words], env=environment, stdin=subprocess.DEVNULL, **streams) as process:
        os.close(follower)
        while True:
            try:
                part = os.read(leader, 4096)
            except OSError:  # the last writer has gone
                break
            if not part:
                break
            shown += part
        piped = getattr(process, other).read().decode()
        assert process.wait(timeout) == 0, (shown, piped)
    os.close(leader)
    return shown.decode(), piped
