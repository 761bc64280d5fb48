"""Moves of the page are timed where closed forms have everything, and at settings that are new."""

from benchmarks.explore import MOVES, PARTS, timed
from ufm.explore import View


def test_every_move_is_new_and_from_closed_forms():
    for start, moves in MOVES.values():
        assert len({start, *moves}) == len(moves) + 1
        assert all(View(settings).prompt and View(settings).fluent for settings in (start, *moves))


def test_every_part_is_timed():
    start, _ = MOVES["decay: ratio"]
    times, cpu = timed(start)
    assert len(times) == len(PARTS)
    assert cpu > 0
    assert all(part(View(start)) for part in PARTS.values())
