"""Real processes under real signals: exit codes, one word, and nobody left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ufm.errors import InputError
from ufm.sweep import Spec, Store, run

SPEC = (
    'task = "solve"\n[fixed]\ntail = 6\nlargest = 1000\nmethod = "factored"\n'
    "[grid]\nlambda = { log = [1e-5, 1e-3, 12] }\nratio = { log = [1, 1e3, 25] }\n"
)
PATIENCE = 3.0
"""Seconds within which every process must be gone."""


def start(*arguments):
    """A command in a process group of its own; stdout and stderr go to one pipe, which workers inherit."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


def alive(group):
    """Processes of a group that still run (the dead may wait to be collected by a lazy init)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, pgrp = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state not in "ZX":
            found.append(int(folder.name))
    return found


def ended(process):
    """All that was said, when the whole group is gone and nobody holds the pipe; fails after `PATIENCE`."""
    limit = time.monotonic() + PATIENCE
    said, _ = process.communicate(timeout=PATIENCE)  # raises where somebody holds the pipe
    while (left := alive(process.pid)) and time.monotonic() < limit:
        time.sleep(0.02)
    assert not left
    return said.decode()


def wait_for(happened, seconds=20.0):
    limit = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < limit
        time.sleep(0.01)


def points(path):
    """Points done in a store that another process writes."""
    try:
        with Store(path) as store:
            return store.counts()["done"]
    except InputError:
        return 0  # not a store yet


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The rows of an undisturbed run, and the spec."""
    folder = tmp_path_factory.mktemp("straight")
    spec = folder / "spec.toml"
    spec.write_text(SPEC)
    run(Spec.load(spec), folder / "s.db")
    with Store(folder / "s.db") as store:
        return spec, list(store.rows())


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are counted in /proc")
@pytest.mark.parametrize(
    ("number", "group", "code", "word"),
    [
        (signal.SIGTERM, False, 143, "ufm: terminated"),
        (signal.SIGKILL, False, -9, ""),
        (signal.SIGINT, True, 130, "ufm: interrupted"),  # as a terminal sends it: to the workers too
    ],
)
def test_workers_end_with_their_parent_and_the_store_resumes(tmp_path, straight, number, group, code, word):
    spec, rows = straight
    path = tmp_path / "s.db"
    process = start("ufm", "sweep", "run", str(spec), "--out", str(path), "--workers", "2")
    wait_for(lambda: points(path) > 0 or process.poll() is not None)
    assert len(alive(process.pid)) >= 3  # the parent and two workers
    (os.killpg if group else os.kill)(process.pid, number)
    said = ended(process)
    assert process.returncode == code
    assert "Traceback" not in said
    assert word in said
    kept = points(path)
    assert 0 < kept < len(rows)
    assert run(Spec.load(spec), path) == {"done": len(rows), "failed": 0, "interrupted": 0}
    with Store(path) as store:
        assert list(store.rows()) == rows


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are counted in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_of_a_comparison_end_with_it(tmp_path, number):
    process = start("ufm", "compare", "--quick", "--seeds", "2", "--data", "mixture", "--workers", "2", "--out", str(tmp_path))
    wait_for(lambda: list(tmp_path.glob("*/checkpoint.npz")) or process.poll() is not None)
    os.kill(process.pid, number)
    said = ended(process)
    assert process.returncode == (143 if number == signal.SIGTERM else -9)
    assert "Traceback" not in said


def test_ctrl_c_at_any_moment_is_one_word():
    """From the first moment that this project's code can see, the loading of libraries included."""
    for delay in (0.0, 0.05, 0.15, 0.3):
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "ufm", "sweep", "list"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        while b" ufm._interrupts" not in process.stderr.readline():  # printed when it is loaded
            assert process.poll() is None
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1]
        lines = [line for line in said.decode().splitlines() if not line.startswith("import time:")]
        if process.returncode:  # else it was faster
            assert process.returncode in (130, -signal.SIGINT)
            assert lines in (["ufm: interrupted"], [])


def said(stderr):
    """Lines on stderr but for that which says what runs, where that takes more than a second."""
    return [line for line in stderr.splitlines() if not line.startswith("solving for ")]


def test_a_full_device_and_a_reader_that_left():
    words = [sys.executable, "-W", "error", "-m", "ufm", "solve", "--counts", "5*3", "--decay", "1e-2,1e-2"]
    for more in (["--json"], []):
        if Path("/dev/full").exists():
            with open("/dev/full", "w") as full:
                done = subprocess.run([*words, *more], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
            assert done.returncode == 2
            assert [line[:5] for line in said(done.stderr)] == ["ufm: "]
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([*words, *more], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
        os.close(writer)
        assert (done.returncode, said(done.stderr)) == (141, [])
