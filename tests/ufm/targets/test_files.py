"""Class sizes and tables from files."""

import numpy as np
import pytest

import ufm
from ufm.targets.files import read_counts, read_table


@pytest.mark.parametrize("text", ["5\n3\n\n# more\n2\n", "cat,5\ndog,3\n\nfox, 2\n", "label,count\na,5\nb,3\nc,2.0\n"])
def test_counts_are_read_in_order(tmp_path, text):
    path = tmp_path / "sizes.txt"
    path.write_text(text)
    assert list(read_counts(path)) == [5, 3, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5\nx\n", "'x' in line 2"),
        ("5\n0\n", "'0' in line 2"),
        ("5\n-1\n", "'-1' in line 2"),
        ("5\n2.5\n", "'2.5' in line 2"),
        ("5\n", "1 sizes"),
        ("", "0 sizes"),
        ("a,b\nc,d\n", "0 sizes"),
    ],
)
def test_bad_counts_files_are_refused(tmp_path, text, message):
    path = tmp_path / "sizes.txt"
    path.write_text(text)
    with pytest.raises(ufm.InputError, match=message):
        read_counts(path)


def test_tables_from_csv_and_npz_are_the_same(tmp_path):
    columns, sizes = np.array([[0.25, 1, 0], [0.75, 0, 1]]), np.array([4, 2, 3])
    np.savez(tmp_path / "t.npz", columns=columns, sizes=sizes)
    (tmp_path / "t.csv").write_text("size,a,b\n4,0.25,0.75\n2,1,0\n3,0,1\n")
    (tmp_path / "plain.csv").write_text("4,0.25,0.75\n# comment\n2,1,0\n\n3,0,1\n")
    for name in ("t.npz", "t.csv", "plain.csv"):
        table = read_table(tmp_path / name)
        assert np.array_equal(table.columns, columns)
        assert table.sizes == (4, 2, 3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"4,0.5,0.5\n2,1\n", "2 numbers in line 2 and 3 before"),
        ("t.csv", b"4,0.5,0.5\n2,x,0\n", "'2,x,0' in line 2"),
        ("t.csv", b"", "no contexts"),
        ("t.csv", b"4,1\n", "at least two entries"),
        ("t.csv", b"-4,0.5,0.5\n", r"sizes\[0\] is -4"),
        ("t.csv", b"\xff\xfe\x00", "cannot be read"),
        ("t.npz", b"not a zip", "cannot be read"),
        ("t.npz", b"", "cannot be read"),
        ("t.txt", b"4,1,0\n", "neither .npz nor .csv"),
    ],
)
def test_bad_table_files_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ufm.InputError, match=message) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


def test_arrays_that_are_missing_or_of_objects_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", columns=np.eye(2))
    np.savez(tmp_path / "b.npz", columns=np.array([[None, 1], [2, 3]], dtype=object), sizes=[1, 1])
    with pytest.raises(ufm.InputError, match="no array 'sizes'"):
        read_table(tmp_path / "a.npz")
    with pytest.raises(ufm.InputError, match="cannot be read"):
        read_table(tmp_path / "b.npz")
    for name in ("missing.npz", "missing.csv"):
        with pytest.raises(ufm.InputError, match="No such file"):
            read_table(tmp_path / name)
    with pytest.raises(ufm.InputError, match="No such file"):
        read_counts(tmp_path / "missing.txt")
