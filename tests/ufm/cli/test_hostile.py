"""A short run of the random command lines (the long one: python -m tests.ufm.cli.hostile)."""

from tests.ufm.cli.hostile import hunt


def test_random_command_lines_end_as_documented():
    counts, violations = hunt(150, seed=0)
    assert violations == []
    codes = {code for _, code in counts}
    assert {0, 2} <= codes  # the lines are neither all right nor all wrong
    assert sum(counts.values()) == 150
