"""Files that a hostile command line may name: sound ones with something changed, foreign ones, and what is no file."""

from __future__ import annotations

import io
import json
import random
import sqlite3
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np


class Files:
    """Random files in a folder, all from one seed."""

    def __init__(self, seed: int, folder: Path, templates: dict[str, bytes]) -> None:
        self.random, self.folder, self.templates = random.Random(seed), folder, templates

    def pick(self, *pool: str) -> str:
        """One of a few."""
        return self.random.choice(pool)

    def output(self, name: str) -> str:
        """Mostly a new file; else one that cannot be."""
        if self.random.random() < 0.85:
            return str(self.folder / name)
        return self.pick(str(self.folder), str(self.folder / "no" / "such" / name), "/dev/null", "/dev/full",
        str(self.folder / ("n" * 300)),
                         str(self.folder / ("é" * 120)), "", "/", "/proc/x", str(self.folder / "\x00"),
                         str(self.folder / "\udcff"))  # fmt: skip

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
        return self.pick(str(path), "", "/dev/null", *([] if name == "c.json" else ["/dev/zero"]), "/proc/self/mem",
        "x" * 5000, str(self.folder / ("y" * 300)), "phase\x00",
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
            None, True, -1, 0, 2**70, 1e300, "", "x" * 3000, "1/0", "1/3", "-1", "1e9", "nan", [], {}, "9" * 300, "\u0000",
            [[[]]], 0.5, "0x1",
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

    def odd_lines(self) -> bytes:
        """Lines of class sizes, or of a table's sizes and entries, some of them odd."""
        width, lines = self.random.choice((1, 2, 3, 3, 4, 5)), []
        for _ in range(self.random.choice((0, 1, 3, 4, 6))):
            size = self.pick("1", "3", "20", "1000", "5.0")
            entries = [self.pick("0", "1", "0.5", "0.25") for _ in range(width - 1)]
            if self.random.random() < 0.3 and width > 2:
                entries = ["1", *["0"] * (width - 2)]
                self.random.shuffle(entries)
            lines.append([size, *entries])
        if lines and self.random.random() < 0.4:
            row = self.random.choice(lines)
            odd = ("x", "", "-1", "nan", "inf", "1e400", "0", "2.5", "9" * 400, "\u0663", "1_0", " 1", "\x00", "a" * 9000)
            row[self.random.randrange(len(row))] = self.pick(*odd)
        content = "\n".join(",".join(row) for row in lines).encode()
        return self.scarred(content) if self.random.random() < 0.2 else content

    def odd_table(self) -> bytes:
        """An ``.npz`` with columns and sizes of odd kinds, shapes and values."""
        numbers = np.random.default_rng(self.random.randrange(2**32))
        rows, contexts = self.random.choice(((2, 3), (4, 4), (5, 2), (1, 3), (3, 1)))
        columns = numbers.dirichlet(np.ones(rows), contexts).T
        if self.random.random() < 0.4:
            columns = (columns > 0.3).astype(float)
        arrays: dict[str, Any] = {"columns": columns, "sizes": numbers.integers(1, 50, contexts)}
        changes: tuple[Callable[[np.ndarray], Any], ...] = (
            lambda a: a * 1e300, lambda a: a * 1e-300, lambda a: a * 0, lambda a: a * np.nan, lambda a: a.astype(np.float32),
            lambda a: a.astype(complex), lambda a: a.astype(str), lambda a: a.astype(object), lambda a: a[:0],
            lambda a: a[None], lambda a: a.ravel(), lambda a: -a,
            lambda a: a + 0.5, lambda a: np.float64(3), lambda a: a.astype("M8[s]"),
        )  # fmt: skip
        if self.random.random() < 0.4:
            name = self.pick(*arrays)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with suppress(TypeError, ValueError, IndexError):
                    arrays[name] = self.random.choice(changes)(arrays[name])
        if self.random.random() < 0.1:
            del arrays[self.pick(*arrays)]
        content = io.BytesIO()
        np.savez(content, **arrays)
        return self.scarred(content.getvalue()) if self.random.random() < 0.1 else content.getvalue()

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
            lambda a: a * 1e300, lambda a: a * 1e-300, lambda a: a * 0, lambda a: a * np.nan, lambda a: np.full(a.shape,
            np.inf),
            lambda a: a.astype(np.float32), lambda a: a.astype(np.float16), lambda a: a.astype(np.int8),
            lambda a: a.astype(complex),
            lambda a: a.astype(bool), lambda a: a.astype(str), lambda a: a.astype(object), lambda a: a[:0], lambda a: a[None],
            lambda a: a.ravel(), lambda a: a[:-1], lambda a: -a, lambda a: a + 10**6, lambda a: a + 2**62,
            lambda a: a.astype(">f8"),
            lambda a: a.astype("M8[s]"), lambda a: np.zeros((0, 0)), lambda a: np.float64(3),
            lambda a: a.astype(np.longdouble) * 10,
            lambda a: a.astype(np.uint64), lambda a: a * 1e160, lambda a: a * 1e-160, lambda a: a + 1e8,
            lambda a: np.ma.masked_all(a.shape),
            lambda a: np.zeros(a.shape, [("x", "f8")]), lambda a: np.where(a > 0, 5e-324, 0.0),
            lambda a: np.abs(a).astype(np.uint8),
        )  # fmt: skip
        if self.random.random() < 0.4:
            del arrays["bias"]
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for _ in range(self.random.randrange(3)):
                name = self.random.choice(list(arrays))
                with suppress(TypeError, ValueError, OverflowError, IndexError):
                    arrays[name] = self.random.choice(changes)(np.asarray(arrays[name]))
        if self.random.random() < 0.1:
            del arrays[self.random.choice(list(arrays))]
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=True, **arrays)
        return self.scarred(stream.getvalue()) if self.random.random() < 0.15 else stream.getvalue()

    def toml_value(self, good: str) -> str:
        if self.random.random() < 0.88:
            return good
        return self.pick("1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "nan", "inf", "-inf", "9" * 400, "9" * 5000,
        str(2**63), str(-(2**63)),
                         "1e400", '""', '"x"', "[]", "{}", "true", "[[1],[2]]", '["solve"]', "[1979-05-27]",
                         "{ log = [1, 10, 3] }", "[1, 1]",
                         "{ linear = [-1e308, 1e308, 4] }", "{ linear = [0, 1, 99999999999] }", "{ log = [1e-300, nan, 2] }",
                         "-5", "1e-300",
                         "{ x = " * 5 + "1" + "}" * 5, "[" * 3000 + "]" * 3000, '"' + "k" * 20000 + '"', "0", "1e308",
                         "{ linear = [1, 2, true] }",
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
        for name, good in (("dim", "3"), ("loss", '"mse"'), ("head", '"etf"'), ("method", '"symmetric"'), ("rho", "0.2"),
        ("c", "2.0"),
                           ("seed", "3"), ("tail", "5"), ("x", "1"), ("zip", "{ a = [1], b = [2] }"), ("zip",
                           "{ rho = [0.1, 0.2] }")):  # fmt: skip
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
            "UPDATE about SET description = '{}'", "UPDATE about SET description = '[1]'",
            "UPDATE about SET description = x'ff'",
            "UPDATE about SET description = '{\"format\": 1, \"versions\": 5, \"spec\": {}}'",
            "UPDATE about SET description = json_set(description, '$.spec.axes', 5)",
            "UPDATE about SET description = json_set(description, '$.spec.axes[0].values', 'x')",
            "UPDATE about SET description = json_set(description, '$.spec.title', 7)",
            "UPDATE about SET description = json_remove(description, '$.versions.ufm')",
            "UPDATE about SET description = json_set(description, '$.format', 'x')",
            "UPDATE points SET status = NULL", "UPDATE points SET status = x'00ff' WHERE position = 0",
            "UPDATE points SET reason = x'ff'",
            "UPDATE points SET value = 'text' WHERE position = 0", "UPDATE points SET value = x'00'",
            "UPDATE points SET value = 1e999",
            "DELETE FROM points WHERE position = 1", "CREATE TABLE other (a)", "ALTER TABLE points ADD COLUMN more",
            "UPDATE points SET id = 7",
            "ALTER TABLE points RENAME COLUMN status TO state", "ALTER TABLE points DROP COLUMN reason",
            "CREATE VIEW v AS SELECT 1",
            "UPDATE points SET status = 'interrupted'", "ALTER TABLE about RENAME TO points2",
            "UPDATE points SET value = CAST(x'ff' AS TEXT)",
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
