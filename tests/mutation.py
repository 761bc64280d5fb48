"""Mutation testing of one part of the package: ``python -m tests.mutation TARGET``; see docs/mutation-testing.md.

A copy of the sources and tests is made in a folder, mutmut is told there what to mutate and which tests to run, and what it
found is counted and listed. Nothing in the working tree is touched.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ufm", "proofs_check")
CERTIFY = "tests/ufm/certify"
KILLED, TIMEOUT = {1, 3}, {24, 36, 152, 255, -24}
"""Exit codes of pytest (a test failed, or pytest itself) and of mutmut's time limit."""
OTHER = {0: "survived", 33: "no tests", None: "not run"}


LABEL = re.compile(
    r"(?<![\w\"])((?:\b(?:equal|less|decided|symbols)|self\.(?:compare|verdict))\(\s*|\byield (?:\(\s*)?)"
    r"\"([^\"\n]*)\"(?=,)"
)
"""Texts that only name something: the first argument of comparisons and of symbols, and what a proof step is called."""


@dataclass(frozen=True)
class Target:
    """What to mutate (patterns of file names) and the tests that must notice (files or folders)."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


TARGETS = {
    "verify": Target(
        ("ufm/certify/verify/*",),
        tuple(
            f"{CERTIFY}/test_{name}.py"
            for name in ("parts", "bounds_against_naive", "forged", "rounding", "norms", "optimum", "tables", "table_documents")
        )
        + tuple(f"{CERTIFY}/test_{name}.py" for name in ("normalised", "cosine", "table_normalised")),
    ),
    "certify": Target(
        # Patterns match across folders, so that "*.py" would mean those below, too.
        tuple(
            f"ufm/certify/{name}.py"
            for name in (
                *(
                    "certificate",
                    "duality",
                    "optimum",
                    "primal_dual",
                    "saved",
                    "scalars",
                    "witness",
                    "tables",
                    "table_witness",
                    "normalised",
                    "table_normalised",
                ),
            )
        ),
        (
            *(f"{CERTIFY}/test_{name}.py" for name in ("forged", "optimum", "witness", "duality", "scalars", "float_bounds")),
            *(f"{CERTIFY}/test_{name}.py" for name in ("table_rounding", "table_witness", "tables", "table_documents")),
            *(f"{CERTIFY}/test_{name}.py" for name in ("normalised_rounding", "normalised", "cosine")),
            *(f"{CERTIFY}/test_{name}.py" for name in ("table_normalised_rounding", "table_normalised")),
            # Seconds each: too slow to run for every mutant.
            *(
                f"--deselect={CERTIFY}/test_float_bounds.py::test_{name}"
                for name in ("random_extreme_problems", "frobenius_budgets_close_to_one", "step_imbalance_in_blocks")
            ),
        ),
    ),
    "low_rank": Target(("ufm/certify/low_rank/*",), ("tests/ufm/certify/test_moment_parts.py",)),
    "thresholds": Target(
        ("ufm/analysis/thresholds/*",),
        tuple(
            f"tests/ufm/analysis/test_{name}.py"
            for name in (
                "thresholds",
                "exact_thresholds",
                "jump",
                "etf",
                "group_thresholds",
                "remedies",
                "family",
                "fixed_norm_threshold",
            )
        ),
    ),
    "collapse": Target(
        tuple(f"ufm/analysis/{name}.py" for name in ("group_collapse", "collapsed", "enclosures")),
        tuple(f"tests/ufm/analysis/test_{name}.py" for name in ("collapse", "collapsed", "size_ranges")),
    ),
    "theorems": Target(
        (
            "proofs_check/[a-df-z]*[0-9].py",
            "proofs_check/sunshi2024*.py",
            "proofs_check/multitask.py",
            "proofs_check/remedies.py",
            "proofs_check/tables.py",
        ),
        tuple(
            f"tests/proofs_check/test_{name}.py"
            for name in ("formulas", "statements", "grids", "controls", "twins", "claims", "targets", "remedies")
        ),
    ),
}


def main() -> int:
    """Run one target and print the counts and the survivors."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("names", nargs="*", help="only these mutants, as mutmut names them (patterns allowed)")
    parser.add_argument("--files", nargs="+", help="mutate these files instead of the target's")
    parser.add_argument("--tests", nargs="+", help="run these tests instead of the target's")
    parser.add_argument("--folder", type=Path, help="where to work (default: out/mutation/TARGET); made anew")
    parser.add_argument("--keep", action="store_true", help="go on in the folder as it is, instead of making it anew")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    chosen = TARGETS[given.target]
    target = Target(tuple(given.files or chosen.files), tuple(given.tests or chosen.tests))
    folder = (given.folder or ROOT / "out" / "mutation" / given.target).resolve()
    prepare(folder, target, keep=given.keep)
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(given.workers), *given.names]
    code = subprocess.run(command, cwd=folder, check=False).returncode
    if code:
        return code
    return report(folder)


def prepare(folder: Path, target: Target, *, keep: bool) -> None:
    """Copy sources and tests, and write mutmut's settings."""
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
    for name in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored, dirs_exist_ok=True)
    for path in (folder / "proofs_check").glob("*.py"):
        path.write_text(without_labels(path.read_text(encoding="utf-8")), encoding="utf-8")
    settings = {
        "source_paths": list(PACKAGES),
        "only_mutate": list(target.files),
        "pytest_add_cli_args": ["-n0", "--hypothesis-seed=0", "-p", "no:cacheprovider"],
        "pytest_add_cli_args_test_selection": list(target.tests),
        # Wording is no behaviour: what a refusal says is not mutated, whether it comes is.
        "do_not_mutate_patterns": [r"raise \w+Error\(", r"return Recheck\(False", r"^\s+f?\"[^\"]*\",?$"],
        "timeout_multiplier": 3.0,
        "timeout_constant": 5.0,  # slow tests on a busy machine are no loops without an end
        "use_git_change_detection": False,
        "track_dependencies": False,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(text + "\n[tool.mutmut]\n" + "\n".join(lines) + "\n", encoding="utf-8")


def without_labels(source: str) -> str:
    """The same code with labels as formatted texts, which mutmut leaves alone; the other arguments are mutated as ever."""

    def formatted(found: re.Match[str]) -> str:
        text = found[2].replace("{", "{{").replace("}", "}}")
        return f'{found[1]}f"{text}"'

    return LABEL.sub(formatted, source)


def verdicts(folder: Path) -> Iterator[tuple[str, int | None]]:
    """Every mutant with the exit code of the tests."""
    for path in sorted((folder / "mutants").rglob("*.meta")):
        yield from json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"].items()


def report(folder: Path) -> int:
    """Print every survivor and the counts."""
    counts: Counter[str] = Counter()
    for name, code in verdicts(folder):
        status = "killed" if code in KILLED else "timeout" if code in TIMEOUT else OTHER.get(code, "?")
        counts[status] += 1
        if status not in ("killed", "timeout", "not run"):
            command = [str(Path(sys.executable).with_name("mutmut")), "show", name]
            shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout.strip()
            print(shown or f"{name}: exit code {code}", end="\n\n", flush=True)
    total = sum(n for status, n in counts.items() if status != "not run")
    caught = counts["killed"] + counts["timeout"]
    print(f"{total} mutants: " + ", ".join(f"{n} {status}" for status, n in sorted(counts.items())))
    print(f"score {100 * caught / max(total, 1):.2f} % (killed and timed out)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
