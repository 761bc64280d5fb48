"""A pool of worker processes that ends when its user is interrupted."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager


@contextmanager
def processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Spawned workers with one BLAS thread each. After an exception (Ctrl-C too) nothing that waits is begun, and what runs is
    ended: work that can be lost must keep checkpoints.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(max_workers=workers, mp_context=context, initializer=_deaf)
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
    pool.shutdown()


def _deaf() -> None:
    """Workers leave Ctrl-C, which reaches the whole group, to their parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
