"""Judging many theorems: one after the other or in several processes, from a cache where there is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

from proofs_check import cache
from proofs_check.judging import Verdict, judge
from proofs_check.theorem import Theorem
from ufm._parallel import check_workers, processes
from ufm.errors import RunError

FEW = 4
"""Theorems up to which a second process costs more than it saves."""


@dataclass(frozen=True)
class Plan:
    """How theorems are judged.

    Attributes
    ----------
    level, scale : str, as in `proofs_check.judging.judge`
    jobs : int or None, number of processes; None for two, or one where there are few theorems or one core
    seconds : float or None, time limit of each theorem
    keep : bool, whether to keep certificates
    cache : Path or None, folder of an earlier run's verdicts
    """

    level: str = "rigorous"
    scale: str = "default"
    jobs: int | None = None
    seconds: float | None = None
    keep: bool = False
    cache: Path | None = None

    def workers(self, count: int) -> int:
        """Number of processes for so many theorems."""
        if self.jobs is not None:
            return min(self.jobs, count)
        return 1 if count <= FEW else min(2, os.cpu_count() or 1)


def one(theorem: type[Theorem], plan: Plan, progress: Callable[[str], None] = lambda _: None) -> Verdict:
    """The verdict on one theorem, from the cache where it holds one.

    Parameters
    ----------
    theorem : class of the theorem
    plan : Plan
    progress : callable, told what runs

    Returns
    -------
    Verdict
    """
    if plan.cache is not None:
        progress(f"{theorem.id} certificates of an earlier run")
        found = cache.load(plan.cache, theorem, plan.level, plan.scale)
        if found is not None:
            return found if plan.keep else replace(found, evidence=())
    keep = plan.keep or plan.cache is not None
    verdict = judge(theorem, plan.level, progress, scale=plan.scale, keep=keep, seconds=plan.seconds)
    if plan.cache is not None:
        cache.store(plan.cache, verdict, plan.level, plan.scale)
    return verdict if plan.keep else replace(verdict, evidence=())


def verdicts(chosen: Sequence[type[Theorem]], plan: Plan, progress: Callable[[str], None]) -> list[Verdict]:
    """The verdicts, in the order of the theorems.

    Parameters
    ----------
    chosen : sequence of classes of theorems, importable by name if there are several processes
    plan : Plan
    progress : callable, told what runs

    Returns
    -------
    list of Verdict

    Raises
    ------
    InputError
        A number of processes that this machine does not take.
    RunError
        A process died.
    """
    if plan.jobs is not None:
        check_workers(plan.jobs)
    workers = plan.workers(len(chosen))
    if workers == 1:
        return [one(t, plan, _counted(progress, k, len(chosen))) for k, t in enumerate(chosen, 1)]
    found: dict[int, Verdict] = {}
    try:
        with processes(workers) as pool:
            tasks: dict[Future[Verdict], int] = {pool.submit(one, t, plan): k for k, t in enumerate(chosen)}
            for task in as_completed(tasks):
                found[tasks[task]] = task.result()
                progress(f"[{len(found)}/{len(chosen)}] {workers} processes, {', '.join(_waiting(chosen, found))}")
    except BrokenProcessPool:
        raise RunError("a process that checks theorems has died; run it again, with --jobs 1 if memory is short") from None
    return [found[k] for k in range(len(chosen))]


def _counted(progress: Callable[[str], None], number: int, total: int) -> Callable[[str], None]:
    return lambda what: progress(f"[{number}/{total}] {what}")


def _waiting(chosen: Sequence[type[Theorem]], found: dict[int, Verdict]) -> Iterator[str]:
    """The next theorems that have no verdict yet."""
    left = [t.id for k, t in enumerate(chosen) if k not in found]
    yield f"{len(left)} left" + (f": {' '.join(left[:5])}{' ...' if len(left) > 5 else ''}" if left else "")
