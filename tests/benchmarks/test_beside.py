"""The rows of two checkouts in turn: here this one beside itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_checkout_beside_itself():
    words = ["-m", "benchmarks.beside", str(ROOT), "symmetric", "certificate"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    found = [re.fullmatch(r"(.+?) +([\d.]+) ms +([\d.]+) ms +([\d.]+)", line) for line in done.stdout.splitlines()]
    assert [match and match[1] for match in found] == [
        "10 step decay, symmetric, float certificate",
        "10 step decay, symmetric, rigorous certificate",
    ]
    for match in found:
        assert match
        here, there, ratio = (float(match[k]) for k in (2, 3, 4))
        # Each number is printed to half a unit of its last digit, of some 0.1 ms.
        assert abs(ratio - here / there) <= 0.005 + 0.02 * ratio
        assert 0.2 < ratio < 5.0
