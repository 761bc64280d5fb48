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
import random
import signal
import sqlite3
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ufm.cli import outcome
from ufm.cli.commands import app

PATIENCE = 10
"""Seconds for one line; what is slow is left out of the pools below, so that this is a hang."""
NUMBERS = (
    "nan", "inf", "-inf", "1e999", "-1e999", "0x10", "1_000", "٣", "", " ", "-1", "0", "-0", "1e-400", "1e-320", "5e-324", "1e308",
    "1.7976931348623157e308", "9" * 400, "0." + "3" * 400, "1e", "e", "--", "½", "1,5", "1/3", "\ud800", "a" * 20000, "\n", "[red]",
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
    "explicit", "explicit:2", "explicit:3", "explicit:0", "explicit:-1", "explicit:1e9", "explicit:nan", "explicit:inf", "deq:rho=0.3",
    "deq:rho=0", "deq:rho=0.999999999999", "deq:rho=1", "deq:rho=nan", "deq:decay=0.05,contraction=0.5", "deq:decay=1e-300",
    "deq:decay=1e300,contraction=0.9999999", "deq:frobenius=0.3", "deq:frobenius=0.9999999999", "deq:frobenius=0", "relu", "etf",
    "etf:norm=2", "etf:average", "etf:norm=2,average", "etf:norm=1e-300", "etf:norm=1e300", "relu:", "deq:", ":", "", "deq:rho=0.3,rho=0.3",
    "vit", "explicit:" + "9" * 5000, "deq:rho=" + "1" * 5000, "[/red]", "deq:=,", "etf:average=1",
)  # fmt: skip
HEADS_SOUND = tuple(head for head in HEADS if head in ("explicit", "explicit:2", "deq:rho=0.3", "relu", "etf", "deq:frobenius=0.3"))
LOSSES = (
    "ce", "mse", "ce:weights=1", "ce:weights=-1", "ce:adjustment=1", "ce:temperatures=0.3", "ce:smoothing=0.1", "ce:smoothing=0.999",
    "ce:weights=1/2", "ce:weights=1e300/1e-300", "ce:temperatures=1e3", "ce:temperatures=1e-9/1", "ce:adjustment=-700",
    "ce:weights=700", "ce:smoothing=nan", "ce:weights=inf", "ce:x=1", "mse:weights=1", "ce:weights=" + "/".join(["1"] * 3000),
    "", "hinge", "ce:", "ce:weights=1,adjustment=1,temperatures=0.3,smoothing=0.1",
)  # fmt: skip
COUNTS = (
    "5*3", "100*2,10*3", "9,5,2", "1,1", "1e12*2,1*3", str(2**53) + "*2", "7*1000000", "20*4,5*4", "3", "0*3", "-1*3", "nan*2",
    "inf,1", "1.5*2", "5*0", "*", ",", "5**3", "٣*٢", "1_0*2", "5*3,", "9" * 5000, "1e999999999*2", "1e-999999999*2", "a" * 90000,
    "5*" + "9" * 30, ",".join(map(str, range(1, 4000))), ",".join(map(str, range(1, 20))), "30,20,10,5,2", "sNaN*2", "1e3*2,7",
    ",".join(["1"] * 20000), "0x5*3",
)  # fmt: skip
CONVENTIONS = ("mean-half", "mean-full", "sum-half", "sum-full", "fang", "half", "", "x" * 3000)
METHODS = ("auto", "separable", "symmetric", "factored", "magic", "", "z" * 9000, "multistart")
LEVELS = ("float", "float", "rigorous", "exact", "", "r" * 9000)


class Hang(BaseException):
    """No answer in time."""


class Line(NamedTuple):
    """The words after ``ufm`` and the files that they ask for."""

    words: list[str]
    asked: frozenset[str]


class Generator:
    """Lines and the files that they name, all from one seed."""

    def __init__(self, seed: int, folder: Path, templates: dict[str, bytes]) -> None:
        self.random, self.folder, self.templates = random.Random(seed), folder, templates

    def line(self) -> Line:
        """The next line; its input files are written."""
        kinds = (
            self.solve,
            self.solve,
            self.threshold,
            self.recheck,
            self.measure,
            self.train,
            self.compare,
            self.sweep,
            self.noise,
        )
        words, asked = self.random.choice(kinds)()
        if self.random.random() < 0.06:
            words.insert(
                self.random.randrange(len(words) + 1), self.random.choice((*NUMBERS, "--bogus", "-x", "--json", "-", "--help"))
            )
        if words and self.random.random() < 0.03:
            words.pop(self.random.randrange(len(words)))
        return Line(words, frozenset(asked))

    def pick(self, *pool: str) -> str:
        """One of a few."""
        return self.random.choice(pool)

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
        )
        asked = []
        if self.random.random() < 0.15:
            asked.append(self.output("c.json"))
            words += ["--save", asked[-1]]
        return words + self.json(), asked

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
        )
        if "--minority-count" not in words and self.random.random() < 0.6:
            words += ["--minority-count", "50"]
        return words + self.json(), []

    def recheck(self) -> tuple[list[str], list[str]]:
        return ["recheck", self.place("c.json", self.mutated_json)] + self.json(), []

    def measure(self) -> tuple[list[str], list[str]]:
        words = ["measure", self.place("run.npz", self.odd_arrays)]
        words += self.options(convention=lambda: self.mostly("zhu", "hong-ling", "x", ""))
        if self.random.random() < 0.5:
            words += ["--predict", "--decay", self.joined(4, "1e-2", "1e-4", "1e-3")]
        return words + (["--relu"] if self.random.random() < 0.2 else []) + self.json(), []

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
            seed=lambda: self.whole("0", "1", "5"),
        )
        return words + (["--tail"] if self.random.random() < 0.2 else []) + self.json(), [out]

    def compare(self) -> tuple[list[str], list[str]]:
        """Only lines that are refused: a whole comparison is too long."""
        out = self.output("cmp")
        bad = self.pick("--seeds=1", "--seeds=-3", "--seeds=x", "--seeds=" + "9" * 40, "--data=mnist", "--data=", "--data=mixture,mixture",
                        "--workers=0", "--workers=-1", "--workers=100000", "--map=gelu", "--epochs=0", "--epochs=x", "--seeds=100000000")  # fmt: skip
        return ["compare", "--quick", "--out", out, bad] + self.json(), [out]

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
            "--",
            "=",
            "--counts=",
            *NUMBERS,
        )
        return [self.pick(*pool) for _ in range(self.random.randrange(5))], []

    # Files

    def output(self, name: str) -> str:
        """Mostly a new file; else one that cannot be."""
        if self.random.random() < 0.85:
            return str(self.folder / name)
        return self.pick(str(self.folder), str(self.folder / "no" / "such" / name), "/dev/null", "/dev/full", str(self.folder / ("n" * 300)),
                         str(self.folder / ("é" * 120)), "", "/", "/proc/x", str(self.folder / "\x00"), str(self.folder / "\udcff"))  # fmt: skip

    def place(self, name: str, content: Callable[[], bytes]) -> str:
        """A file with such content; else a folder, nothing, or what may not be read."""
        kind = self.random.random()
        path = self.folder / name
        if kind < 0.85:
            path.write_bytes(content())
            return str(path)
        if kind < 0.9:
            path.mkdir()
            return str(path)
        return self.pick(str(path), "", "/dev/null", *([] if name == "c.json" else ["/dev/zero"]), "/proc/self/mem", "x" * 5000, str(self.folder / ("y" * 300)), "phase\x00",
                         "[/b]", str(self.folder / "\ud800"))  # fmt: skip

    def scarred(self, content: bytes) -> bytes:
        """A few bytes changed, cut or repeated."""
        found = bytearray(content)
        for _ in range(self.random.randrange(4)):
            at = self.random.randrange(len(found)) if found else 0
            kind = self.random.randrange(4)
            if kind == 0 and found:
                found[at] = self.random.randrange(256)
            elif kind == 1:
                del found[at:]
            elif kind == 2:
                found[at:at] = found[at : at + self.random.randrange(200)]
            else:
                found[at : at + self.random.randrange(50)] = b""
        return bytes(found)

    def odd(self, depth: int = 0) -> Any:
        """A JSON value that hardly belongs where it is put."""
        pool: tuple[Any, ...] = (
            None, True, -1, 0, 2**70, 1e300, "", "x" * 3000, "1/0", "1/3", "-1", "1e9", "nan", [], {}, "9" * 300, "\u0000", [[[]]], 0.5, "0x1",
        )  # fmt: skip
        if depth < 2 and self.random.random() < 0.1:
            return [self.odd(depth + 1) for _ in range(self.random.randrange(4))]
        return self.random.choice(pool)

    def mutated_json(self) -> bytes:
        """A certificate with values, keys or bytes changed."""
        content = self.templates[self.pick(*(n for n in self.templates if n.endswith(".json")))]
        if self.random.random() < 0.3:
            return self.random.choice((b"[" * 50000, b"", b"{}", b"null", b"\xff\xfe", self.scarred(content), content))
        document = json.loads(content)
        for _ in range(self.random.randrange(1, 3)):
            node: Any = document
            while True:
                keys = list(node) if isinstance(node, dict) else list(range(len(node)))
                if not keys:
                    break
                key = self.random.choice(keys)
                if isinstance(node[key], dict | list) and node[key] and self.random.random() < 0.8:
                    node = node[key]
                    continue
                if self.random.random() < 0.2:
                    del node[key]
                else:
                    node[key] = self.odd()
                break
        return json.dumps(document).encode()

    def odd_arrays(self) -> bytes:
        """An ``.npz`` with features, labels, weight and bias of odd kinds, shapes and values."""
        numbers = np.random.default_rng(self.random.randrange(2**32))
        classes, dim = self.random.choice(((3, 4), (2, 2), (4, 2), (1, 3)))
        labels = np.repeat(np.arange(classes), self.random.choice((1, 2, 5)))
        arrays: dict[str, Any] = {
            "features": numbers.standard_normal((len(labels), dim)),
            "labels": labels,
            "weight": numbers.standard_normal((classes, dim)),
            "bias": numbers.standard_normal(classes),
        }
        changes: tuple[Callable[[np.ndarray], Any], ...] = (
            lambda a: a * 1e300, lambda a: a * 1e-300, lambda a: a * 0, lambda a: a * np.nan, lambda a: np.full(a.shape, np.inf),
            lambda a: a.astype(np.float32), lambda a: a.astype(np.float16), lambda a: a.astype(np.int8), lambda a: a.astype(complex),
            lambda a: a.astype(bool), lambda a: a.astype(str), lambda a: a.astype(object), lambda a: a[:0], lambda a: a[None],
            lambda a: a.ravel(), lambda a: a[:-1], lambda a: -a, lambda a: a + 10**6, lambda a: a + 2**62, lambda a: a.astype(">f8"),
            lambda a: a.astype("M8[s]"), lambda a: np.zeros((0, 0)), lambda a: np.float64(3), lambda a: a.astype(np.longdouble) * 10,
            lambda a: a.astype(np.uint64), lambda a: a * 1e160, lambda a: a * 1e-160, lambda a: a + 1e8, lambda a: np.ma.masked_all(a.shape),
            lambda a: np.zeros(a.shape, [("x", "f8")]), lambda a: np.where(a > 0, 5e-324, 0.0), lambda a: np.abs(a).astype(np.uint8),
        )  # fmt: skip
        if self.random.random() < 0.4:
            del arrays["bias"]
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for _ in range(self.random.randrange(3)):
                name = self.random.choice(list(arrays))
                with suppress(TypeError, ValueError):
                    arrays[name] = self.random.choice(changes)(np.asarray(arrays[name]))
        if self.random.random() < 0.1:
            del arrays[self.random.choice(list(arrays))]
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=True, **arrays)
        return self.scarred(stream.getvalue()) if self.random.random() < 0.15 else stream.getvalue()

    def toml_value(self, good: str) -> str:
        if self.random.random() < 0.88:
            return good
        return self.pick("1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "nan", "inf", "-inf", "9" * 400, "9" * 5000, str(2**63), str(-(2**63)),
                         "1e400", '""', '"x"', "[]", "{}", "true", "[[1],[2]]", '["solve"]', "[1979-05-27]", "{ log = [1, 10, 3] }", "[1, 1]",
                         "{ linear = [-1e308, 1e308, 4] }", "{ linear = [0, 1, 99999999999] }", "{ log = [1e-300, nan, 2] }", "-5", "1e-300",
                         "{ x = " * 5 + "1" + "}" * 5, "[" * 3000 + "]" * 3000, '"' + "k" * 20000 + '"', "0", "1e308", "{ linear = [1, 2, true] }",
                         '"\\u0000"', '["a", 1]', "[nan, 1]", "[true]", "{ log = 3 }", "[" * 12 + "1" + "]" * 12)  # fmt: skip

    def mutated_toml(self) -> bytes:
        """A small sweep with values changed."""
        if self.random.random() < 0.1:
            return self.random.choice(
                (
                    b"",
                    b"x",
                    b"\xff",
                    b"task = ",
                    b"a=" + b"[" * 100000,
                    b"[grid]\n" * 3,
                    self.scarred(self.templates["spec.toml"]),
                )
            )
        fixed, grid = {"classes": "[2, 3]", "minority_count": "4", "lambda": "1e-3"}, {"ratio": "[1, 5]"}
        task = '"solve"'
        kind = self.random.random()
        if kind < 0.2:
            task, fixed, grid = '"threshold"', {"classes": "[2, 3]", "minority_count": "4"}, {"lambda": "[1e-3, 1e-2]"}
        elif kind < 0.3:
            task = '"train"'
            fixed = {"classes": "[1, 2]", "largest": "6", "epochs": "1", "width": "3"}
        elif kind < 0.5:
            fixed = {"counts": '"9,5,2"', "decay": "[1e-3, 1e-3]"}
            grid = {"head": '["explicit", "relu", "deq:rho=0.3"]'}
        for table in (fixed, grid):
            for name in table:
                table[name] = self.toml_value(table[name])
        for name, good in (("dim", "3"), ("loss", '"mse"'), ("head", '"etf"'), ("method", '"symmetric"'), ("rho", "0.2"), ("c", "2.0"),
                           ("seed", "3"), ("tail", "5"), ("x", "1"), ("zip", "{ a = [1], b = [2] }"), ("zip", "{ rho = [0.1, 0.2] }")):  # fmt: skip
            if self.random.random() < 0.04:
                (fixed if self.random.random() < 0.5 else grid)[name] = self.toml_value(good)
        lines = [f"task = {self.toml_value(task)}"]
        if self.random.random() < 0.2:
            lines.append(f"{self.pick('title', 'titel')} = {self.toml_value(chr(34) + 'a title' + chr(34))}")
        lines += ["[fixed]", *(f"{k} = {v}" for k, v in fixed.items()), "[grid]", *(f"{k} = {v}" for k, v in grid.items())]
        return "\n".join(lines).encode()

    def foreign_store(self) -> bytes:
        """A store with its tables, description or bytes changed, another database, or no database."""
        content = self.templates["s.db"]
        kind = self.random.random()
        if kind < 0.15:
            return self.random.choice(
                (b"", b"hello" * 999, self.scarred(content), content[: self.random.randrange(len(content))], content)
            )
        path = self.folder / "made.db"
        path.write_bytes(content if kind < 0.9 else b"")
        connection = sqlite3.connect(path)
        statements = (
            "DROP TABLE about", "DROP TABLE points", "DELETE FROM about", "UPDATE about SET description = NULL",
            "UPDATE about SET description = '{}'", "UPDATE about SET description = '[1]'", "UPDATE about SET description = x'ff'",
            "UPDATE about SET description = '{\"format\": 1, \"versions\": 5, \"spec\": {}}'",
            "UPDATE about SET description = json_set(description, '$.spec.axes', 5)",
            "UPDATE about SET description = json_set(description, '$.spec.axes[0].values', 'x')",
            "UPDATE about SET description = json_set(description, '$.spec.title', 7)",
            "UPDATE about SET description = json_remove(description, '$.versions.ufm')",
            "UPDATE about SET description = json_set(description, '$.format', 'x')",
            "UPDATE points SET status = NULL", "UPDATE points SET status = x'00ff' WHERE position = 0", "UPDATE points SET reason = x'ff'",
            "UPDATE points SET value = 'text' WHERE position = 0", "UPDATE points SET value = x'00'", "UPDATE points SET value = 1e999",
            "DELETE FROM points WHERE position = 1", "CREATE TABLE other (a)", "ALTER TABLE points ADD COLUMN more", "UPDATE points SET id = 7",
            "ALTER TABLE points RENAME COLUMN status TO state", "ALTER TABLE points DROP COLUMN reason", "CREATE VIEW v AS SELECT 1",
            "UPDATE points SET status = 'interrupted'", "ALTER TABLE about RENAME TO points2", "UPDATE points SET value = CAST(x'ff' AS TEXT)",
        )  # fmt: skip
        for _ in range(self.random.randrange(1, 3)):
            try:
                with connection:
                    connection.execute(self.random.choice(statements))
            except sqlite3.Error:
                pass  # the other statement took its table away, or its value is unique
        connection.close()
        found = path.read_bytes()
        path.unlink()
        return found


def templates() -> dict[str, bytes]:
    """Sound files to begin with: certificates of several heads, a spec and its store."""
    import ufm
    from ufm.sweep import Spec, run

    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        heads = {"a": ufm.Explicit(), "b": ufm.ReLU(), "c": ufm.DecayedDEQ(0.05, 0.5), "d": ufm.FixedETF()}
        for key, head in heads.items():
            problem = ufm.Problem([9, 5, 2], regularizer=ufm.WeightDecay(1e-2, 1e-2), head=head)
            ufm.solve(problem).certificate.save(folder / f"{key}.json")
        spec = folder / "spec.toml"
        spec.write_text(
            'task = "solve"\n[fixed]\nclasses = [2, 3]\nminority_count = 4\nlambda = 1e-3\n[grid]\nratio = [1, 5, 9]\n'
        )
        run(Spec.load(spec), folder / "s.db")
        for path in folder.iterdir():
            found[path.name] = path.read_bytes()
    return found


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
    if code == 2:
        if not lines or not lines[-1].startswith("ufm: ") or len(lines[-1]) >= 500 or len(lines) > 2:
            troubles.append(f"not one sentence: {said[:300]!r} ({len(said)} characters, {len(lines)} lines)")
    helped = "--help" in line.words
    rejected = line.words[:1] == ["recheck"] and code == 2 and bool(told)
    if "--json" in line.words and not helped and (code == 0 or rejected):
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


def hunt(count: int, seed: int, only: int | None = None) -> tuple[Counter[tuple[str, int | None]], list[str]]:
    """Judge so many lines; counts by command and exit code, and the violations."""
    sound, counts, violations = templates(), Counter[tuple[str, int | None]](), []
    with tempfile.TemporaryDirectory() as name:
        home, folder = os.getcwd(), Path(name) / "files"
        folder.mkdir()
        os.chdir(folder)
        try:
            for number in range(count) if only is None else [only]:
                line = Generator(seed * 10**9 + number, folder, sound).line()
                code, troubles = judged(line, folder)
                known = line.words[:1] if line.words[:1] and line.words[0].isalpha() and len(line.words[0]) < 12 else ["other"]
                counts[known[0], code] += 1
                if troubles or only is not None:
                    shown = [word if len(word) < 200 else f"{word[:90]}...({len(word)})" for word in line.words]
                    violations.append(f"--seed {seed} --only {number}: {shown!a}\n    " + "\n    ".join(map(ascii, troubles)))
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
    counts, violations = hunt(asked.count, asked.seed, asked.only)
    for violation in violations:
        print(violation)
    commands = sorted({command for command, _ in counts})
    for command in commands:
        codes = {str(code): n for (c, code), n in sorted(counts.items(), key=str) if c == command}
        print(f"{command:12s}", ", ".join(f"exit {code}: {n}" for code, n in codes.items()))
    print(f"seed {asked.seed}: {sum(counts.values())} lines, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
