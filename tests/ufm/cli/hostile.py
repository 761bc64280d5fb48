"""Random command lines, most of them wrong, through the door that users come in by.

``python -m tests.ufm.cli.hostile --count 10000 --seed 1`` prints the counts by command and exit code, and exits with 1 at
violations, each with the line that reproduces it (``--only N`` repeats the N-th line of a seed). For every line:

- the exit code is 0, 1 or 2, and nothing is raised or warned about;
- the last line on stderr after exit 2 is one sentence ("ufm: ...") of fewer than 500 characters;
- with ``--json`` stdout is exactly one JSON object on success and empty on failure (a rejected certificate has an object too);
- nothing is left in the folder but the files that were asked for.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from tests.ufm.cli.files import Files, templates
from ufm.cli import outcome
from ufm.cli.commands import app
from ufm.glossary import names

PATIENCE = 10
"""Seconds for one line; what is slow is left out of the pools below, so that this is a hang."""
NUMBERS = (
    "nan", "inf", "-inf", "1e999", "-1e999", "0x10", "1_000", "٣", "", " ", "-1", "0", "-0", "1e-400", "1e-320", "5e-324",
    "1e308",
    "1.7976931348623157e308", "9" * 400, "0." + "3" * 400, "1e", "e", "--", "½", "1,5", "1/3", "\ud800", "a" * 20000, "\n",
    "[red]",
    "[/]", "1e-12", "1e-7", "1e3", "2.5", "1", "3", "NaN", "True", "None", "\x00", "1j", "१", "+5", "0b1", "𝟛",
)  # fmt: skip
WHOLES = (
    "0",
    "-1",
    "1",
    "2",
    "3",
    "7",
    "2.5",
    "1e3",
    "٣",
    "1_0",
    "",
    "x",
    str(2**53),
    str(2**63),
    str(2**64),
    "9" * 400,
    "0x3",
    "nan",
)
HEADS = (
    "explicit", "explicit:2", "explicit:3", "explicit:0", "explicit:-1", "explicit:1e9", "explicit:nan", "explicit:inf",
    "deq:rho=0.3",
    "deq:rho=0", "deq:rho=0.999999999999", "deq:rho=1", "deq:rho=nan", "deq:decay=0.05,contraction=0.5", "deq:decay=1e-300",
    "deq:decay=1e300,contraction=0.9999999", "deq:frobenius=0.3", "deq:frobenius=0.9999999999", "deq:frobenius=0", "relu",
    "etf",
    "etf:norm=2", "etf:average", "etf:norm=2,average", "etf:norm=1e-300", "etf:norm=1e300", "relu:", "deq:", ":", "",
    "deq:rho=0.3,rho=0.3",
    "vit", "explicit:" + "9" * 5000, "deq:rho=" + "1" * 5000, "[/red]", "deq:=,", "etf:average=1",
    "layernorm", "layernorm:norm=3", "layernorm:norm=0", "layernorm:norm=1e400", "layernorm:norm=nan", "layernorm:r=1",
    "cosine:scale=3", "cosine:scale=-1", "cosine", "cosine:scale=1e300",
)  # fmt: skip
HEADS_SOUND = tuple(
    head
    for head in HEADS
    if head in ("explicit", "explicit:2", "deq:rho=0.3", "relu", "etf", "deq:frobenius=0.3", "layernorm", "cosine:scale=3")
)
LOSSES = (
    "ce", "mse", "bce", "pal", "multitask:2,2", "multitask:1",
    "ce:weights=1", "ce:weights=-1", "ce:adjustment=1", "ce:temperatures=0.3", "ce:smoothing=0.1",
    "ce:smoothing=0.999",
    "ce:weights=1/2", "ce:weights=1e300/1e-300", "ce:temperatures=1e3", "ce:temperatures=1e-9/1", "ce:adjustment=-700",
    "ce:weights=700", "ce:smoothing=nan", "ce:weights=inf", "ce:x=1", "mse:weights=1", "ce:weights=" + "/".join(["1"] * 3000),
    "focal", "focal:gamma=1", "focal:gamma=0", "focal:gamma=1e9", "focal:gamma=nan", "focal:weights=1",
    "", "hinge", "ce:", "ce:weights=1,adjustment=1,temperatures=0.3,smoothing=0.1",
)  # fmt: skip
COUNTS = (
    "5*3", "100*2,10*3", "9,5,2", "1,1", "1e12*2,1*3", str(2**53) + "*2", "7*1000000", "20*4,5*4", "3", "0*3", "-1*3",
    "nan*2",
    "inf,1", "1.5*2", "5*0", "*", ",", "5**3", "٣*٢", "1_0*2", "5*3,", "9" * 5000, "1e999999999*2", "1e-999999999*2",
    "a" * 90000,
    "5*" + "9" * 30, ",".join(map(str, range(1, 4000))), ",".join(map(str, range(1, 20))), "30,20,10,5,2", "sNaN*2",
    "1e3*2,7",
    ",".join(["1"] * 20000), "0x5*3",
)  # fmt: skip
CONVENTIONS = ("mean-half", "mean-full", "sum-half", "sum-full", "fang", "half", "", "x" * 3000)
METHODS = ("auto", "separable", "symmetric", "factored", "magic", "", "z" * 9000, "multistart")
TERMS = (
    "nc1", "NC2", "control: moved", "bounds (float)", "theory_nc3", "theory_", "nc11", "cos minority", "(", ")", "a(b)",
    "[bold]", "explicit", "n" * 20000, "undefined", "_", "theory_nothing", "status", "collapsed",
)  # fmt: skip
GROUPS = (
    "many=100+,medium=20-100,few=-20", "all=0+", "a=5", "a=1-", "=1+", "a=9-1", "a=" + "9" * 40 + "+", "a=1+,a=2+", "",
    "x" * 9000,
)  # fmt: skip
LEVELS = ("float", "float", "rigorous", "exact", "", "r" * 9000)


class Hang(BaseException):
    """No answer in time."""


class Line(NamedTuple):
    """The words after ``ufm`` and the files that they ask for."""

    words: list[str]
    asked: frozenset[str]


class Generator(Files):
    """Lines, all from one seed."""

    def line(self) -> Line:
        """The next line; its input files are written."""
        kinds = (
            self.solve,
            self.solve,
            self.tables,
            self.threshold,
            self.advise,
            self.contrastive,
            self.recheck,
            self.measure,
            self.train,
            self.compare,
            self.sweep,
            self.explain,
            self.noise,
        )
        words, asked = self.random.choice(kinds)()
        if self.random.random() < 0.06:
            words.insert(
                self.random.randrange(len(words) + 1),
                self.random.choice((*NUMBERS, "--bogus", "-x", "--json", "-", "--help", "-h", "--version")),
            )
        if words and words[0] != "compare" and self.random.random() < 0.03:  # a comparison without its mistake would run
            words.pop(self.random.randrange(len(words)))
        return Line(words, frozenset(asked))

    def mostly(self, good: str, *others: str) -> str:
        """The first in two of three cases, else any."""
        return good if self.random.random() < 0.66 else self.pick(good, *others)

    def number(self, *good: str) -> str:
        """Mostly a good number, else any."""
        return self.pick(*good) if self.random.random() < 0.95 else self.pick(*NUMBERS)

    def whole(self, *good: str) -> str:
        """Mostly a good whole number, else any."""
        return self.pick(*good) if self.random.random() < 0.9 else self.pick(*WHOLES)

    def joined(self, most: int, *good: str) -> str:
        """Two numbers, or some other number of them."""
        count = 2 if self.random.random() < 0.95 else self.random.randrange(most)
        return ",".join(self.number(*good) for _ in range(count))

    def options(self, **pools: Callable[[], str]) -> list[str]:
        """Some of the options, each with a value."""
        words: list[str] = []
        for name, value in pools.items():
            if self.random.random() < 0.3:
                words += [f"--{name.replace('_', '-')}", value()]
        return words

    def regularizer(self) -> list[str]:
        words = []
        if self.random.random() < 0.1:
            return ["--decay", self.number("1e-3", "1e-2", "0.1")]
        if self.random.random() < 0.75:
            words += ["--decay", self.joined(5, "1e-3", "5e-3", "1e-2", "0.1", "1e-5", "3")]
        if self.random.random() < (0.05 if words else 0.9):
            words += ["--budget", self.joined(4, "1", "2", "5", "0.3", "1e-3")]
        return words

    def json(self) -> list[str]:
        return ["--json"] if self.random.random() < 0.5 else []

    # Commands

    def solve(self) -> tuple[list[str], list[str]]:
        words = ["solve", "--counts", self.pick(*COUNTS[:9]) if self.random.random() < 0.6 else self.pick(*COUNTS)]
        words += self.regularizer()
        words += self.options(
            head=lambda: self.pick(*(HEADS if self.random.random() < 0.3 else HEADS_SOUND)),
            loss=lambda: self.pick(*(LOSSES if self.random.random() < 0.5 else LOSSES[:7])),
            dim=lambda: self.whole("1", "2", "5", "50", "1000000000000"),
            method=lambda: self.mostly(*METHODS),
            level=lambda: self.pick(*(LEVELS if self.random.random() < 0.2 else LEVELS[:3])),
            convention=lambda: self.mostly(*CONVENTIONS),
            groups=lambda: self.mostly(*GROUPS),
        )
        asked = []
        if self.random.random() < 0.15:
            asked.append(self.output("c.json"))
            words += ["--save", asked[-1]]
        return words + self.json(), asked

    def tables(self) -> tuple[list[str], list[str]]:
        """Targets from files."""
        name = self.pick("t.csv", "t.csv", "t.npz", "t.txt")
        option = self.mostly("--counts-file" if name == "t.txt" else "--table", "--counts-file", "--table")
        words = ["solve", option, self.place(name, {"t.npz": self.odd_table}.get(name, self.odd_lines)), *self.regularizer()]
        words += self.options(
            head=lambda: self.mostly("deq:rho=0.3", *HEADS),
            loss=lambda: self.pick(*(LOSSES if self.random.random() < 0.2 else LOSSES[:6])),
            dim=lambda: self.whole("1", "2", "5"),
            method=lambda: self.mostly("auto", *METHODS),
            level=lambda: self.pick(*LEVELS[:3]),
            convention=lambda: self.mostly(*CONVENTIONS),
        )
        return words + self.json(), []

    def threshold(self) -> tuple[list[str], list[str]]:
        words = [
            "threshold",
            "--classes",
            self.mostly("5,5", "3,7", "2,2", "5", "0,5", "5,-1", "a,b", "1000000,5", "9" * 200 + ",5", "٣,٣"),
        ]
        words += self.regularizer()
        words += self.options(
            minority_count=lambda: self.whole("100", "10", "1"),
            head=lambda: self.mostly("deq:rho=0.3", *HEADS),
            level=lambda: self.pick(*(LEVELS if self.random.random() < 0.2 else LEVELS[:3])),
            convention=lambda: self.mostly(*CONVENTIONS),
            loss=lambda: self.mostly(
                "ce",
                "bce",
                "mse",
                "ce:weights=1",
                "ce:weights=0.5,temperatures=1e9",
                "ce:weights=1/0",
                "pal",
                "focal:gamma=2",
            ),
            solve_for=lambda: self.mostly("ratio", "decay", "minority-count", "rho", "speed", ""),
            ratio=lambda: self.mostly("3", "1", "0.5", "nan", "inf", "1e300", "x"),
        )
        if "--minority-count" not in words and self.random.random() < 0.6:
            words += ["--minority-count", "50"]
        return words + self.json(), []

    def contrastive(self) -> tuple[list[str], list[str]]:
        """Optima, and thresholds with classes that do and do not fit."""
        words = ["contrastive"]
        if self.random.random() < 0.95:
            words += ["--temperature", self.number("0.5", "1", "0.07", "20", "1e-3", "1e4")]
        if self.random.random() < 0.3:
            words += ["--threshold", "--classes", self.mostly("1,4", "2,3", "3,7", "5", "0,5", "4,1", "1000000,5", "9" * 200)]
        if self.random.random() < (0.1 if "--threshold" in words else 0.95):
            words += ["--counts", self.pick(*COUNTS[:9]) if self.random.random() < 0.6 else self.pick(*COUNTS)]
        if self.random.random() < 0.2:
            words.append("--nonnegative")
        words += self.options(level=lambda: self.pick(*(LEVELS if self.random.random() < 0.2 else LEVELS[:3])))
        return words + self.json(), []

    def recheck(self) -> tuple[list[str], list[str]]:
        return ["recheck", self.place("c.json", self.mutated_json), *self.json()], []

    def measure(self) -> tuple[list[str], list[str]]:
        words = ["measure", self.place("run.npz", self.odd_arrays)]
        words += self.options(
            convention=lambda: self.mostly("zhu", "hong-ling", "papyan2020", "hongling2023", "x", ""),
            groups=lambda: self.mostly(*GROUPS),
        )
        asked = []
        if self.random.random() < 0.03:
            asked.append(self.output("p.png"))
            words += ["--plot", asked[-1]]
        if self.random.random() < 0.5:
            words += ["--predict", "--decay", self.joined(4, "1e-2", "1e-4", "1e-3")]
        return words + (["--relu"] if self.random.random() < 0.2 else []) + self.json(), asked

    def advise(self) -> tuple[list[str], list[str]]:
        """Remedies for few classes, or for sizes that are refused."""
        words = ["advise", "--counts", self.pick(*COUNTS[:4]) if self.random.random() < 0.6 else self.pick(*COUNTS[:20])]
        if self.random.random() < 0.1:
            words = ["advise", "--counts-file", self.place("t.txt", self.odd_lines)]
        words += self.regularizer()
        words += self.options(
            head=lambda: self.mostly("deq:rho=0.3", *HEADS),
            level=lambda: self.pick(*(LEVELS if self.random.random() < 0.2 else LEVELS[:3])),
            convention=lambda: self.mostly(*CONVENTIONS),
        )
        asked = []
        if self.random.random() < 0.1:
            asked.append(self.output(self.mostly("p.png", "p.jpg", "p")))
            words += ["--plot", asked[-1]]
        return words + self.json(), asked

    def train(self) -> tuple[list[str], list[str]]:
        """Tiny networks, or sizes that the door refuses."""
        out = self.output("net")
        words = ["train", "--out", out, "--epochs", self.mostly("1", "0", "-1", "x"), "--width", self.whole("3", "4", "8")]
        words += ["--largest", self.mostly("9", "100000000", "0", "-5", "9" * 30)]
        words += ["--classes", self.mostly("2,2", "1,1", "5000,5000", "0,2", "x")]
        words += ["--ratio", self.number("1", "2", "3")]
        words += self.options(
            model=lambda: self.mostly("explicit", "deq", "cnn", ""),
            data=lambda: self.mostly("mixture", "digits", "mnist"),
            map=lambda: self.pick("tanh", "relu", "linear", "monotone", "linear", "relu", "gelu"),
            contraction=lambda: self.number("0", "0.5", "0.99"),
            decay=lambda: self.joined(4, "1e-2", "1e-3"),
            body=lambda: self.number("1e-3", "0"),
            encoder=lambda: self.number("1e-3", "0"),
            jacobian=lambda: self.number("0.1", "0"),
            optimizer=lambda: self.pick("adam", "sgd", "lion"),
            rate=lambda: self.number("0.01", "0.1", "1e6"),
            batch=lambda: self.whole("4", "128", "1000000"),
            feature_norm=lambda: self.number("1", "8"),
            seed=lambda: self.whole("0", "1", "5"),
        )
        return words + (["--tail"] if self.random.random() < 0.2 else []) + self.json(), [out]

    def compare(self) -> tuple[list[str], list[str]]:
        """Only lines that are refused: a whole comparison is too long."""
        out = self.output("cmp")
        bad = self.pick("--seeds=1", "--seeds=-3", "--seeds=x", "--seeds=" + "9" * 40, "--data=mnist", "--data=",
        "--data=mixture,mixture",
                        "--workers=0", "--workers=-1", "--workers=100000", "--map=gelu", "--epochs=0", "--epochs=x",
                        "--seeds=100000000")  # fmt: skip
        return ["compare", "--quick", "--out", out, bad, *self.json()], [out]

    def sweep(self) -> tuple[list[str], list[str]]:
        what = self.pick("run", "run", "status", "export", "export", "list", "nothing")
        if what == "run":
            store = self.output("s.db") if self.random.random() < 0.6 else self.place("s.db", self.foreign_store)
            words = ["sweep", "run", self.place("spec.toml", self.mutated_toml), "--out", store]
            words += self.options(workers=lambda: self.pick("0", "-1", "x", "1", "99999999"))
            return words + self.json(), [store]
        if what in ("status", "export"):
            words, asked = ["sweep", what, self.place("s.db", self.foreign_store)], []
            if what == "status":
                return words + self.json(), asked
            for option, name in (("--csv", "t.csv"), ("--parquet", "t.parquet")):
                if self.random.random() < 0.5:
                    asked.append(self.output(name))
                    words += [option, asked[-1]]
            return words, asked
        return ["sweep", what], []

    def explain(self) -> tuple[list[str], list[str]]:
        words = ["explain"]
        if self.random.random() < 0.9:
            words.append(self.pick(*TERMS, *names(), *NUMBERS) if self.random.random() < 0.5 else self.pick(*TERMS))
        return words + self.json(), []

    def noise(self) -> tuple[list[str], list[str]]:
        pool = (
            "solve",
            "sweep",
            "run",
            "--json",
            "--counts",
            "5*3",
            "--decay",
            "1,1",
            "--help",
            "-h",
            "--version",
            "explain",
            "--",
            "=",
            "--counts=",
            *NUMBERS,
        )
        return [self.pick(*pool) for _ in range(self.random.randrange(5))], []


@contextmanager
def alarm(seconds: int) -> Iterator[None]:
    """`Hang` when the time is over."""

    def ring(*_: object) -> None:
        raise Hang(f"no answer after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judged(line: Line, folder: Path) -> tuple[int | None, list[str]]:
    """Exit code of a line, and what is wrong with the way it ended."""
    before = {path.name for path in folder.iterdir()}
    out, err, troubles, code = io.StringIO(), io.StringIO(), [], None
    try:
        with warnings.catch_warnings(record=True) as warned, alarm(PATIENCE):
            warnings.simplefilter("always")
            with redirect_stdout(out), redirect_stderr(err):
                code = outcome(app, "ufm", line.words)
        troubles += [f"warning: {w.category.__name__}: {w.message} ({w.filename}:{w.lineno})" for w in warned]
    except BaseException as error:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else "?"
        troubles.append(f"raised: {type(error).__name__}: {str(error)[:200]} ({where})")
        return None, troubles
    said, told = err.getvalue(), out.getvalue()
    if code not in (0, 1, 2):
        troubles.append(f"exit code {code}")
    if "Traceback" in said + told:
        troubles.append("a traceback is shown")
    lines = said.splitlines()
    if code == 2 and (not lines or not lines[-1].startswith("ufm: ") or len(lines[-1]) >= 500 or len(lines) > 2):
        troubles.append(f"not one sentence: {said[:300]!r} ({len(said)} characters, {len(lines)} lines)")
    helped = bool({"--help", "-h", "--version"} & {*line.words})
    # Where a value is missing, --json is the value of the option before it.
    flags = ("--json", "--predict", "--relu", "--tail", "--quick", "--nonnegative", "--threshold")
    asked_json = any(
        word == "--json" and (at == 0 or before_it in flags or not before_it.startswith("--"))
        for at, (before_it, word) in enumerate(zip(["", *line.words], line.words, strict=False))
    )
    rejected = line.words[:1] == ["recheck"] and code == 2 and bool(told)
    if asked_json and not helped and (code == 0 or rejected):
        try:
            if not isinstance(json.loads(told), dict):
                raise ValueError
        except ValueError:
            troubles.append(f"stdout is not one JSON object: {told[:200]!r}")
    elif code == 2 and told and not helped:
        troubles.append(f"stdout after a failure: {told[:200]!r}")
    left = {path.name for path in folder.iterdir()} - before - _named(line, folder)
    left |= {path.name for path in folder.rglob("*.partial")}
    if left:
        troubles.append(f"left over: {sorted(left)}")
    return code, troubles


def _named(line: Line, folder: Path) -> set[str]:
    """What a line may leave in the folder: whatever its words name, and the results of a run whose folder this is."""
    named = {"run.npz", "protocol.json", "summary.md"} if {"", ".", str(folder)} & {*line.words, *line.asked} else set()
    for word in (*line.words, *line.asked):
        inside = os.path.relpath(os.path.join(folder, word), folder).split(os.sep)[0] if "\x00" not in word else ""
        named.add(inside)
    return named


def emptied(folder: Path) -> None:
    """Remove what a line left."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


def hunt(
    count: int, seed: int, only: int | None = None, report: Callable[[str], None] = lambda text: None
) -> tuple[Counter[tuple[str, int | None]], list[str]]:
    """Judge so many lines, or those before Ctrl-C; counts by command and exit code, and the violations."""
    sound, counts, violations = templates(), Counter[tuple[str, int | None]](), []
    with tempfile.TemporaryDirectory() as name:
        home, folder = os.getcwd(), Path(name) / "files"
        folder.mkdir()
        os.chdir(folder)
        try:
            for number in range(count) if only is None else [only]:
                line = Generator(seed * 10**9 + number, folder, sound).line()
                code, troubles = judged(line, folder)
                if code == 130:
                    break
                known = line.words[:1] if line.words[:1] and line.words[0].isalpha() and len(line.words[0]) < 12 else ["other"]
                counts[known[0], code] += 1
                if troubles or only is not None:
                    shown = [word if len(word) < 200 else f"{word[:90]}...({len(word)})" for word in line.words]
                    violations.append(f"--seed {seed} --only {number}: {shown!a}\n    " + "\n    ".join(map(ascii, troubles)))
                    report(violations[-1])
                emptied(folder)
        finally:
            os.chdir(home)
    return counts, violations


def main() -> int:
    """The long run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    asked = parser.parse_args()
    counts, violations = hunt(asked.count, asked.seed, asked.only, lambda text: print(text, flush=True))
    commands = sorted({command for command, _ in counts})
    for command in commands:
        codes = {str(code): n for (c, code), n in sorted(counts.items(), key=str) if c == command}
        print(f"{command:12s}", ", ".join(f"exit {code}: {n}" for code, n in codes.items()))
    print(f"seed {asked.seed}: {sum(counts.values())} lines, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
