"""The numbers that two checkouts print, side by side: ``python -m benchmarks.numbers OTHER`` compares OTHER with this one.

Both are asked the same questions through their command lines (`ufm solve`, `ufm threshold`, the ready sweeps, the book of
theorems); what differs is listed with the relative difference, times and texts left out.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
SIZES = ("20*10", "100*5,10*5", "100*3,40*2,10*5", "50,40,30,20,10", "400,10*4")
HEADS = ("explicit", "deq:rho=0.3", "explicit:2", "deq:decay=0.05,contraction=0.5", "deq:frobenius=0.3", "relu", "etf")
LOSSES = ("ce", "mse", "ce:weights=1", "ce:adjustment=1", "ce:temperatures=0.3,smoothing=0.1")
REGULARIZERS = (("--decay", "5e-3,5e-3"), ("--decay", "5e-4,2e-3,0.1"), ("--decay", "1e-3,1e-3,0"), ("--budget", "1,5"))
THRESHOLDS = (
    *(f"--classes {k},{10 - k} --budget 1,{e}" for k in (3, 5, 7) for e in (1, 5, 20)),
    "--classes 5,5 --budget 1,5 --head deq:rho=0.3",
    "--classes 5,5 --decay 2.5e-3,2.5e-3 --minority-count 100",
    "--classes 5,5 --decay 2.5e-3,2.5e-3 --minority-count 100 --head deq:decay=0.05,contraction=0.5",
)
SWEEPS = ("budgets", "phase", "deq", "decay", "long_tail")
LEFT_OUT = ("seconds", "message", "note", "candidates")
"""Times and words."""


def questions() -> list[list[str]]:
    """Command lines whose answers are compared."""
    solve = [
        ["solve", "--counts", sizes, *regularizer, "--head", head, "--loss", loss, "--level", level, "--json"]
        for sizes in SIZES
        for regularizer in REGULARIZERS
        for head in HEADS
        for loss in LOSSES
        for level in ("float", "rigorous")
        if (loss == "ce" or head == "explicit") and (level == "float" or loss == "ce")
    ]
    return [*solve, *(["threshold", *line.split(), "--json"] for line in THRESHOLDS)]


def answers(root: Path) -> dict[str, Any]:
    """What a checkout says, by question."""
    code = (
        "import sys, json\n"
        "from io import StringIO\n"
        "from contextlib import redirect_stdout, redirect_stderr\n"
        "from ufm.cli import outcome\n"
        "from ufm.cli.commands import app\n"
        "for line in sys.stdin:\n"
        "    said, told = StringIO(), StringIO()\n"
        "    with redirect_stdout(said), redirect_stderr(told):\n"
        "        code = outcome(app, 'ufm', json.loads(line))\n"
        "    print(json.dumps([code, said.getvalue()]), flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        asked = questions()
        lines = "".join(json.dumps(words) + "\n" for words in asked)
        ran = subprocess.run(
            [sys.executable, "-c", code], input=lines, env=environment, cwd=folder, capture_output=True, text=True, check=True
        )
        found: dict[str, Any] = {}
        for words, line in zip(asked, ran.stdout.splitlines(), strict=True):
            exit_code, said = json.loads(line)
            found[" ".join(words)] = json.loads(said) if exit_code == 0 else f"exit {exit_code}"
        for name in SWEEPS:
            for words in (["run", name, "--out", f"{name}.db"], ["export", f"{name}.db", "--csv", f"{name}.csv"]):
                subprocess.run(
                    [sys.executable, "-m", "ufm", "sweep", *words], env=environment, cwd=folder, capture_output=True, check=True
                )
            with (Path(folder) / f"{name}.csv").open(encoding="utf-8") as stream:
                found[f"sweep {name}"] = list(csv.DictReader(stream))
        book = [sys.executable, "-m", "proofs_check", "--json", "book.json"]
        subprocess.run(book, env=environment, cwd=folder, capture_output=True, check=False)
        found["proofs_check"] = json.loads((Path(folder) / "book.json").read_text(encoding="utf-8"))
    return found


def differences(one: Any, other: Any, place: str = "") -> list[tuple[float, str]]:
    """Every leaf that differs: relative difference (infinite for words) and where."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = [n for n in {**one, **other} if n not in LEFT_OUT]
        return [d for n in names for d in differences(one.get(n), other.get(n), f"{place} {n}".strip())]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [d for i, (a, b) in enumerate(zip(one, other, strict=True)) for d in differences(a, b, f"{place}[{i}]")]
    try:
        a, b = float(str(one)), float(str(other))
    except ValueError:
        return [] if one == other else [(float("inf"), f"{place}: {str(one)[:60]} / {str(other)[:60]}")]
    return [] if a == b or (a != a and b != b) else [(abs(a - b) / max(abs(a), abs(b)), f"{place}: {a!r} / {b!r}")]


def leaves(answer: Any) -> int:
    """How many numbers and words an answer has."""
    if isinstance(answer, dict):
        return sum(leaves(entry) for name, entry in answer.items() if name not in LEFT_OUT)
    return sum(map(leaves, answer)) if isinstance(answer, list) else 1


def main() -> int:
    """Print the differences, largest first, and how many leaves of which size differ."""
    other = Path(sys.argv[1]).resolve()
    theirs, ours = answers(other), answers(HERE)
    found = sorted(differences(theirs, ours), reverse=True)
    for size, where in found[:40]:
        print(f"{size:.1e}  {where}")
    sizes = [size for size, _ in found]
    refused = sum(isinstance(answer, str) for answer in ours.values())
    print(f"{leaves(ours)} numbers and words in {len(ours)} answers, {refused} of them refusals")
    for limit in (1e-14, 1e-12, 1e-9, 1e-6):
        print(f"{sum(size > limit for size in sizes)} numbers differ by more than {limit:g} relative")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
