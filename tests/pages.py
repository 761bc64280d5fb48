"""Pages in Markdown, run block by block as a reader would: what they print must be what the page shows.

- ``python``: run in one session per page; a ``text`` block after it is what it prints
- ``console``: lines that begin with ``$`` are commands, the lines after each are what it prints
- ``toml`` and other ``text``: saved under the name in the comment of the first line

In what is shown, a line ``...`` stands for any lines and ``...`` at the end of a line for the rest of the line. Spaces and the
frames of tables do not count; numbers agree to a relative 1e-5, or 1e-9.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from math import isclose
from pathlib import Path
from typing import NamedTuple

from benchmarks.__main__ import app as benchmarks_app
from figures.__main__ import app as figures_app
from proofs_check.__main__ import app as proofs_app
from ufm.cli import outcome
from ufm.cli.commands import app

APPS = {"ufm": app, "proofs_check": proofs_app, "figures": figures_app, "benchmarks": benchmarks_app}
NUMBER = re.compile(r"[-+]?\d*\.?\d+(?:e[-+]?\d+)?")
FRAMES = re.compile(r"[\u2500-\u257f]")


class Block(NamedTuple):
    """One fenced block: its language, its text, and whether only empty lines are between it and the block before."""

    language: str
    text: str
    follows: bool


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page in order."""
    end = -1
    for found in re.finditer(r"^```([\w{}-]*)[^\n]*\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
        yield Block(found[1], found[2], end >= 0 and not text[end : found.start()].strip())
        end = found.end()


def words(line: str) -> list[str]:
    """Words and numbers of a line, without the lines of tables around them."""
    return FRAMES.sub(" ", line).split()


def same_word(shown: str, printed: str) -> bool:
    """Equal but for the last digits of numbers."""
    if NUMBER.sub("#", shown) != NUMBER.sub("#", printed):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return all(isclose(float(a), float(b), rel_tol=1e-5, abs_tol=1e-9) for a, b in pairs)


def same_line(shown: str, printed: str) -> bool:
    """Whether a printed line is the one that is shown, see the top of this module."""
    left, right = words(shown), words(printed)
    if left and left[-1] == "...":
        left = left[:-1]
        right = right[: len(left)]
    return len(left) == len(right) and all(map(same_word, left, right))


def mismatch(shown: str, printed: str) -> str:
    """The first shown line that is not printed where it should be, or nothing."""
    lines = [line for line in printed.splitlines() if words(line)]
    place, jump = 0, False
    for line in shown.splitlines():
        if line.strip() == "...":
            jump = True
        elif words(line):
            ahead = range(place, len(lines) if jump else min(place + 1, len(lines)))
            place = next((k + 1 for k in ahead if same_line(line, lines[k])), 0)
            if not place:
                return line
            jump = False
    return "" if jump or place == len(lines) else f"nothing more, but there is: {lines[place]}"


def commands(block: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with the lines below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def run_command(command: str) -> tuple[int, str]:
    """Exit code of a command line of this project, and what it prints on stdout."""
    found = shlex.split(command, comments=True)
    found = found[2:] if found[:2] == ["python", "-m"] else found
    printed = StringIO()
    with redirect_stdout(printed):
        code = outcome(APPS[found[0]], found[0], found[1:])
    return code, printed.getvalue()


def run_python(text: str, session: dict) -> str:
    """What a block prints; what it defines stays in the session."""
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(text, "block", "exec"), session)
    return printed.getvalue()


def run_page(path: Path, session: dict, *, also: frozenset[str] = frozenset()) -> int:
    """Run a page in the current folder.

    Parameters
    ----------
    path : Path of the page
    session : dict, names of its Python session
    also : languages of blocks that are left alone

    Returns
    -------
    int
        Number of blocks that were run or compared.

    Raises
    ------
    AssertionError
        A block is not what the page says, or of a language that this module does not know.
    """
    printed, count = None, 0
    for number, (language, text, follows) in enumerate(blocks(path.read_text(encoding="utf-8")), 1):
        where = f"{path.name}, block {number}"
        if language == "python":
            printed = run_python(text, session)
        elif language == "text" and follows and printed is not None:
            assert not (wrong := mismatch(text, printed)), f"{where}: shown is {wrong!r}; printed is\n{printed}"
        elif language == "console":
            for command, shown in commands(text):
                code, out = run_command(command)
                assert code == 0, f"{where}: {command} ended with {code}"
                assert not (shown.strip() and (wrong := mismatch(shown, out))), (
                    f"{where}: shown is {wrong!r}; printed is\n{out}"
                )
        elif language in ("toml", "text"):
            name = re.match(r"# ([\w./-]+)\n", text)
            assert name, f"{where}: the first line names no file"
            Path(name[1]).write_text(text.partition("\n")[2], encoding="utf-8")
        else:
            assert language in also or language.startswith("{") or language == "math", f"{where}: {language!r} is not run"
            continue
        count += 1
    return count
