"""Running a sweep: blocks of points on any executor, results into a store. An interrupted run can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from ufm._parallel import check_workers, processes
from ufm.errors import InputError, RunError
from ufm.sweep.spec import Spec
from ufm.sweep.store import Store
from ufm.sweep.tasks import TASKS, Row

Report = Callable[[int, int], None]
ATTEMPTS = 5
"""Number of pools of workers that are tried where worker processes die."""
AHEAD = 3
"""Number of blocks submitted per worker: enough to keep it busy, few enough to bound memory."""


def compute(task: str, points: list[dict]) -> list[Row]:
    """The rows of a block of points, computed with one BLAS thread so that results do not depend on the number of cores.

    Parameters
    ----------
    task : str, name of the task
    points : list of dict, the parameters of each point

    Returns
    -------
    list of Row
        One for each point.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return TASKS[task].block(points)


def run(
    spec: Spec,
    path: str | Path,
    *,
    workers: int = 1,
    executor: Executor | None = None,
    report: Report = lambda done, total: None,
) -> dict[str, int]:
    """Compute every point of a sweep that the store does not have.

    Parameters
    ----------
    spec : Spec
    path : str or Path, of the store
    workers : int >= 1
        Number of processes (spawned, one BLAS thread each); 1 computes in this process.
    executor : concurrent.futures.Executor or None
        Another executor in place of processes, such as ``distributed.Client(...).get_executor()``; the results are the same
        bit for bit.
    report : callable (points finished, points in all), called at the start and after every block

    Returns
    -------
    dict of int
        Number of points in the store by status: "done", "failed", "interrupted".

    Raises
    ------
    InputError
        The store is in use, belongs to another sweep or cannot be written, or workers below 1.
    RunError
        Worker processes die repeatedly, or the disk is full; the store keeps what was finished.
    """
    check_workers(workers)
    total, size = len(spec.grid), spec.kind.size(spec.grid.point(0))
    with Store(path, spec) as store:
        blocks = [(k, min(k + size, total)) for k in range(0, total, size)]
        left = [block for block in blocks if not store.finished(*block)]
        done = total - sum(stop - start for start, stop in left)
        report(done, total)
        running: set[tuple[int, int]] = set()
        computed = _computed(spec, left, workers, executor, running)
        try:
            with closing(computed):
                for (start, _), rows in computed:
                    store.write(spec, start, rows)
                    done += len(rows)
                    report(done, total)
        except KeyboardInterrupt:
            empty = Row("interrupted", "", (None,) * len(spec.kind.results))
            for start, stop in sorted(running):
                store.write(spec, start, [empty] * (stop - start))
            raise
        return store.counts()


Block = tuple[int, int]


def _computed(
    spec: Spec, blocks: list[Block], workers: int, executor: Executor | None, running: set[Block]
) -> Generator[tuple[Block, list[Row]], None, None]:
    """Blocks with their rows, in the order in which they are finished; ``running`` holds the blocks being computed."""
    if executor is None and (workers == 1 or len(blocks) <= 1):
        for block in blocks:
            running.add(block)
            rows = compute(spec.task, list(spec.grid.points(*block)))
            running.discard(block)
            yield block, rows
        return
    waiting = list(reversed(blocks))
    for attempt in range(ATTEMPTS):
        running.clear()
        with processes(workers) if executor is None else nullcontext(executor) as pool:
            futures: dict[Future[list[Row]], Block] = {}
            try:
                while waiting or futures:
                    while waiting and len(futures) < AHEAD * max(workers, 2):
                        block = waiting.pop()
                        running.add(block)
                        futures[pool.submit(compute, spec.task, list(spec.grid.points(*block)))] = block
                    for future in wait(futures, return_when=FIRST_COMPLETED).done:
                        rows = future.result()
                        block = futures.pop(future)
                        running.discard(block)
                        yield block, rows
                return
            except BrokenProcessPool:
                # A worker died: a new pool computes the unfinished blocks again.
                waiting.extend(sorted(futures.values(), reverse=True))
                if attempt == ATTEMPTS - 1:
                    raise RunError(
                        f"worker processes died {ATTEMPTS} times; the store has what was finished: free memory, give fewer "
                        "workers, and run the same command again"
                    ) from None
            except BaseException:
                for future in futures:
                    future.cancel()
                raise


@contextmanager
def dask(address: str, workers: int) -> Iterator[Executor]:
    """An executor on a Dask cluster, as a context manager.

    Parameters
    ----------
    address : str, of a scheduler, or "local" for a new cluster of processes on this machine
    workers : int, number of processes of a local cluster

    Raises
    ------
    InputError
        Dask is not installed, or the scheduler does not answer.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError('--dask needs the extra: pip install -e ".[dask]"') from None
    cluster = None
    try:
        if address == "local":
            cluster = LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0")
            client = Client(cluster)
        else:
            client = Client(address, timeout="5s")
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"Dask scheduler {address!r} cannot be reached: {reason}; give the address that it printed") from None
    try:
        yield client.get_executor(pure=False)
    finally:
        client.close()
        if cluster is not None:
            cluster.close()
