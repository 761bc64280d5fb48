"""A pool of worker processes that ends with its parent process, also after an exception, a signal, or a crash."""

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
"""Most workers for each core: every one is a process with its own copy of NumPy and SciPy in memory."""


def check_workers(workers: int) -> None:
    """Refuse a number of worker processes that is not a positive whole number or too large for this machine.

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
    """A pool of spawned worker processes with one BLAS thread each.

    After an exception in the block (Ctrl-C included) waiting tasks are cancelled and running ones are terminated, so long
    tasks should write checkpoints. Workers end with this process however it ends, also by SIGKILL.

    Parameters
    ----------
    workers : int, number of processes, see `check_workers`

    Yields
    ------
    ProcessPoolExecutor

    Raises
    ------
    RunError
        The system refuses to start a worker.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    # Only this process holds the writing end, and nothing is written: workers read end-of-file when this process ends.
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
    """Starts its workers (in `submit`) with SIGINT blocked: Ctrl-C is sent to the whole group, and the parent handles it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if not hasattr(signal, "pthread_sigmask"):  # Windows, where Ctrl-C is ignored from `_begin` on
            return super().submit(fn, *args, **kwargs)
        # A child process inherits the blocked signal, from its first instruction on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        except OSError as error:
            raise RunError(f"worker processes cannot be started: {error.strerror or error}; give fewer workers") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: Connection) -> None:
    """Initialise a worker process, before its first task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), name="end with the parent", daemon=True).start()


def _watch(parent: Connection) -> None:
    """End this process as soon as the parent process has ended, whatever the main thread is doing."""
    try:
        parent.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
