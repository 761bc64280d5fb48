"""A pool of worker processes that ends with its user: by an exception, a signal, or the death of the parent process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from ufm.errors import InputError, RunError, brief

PER_CORE = 8
"""Workers for each core of this machine at the most: every one is a process with its own copy of NumPy and SciPy."""


def check_workers(workers: int) -> None:
    """Refuse a number of worker processes that is none, or that this machine cannot bear.

    Raises
    ------
    InputError
        Not a whole number, below 1, or above `PER_CORE` for each core.
    """
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise InputError(f"workers is {brief(workers)}; give a whole number of at least 1")
    most = PER_CORE * (os.cpu_count() or 1)
    if workers > most:
        raise InputError(f"workers is {brief(workers)}; this machine takes at most {most} ({PER_CORE} for each core)")


@contextmanager
def processes(workers: int) -> Generator[ProcessPoolExecutor, None, None]:
    """Spawned workers with one BLAS thread each. After an exception (Ctrl-C too) nothing that waits is begun, and what runs is
    ended: work that can be lost must keep checkpoints. Workers end with this process however it ends, by SIGKILL too.

    Raises
    ------
    RunError
        The system refuses to start a worker.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    # Only this process has the writing end and nothing is ever written: its end of file is the end of this process.
    reader, writer = context.Pipe(duplex=False)
    pool = _Pool(max_workers=workers, mp_context=context, initializer=_begin, initargs=(reader,))
    try:
        yield pool
    except BaseException:
        mine = set(multiprocessing.active_children()) - before
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in mine:
            worker.terminate()
        for worker in mine:
            worker.join(10)
        raise
    else:
        pool.shutdown()
    finally:
        writer.close()
        reader.close()


class _Pool(ProcessPoolExecutor):
    """Starts its workers (in `submit`) deaf to Ctrl-C, which reaches the whole group and belongs to the parent."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if not hasattr(signal, "pthread_sigmask"):  # Windows, where Ctrl-C is ignored from `_begin` on
            return super().submit(fn, *args, **kwargs)
        # A blocked signal stays blocked in what is started, from the first instruction on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        except OSError as error:
            raise RunError(f"worker processes cannot be started: {error.strerror or error}; give fewer workers") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: Connection) -> None:
    """In a worker, before its first task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), name="end with the parent", daemon=True).start()


def _watch(parent: Connection) -> None:
    """End this process as soon as the parent is gone, whatever the main thread is doing."""
    try:
        parent.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
