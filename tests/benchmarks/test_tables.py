"""Tables of the benchmark where stdout is no terminal."""

import re

from benchmarks import __main__ as benchmarks
from benchmarks.core import Row
from benchmarks.sweeps import Swept
from ufm.cli import outcome


def test_nothing_is_cut_where_stdout_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    swept = Swept(
        "a sweep with a long name, as they have", "two processes", 40000, 1.0, 20.3, 181.0, "a remark at the end of the line"
    )
    rows = [
        Row("1000 step decay", route, steps, 1e-13, seconds, megabytes)
        for route, steps, seconds, megabytes in (("symmetric", 12, 0.0123, None), ("Clarabel", 31, 20.3, 812.0))
    ]
    for name, found in (("all_sweeps", [swept]), ("routes", rows)):
        monkeypatch.setattr(benchmarks, name, lambda *_, found=found: found)
    for name in ("certificates", "processes", "searches", "jumps"):
        monkeypatch.setattr(benchmarks, name, lambda *_: [])
    monkeypatch.setattr(benchmarks, "growth", lambda *_: (rows, 2.5))
    assert outcome(benchmarks.app, "benchmarks", ["--only", "sweeps"]) == 0
    assert outcome(benchmarks.app, "benchmarks", ["--only", "core"]) == 0
    said = capsys.readouterr().out
    assert "…" not in said
    for word in (swept.what, swept.remark, "20.3 s", "ratio", "12.30 ms", f"{20.3 / 0.0123:.0f}", "812"):
        assert re.search(rf"{re.escape(word)}\s", said), word
