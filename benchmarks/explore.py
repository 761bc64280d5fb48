"""One move on the page of ``ufm explore``: every part of it in this process, and the whole as a browser sees it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter, process_time

import ufm
from ufm.explore import Settings, View, sections

BUDGET = 0.1
"""Seconds that a move may take."""
PARTS: dict[str, Callable[[View], str]] = {
    "optimum": sections.optimum,
    "diagrams": lambda view: sections.diagrams(view, asked=False, button=""),
    "remedies": sections.remedies,
    "commands": lambda view: sections.reproduced(view, asked=False, files=""),
}
"""What the cells of the page compute, in their order."""
DECAYED, BUDGETED = Settings(), Settings(regularizer=ufm.NormBudget(1.0, 5.0))
MOVES: dict[str, tuple[Settings, list[Settings]]] = {
    "decay: ratio": (DECAYED, [replace(DECAYED, ratio=r) for r in (1.0, 2.0, 4.0, 7.9, 16.0, 50.0, 250.0)]),
    "decay: decay": (DECAYED, [replace(DECAYED, regularizer=ufm.WeightDecay(d / 1e4, 2.5e-3)) for d in (1, 2, 5, 10, 50, 100)]),
    "decay: classes": (DECAYED, [replace(DECAYED, majority=k) for k in (1, 2, 4, 8, 12, 16, 20)]),
    "decay: rho of a DEQ": (DECAYED, [replace(DECAYED, head=f"deq:rho={r}") for r in (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)]),
    "budget: ratio": (BUDGETED, [replace(BUDGETED, ratio=r) for r in (1.0, 2.0, 4.0, 7.9, 16.0, 50.0, 250.0)]),
    "budget: budget": (BUDGETED, [replace(BUDGETED, regularizer=ufm.NormBudget(e, 5.0)) for e in (0.2, 0.5, 1.6, 3.2, 6.3)]),
    "budget: classes": (BUDGETED, [replace(BUDGETED, majority=k) for k in (1, 2, 4, 8, 12, 16, 20)]),
}
"""For each control the settings at which the page stands, and those to which it moves; no two are the same."""
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run")
WATCH = """() => {
    window.trips = []; window.begun = null;
    const shown = () => document.getElementById('commands')?.innerText;
    document.addEventListener('keydown', () => { window.begun = performance.now(); window.before = shown(); }, true);
    const look = () => {
        if (window.begun !== null && shown() !== undefined && shown() !== window.before) {
            window.trips.push(performance.now() - window.begun); window.begun = null;
        }
        requestAnimationFrame(look);
    };
    look();
}"""
"""Counts, in the page, from the press of a key until the last section of the page has changed."""
KEYS = 7
"""Presses of a key to one side, and then back."""


@dataclass(frozen=True)
class Moved:
    """A move: median seconds of its parts as in `PARTS`, median and largest seconds of the whole, median seconds of CPU."""

    move: str
    parts: tuple[float, ...]
    whole: float
    longest: float
    busy: float | None = None


def all_moves(progress: Callable[[str], None]) -> list[Moved]:
    """Moves without a browser: every section of the page is computed at settings that it has not had before.

    Parameters
    ----------
    progress : callable from str to None, told what is running
    """
    rows = []
    for name, (start, moves) in MOVES.items():
        progress(f"page, {name}")
        timed(start)
        found = [timed(settings) for settings in moves]
        wholes, busy = [sum(times) for times, _ in found], median(cpu for _, cpu in found)
        parts = tuple(median(times) for times in zip(*(times for times, _ in found), strict=True))
        rows.append(Moved(name, parts, median(wholes), max(wholes), busy))
    return rows


def timed(settings: Settings) -> tuple[tuple[float, ...], float]:
    """Seconds of each part of a view that is new, and of this process's CPU for all of them.

    Parameters
    ----------
    settings : Settings
    """
    view, times, begun = View(settings), [], process_time()
    for part in PARTS.values():
        start = perf_counter()
        part(view)
        times.append(perf_counter() - start)
    return tuple(times), process_time() - begun


def round_trips(progress: Callable[[str], None]) -> list[Moved]:
    """Moves in headless Chromium, from the press of a key until the last section has changed; none where there is no Chromium.

    Parameters
    ----------
    progress : callable from str to None, told what is running
    """
    path = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return []
    if path is None:
        return []
    command = [sys.executable, "-m", "ufm", "explore", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            with sync_playwright() as driver:
                page = driver.chromium.launch(executable_path=path, args=list(FLAGS)).new_page()
                page.goto(address)
                page.locator("#commands").wait_for()
                page.evaluate(WATCH)
                return list(_pressed(page, progress))
        finally:
            server.terminate()


def _pressed(page, progress: Callable[[str], None]) -> Iterator[Moved]:
    for name, number in (("ratio", 2), ("decay", 4), ("classes", 0)):
        progress(f"page in Chromium, {name}")
        page.get_by_role("slider").nth(number).focus()
        page.evaluate("window.trips.length = 0")
        for key in ["ArrowRight"] * KEYS + ["ArrowLeft"] * KEYS:
            count = page.evaluate("window.trips.length")
            page.keyboard.press(key)
            page.wait_for_function("count => window.trips.length > count", arg=count)
        trips = [trip / 1e3 for trip in page.evaluate("window.trips")]
        yield Moved(f"Chromium, decay: {name}, new", (), median(trips[:KEYS]), max(trips[:KEYS]))
        yield Moved(f"Chromium, decay: {name}, back", (), median(trips[KEYS:]), max(trips[KEYS:]))
