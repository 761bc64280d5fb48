"""Which exception stands for what: arguments, computations that do not converge, and runs that their surroundings end."""

import errno
import pickle
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import typer

import ufm
from ufm import _parallel
from ufm._files import writing
from ufm.cli import outcome
from ufm.sweep import Spec, run
from ufm.training import comparison
from ufm.training.archive import write_arrays

KINDS = {ufm.InputError: 2, ufm.ConvergenceError: 1, ufm.RunError: 1}


class Dying(Executor):
    """Every worker dies at its first task."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_exception(BrokenProcessPool("a process died"))
        return future


@contextmanager
def dying(workers):
    yield Dying()


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_one_sentence_with_its_exit_code(kind, capsys):
    application = typer.Typer()

    @application.command()
    def fail():
        raise kind("two\nlines")

    assert outcome(application, "ufm", []) == KINDS[kind]
    assert capsys.readouterr().err == "ufm: two lines\n"
    again = pickle.loads(pickle.dumps(kind("a worker's sentence")))
    assert type(again) is kind
    assert str(again) == "a worker's sentence"


def test_only_bad_arguments_are_value_errors():
    assert issubclass(ufm.InputError, ValueError)
    for kind in (ufm.ConvergenceError, ufm.RunError):
        assert issubclass(kind, RuntimeError)
        assert not issubclass(kind, ufm.InputError)


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, ufm.RunError), (errno.EIO, ufm.RunError), (errno.EACCES, ufm.InputError)]
)
def test_a_full_disk_is_no_bad_argument(tmp_path, monkeypatch, number, kind):
    path = tmp_path / "a.npz"
    path.write_text("old")

    def broken(self, target):
        raise OSError(number, "it fails")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(kind, match=r"'.*a\.npz' cannot be written: it fails; "):
        write_arrays(path, {"x": np.ones(3)}, {})
    with pytest.raises(kind), writing(path) as stream:
        stream.write("new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_a_folder_on_a_full_disk(tmp_path, monkeypatch):
    def full(self, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(ufm.RunError, match="free space"):
        ufm.training.run(ufm.training.Settings(epochs=1), tmp_path / "new")
    with pytest.raises(ufm.RunError, match="free space"):
        comparison.compare(comparison.Comparison(quick=True), tmp_path / "new")


def test_workers_that_die_again_and_again_end_a_sweep(tmp_path):
    spec = Spec.load("phase").thinned(3)
    with pytest.raises(ufm.RunError, match="worker processes died"):
        run(spec, tmp_path / "s.db", executor=Dying())
    assert run(spec, tmp_path / "s.db")["done"] == len(spec.grid)


def test_a_worker_that_dies_ends_a_comparison(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "processes", dying)
    with pytest.raises(ufm.RunError, match="run the same command again"):
        comparison.compare(comparison.Comparison(quick=True, seeds=2), tmp_path)


def test_workers_that_cannot_be_started(monkeypatch):
    def refused(self, fn, /, *args, **kwargs):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(_parallel.ProcessPoolExecutor, "submit", refused)
    with pytest.raises(ufm.RunError, match="cannot be started: Resource"), _parallel.processes(2) as pool:
        pool.submit(abs, -1)
