"""The routes of the table on features find the same metrics (no timing here)."""

import numpy as np
import pytest

import ufm
from benchmarks import __main__ as benchmarks
from benchmarks.features import SHAPES, Timed, alone, fill, frame, labels_of, plain
from ufm.cli import outcome


@pytest.mark.parametrize("noise", [1.0, 1e-5])
def test_the_peer_finds_the_same(noise):
    features = np.empty((3000, 40), dtype=np.float32)
    fill(features, 10, noise)
    labels, weight = labels_of(3000, 10), frame(10, 40)
    found, peer = ufm.measure(features, labels, weight=weight), plain(features, labels, weight)
    for name, value in peer.items():
        assert found[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name
    assert (found["nc1"] < 1e-9) is (noise < 1e-3)


@pytest.mark.parametrize("route", ["measure", "one pass", "NumPy"])
def test_every_route_prints_its_numbers(route, monkeypatch, capsys):
    monkeypatch.setitem(SHAPES, "small", (500, 12, 5, 1.0))
    alone("small", route, "", 2)
    seconds, megabytes, nc1, nc4 = map(float, capsys.readouterr().out.split())
    features = np.empty((500, 12), dtype=np.float32)
    fill(features, 5, 1.0)
    expected = ufm.measure(features, labels_of(500, 5), weight=frame(5, 12))
    assert nc1 == pytest.approx(expected["nc1"], rel=1e-6)
    assert np.isnan(nc4) if route == "one pass" else nc4 == expected["nc4"]
    assert seconds > 0
    assert megabytes > -50 or np.isnan(megabytes)


def test_the_table_is_printed(monkeypatch, capsys):
    rows = [
        Timed("small", route, seconds, 20.0, 1.5, nc4) for route, seconds, nc4 in (("measure", 0.5, 0.25), ("NumPy", 2.0, 0.5))
    ]
    monkeypatch.setattr(benchmarks, "all_features", lambda *_: rows)
    assert outcome(benchmarks.app, "benchmarks", ["--only", "features"]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("small", "0.50 s", "2.00 s", "4.0", "0.25000"))
