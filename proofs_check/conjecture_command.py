"""Conjectures on the command line: load a file, search, print, and save counterexamples."""

from __future__ import annotations

import json as plain_json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from proofs_check.conjecture import Conjecture
from proofs_check.enclosure import Enclosure
from proofs_check.report import finding
from proofs_check.searching import Searched, Tried, search, shown
from ufm._files import reason_of, write_text
from ufm.errors import InputError, brief


def load(path: str) -> list[type[Conjecture]]:
    """The conjectures that a file defines, in its order.

    Parameters
    ----------
    path : str, of a Python file, which is run

    Returns
    -------
    list of classes

    Raises
    ------
    InputError
        The file cannot be run, or defines no conjecture, or two of one name.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no file {brief(path)}; give the name of a Python file with conjectures")
    name = f"conjectures_{Path(path).stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{brief(path)} is no Python file; give one that ends with .py")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{brief(path)} cannot be run: {brief(f'{type(error).__name__}: {error}')}; correct it") from error
    found = [
        value.checked()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Conjecture) and value.__module__ == name
    ]
    if not found:
        raise InputError(f"{brief(path)} defines no conjecture; derive a class from proofs_check.conjecture.Conjecture")
    twice = [c.id for c in found if [other.id for other in found].count(c.id) > 1]
    if twice:
        raise InputError(f"{brief(path)} has two conjectures named {brief(twice[0])}; give each its own id")
    return found


def _bounds(side: Enclosure | str | None) -> str:
    return f"[{side.lower:.12g}, {side.upper:.12g}]" if isinstance(side, Enclosure) else str(side)


def told(found: Searched) -> list[str]:
    """What a reader needs to know of a search, in lines.

    Parameters
    ----------
    found : Searched

    Returns
    -------
    list of str
    """
    claim = found.conjecture
    ranges = "; ".join(f"{name} {values}" for name, values in claim.parameters.items())
    lines = [f"{claim.id}: {claim.statement()}"]
    if found.counterexample is not None and found.counterexample.finding is not None:
        tried, what = found.counterexample, found.counterexample.finding
        lines += [
            f"  REFUTED at {shown(tried.point)}, level {what.level}:",
            f"  predicted {_bounds(what.predicted)}, computed {_bounds(what.computed)} ({claim.relation} was claimed)",
        ]
        if tried.tension > 0 and isinstance(what.computed, Enclosure):
            lines.append(f"  the enclosures are disjoint, {tried.tension:.1e} apart (relative)")
    else:
        level = f" (level {found.weakest} or better)" if found.weakest else ""
        lines.append(
            f"  not refuted: holds at {found.holding} points{level} of {found.evaluated} evaluated; a search is no proof"
        )
        if found.closest is not None:
            lines.append(
                f"  nearest to failing at {shown(found.closest.point)} (relative distance {-found.closest.tension:.1e})"
            )
    if found.doubtful is not None:
        lines.append(
            f"  contradicted without proof (numeric) at {shown(found.doubtful.point)}; a proved enclosure would decide"
        )
    counts = [
        (found.inconclusive, "not decided"),
        (found.refused, "refused by the solver"),
        (found.outside, "outside hypotheses"),
    ]
    rest = ", ".join(f"{count} {name}" for count, name in counts if count)
    stopped = "; the time limit ended the search" if found.stopped else ""
    lines.append(f"  searched {ranges}; seed {found.seed}, {found.seconds:.1f} s{f'; {rest}' if rest else ''}{stopped}")
    if found.reason:
        lines.append(f"  first refusal: {found.reason}")
    return lines


def _tried(tried: Tried | None) -> dict[str, Any] | None:
    if tried is None:
        return None
    point = {name: value if isinstance(value, int | float | str | bool) else str(value) for name, value in tried.point.items()}
    compared = None if tried.finding is None else finding(tried.finding)
    return {"point": point, "finding": compared, "certificates": [e.name for e in tried.evidence]}


def to_dict(found: Searched, level: str, budget: int) -> dict[str, Any]:
    """A search as plain values for JSON.

    Parameters
    ----------
    found : Searched
    level : str, that was asked for
    budget : int, that was given

    Returns
    -------
    dict
    """
    claim = found.conjecture
    return {
        "id": claim.id,
        "statement": claim.statement(),
        "relation": claim.relation,
        "parameters": {name: str(values) for name, values in claim.parameters.items()},
        "outcome": "refuted" if found.counterexample is not None else "not refuted",
        "counterexample": _tried(found.counterexample),
        "closest": _tried(found.closest),
        "contradicted_without_proof": _tried(found.doubtful),
        "points": {
            "holding": found.holding, "inconclusive": found.inconclusive, "refused": found.refused, "outside": found.outside,
        },
        "weakest_level": found.weakest,
        "level": level,
        "budget": budget,
        "seed": found.seed,
        "stopped": found.stopped,
        "seconds": found.seconds,
    }  # fmt: skip


def save(found: Searched, folder: str, level: str, budget: int) -> list[Path]:
    """Write a counterexample and its certificates, which ``ufm recheck`` verifies.

    Parameters
    ----------
    found : Searched, with a counterexample
    folder : str, made if there is none
    level : str, that was asked for
    budget : int, that was given

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        The folder or a file cannot be written.
    """
    assert found.counterexample is not None
    root = Path(folder)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(f"--save {brief(folder)} cannot be made: {reason_of(error)}; give another folder") from None
    path = root / f"{found.conjecture.id}-counterexample.json"
    write_text(path, plain_json.dumps(to_dict(found, level, budget), indent=1, allow_nan=False) + "\n", "--save")
    for evidence in found.counterexample.evidence:
        write_text(root / evidence.name, evidence.text, "--save")
    return [path, *(root / e.name for e in found.counterexample.evidence)]


def run(
    console: Console,
    files: list[str],
    *,
    level: str,
    budget: int,
    seed: int,
    limit: float | None,
    save: str | None,
    json: str | None,
) -> bool:
    """Search the conjectures of files, and print what came of it.

    Parameters
    ----------
    console : rich.console.Console
    files : list of str
    level : str, "float" or "rigorous"
    budget, seed : int, of each search
    limit : float or None, seconds for each conjecture
    save, json : str or None, folder for counterexamples, and file for the results

    Returns
    -------
    bool
        Whether one of them is refuted.
    """
    claims = [claim for path in files for claim in load(path)]
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    results = []
    for claim in claims:
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("", total=None)
            found = search(
                claim, level=level, budget=budget, seed=seed, seconds=limit,
                progress=lambda what, task=task, progress=progress: progress.update(task, description=what),
            )  # fmt: skip
        results.append(found)
        for line in told(found):
            console.print(line, markup=False, soft_wrap=True)
        if found.counterexample is not None and save is not None:
            for path in _saved(found, save, level, budget):
                console.print(f"  {path}", markup=False, soft_wrap=True)
    if json is not None:
        content = [to_dict(found, level, budget) for found in results]
        write_text(json, plain_json.dumps(content, indent=1, allow_nan=False) + "\n", "--json")
    return any(found.counterexample is not None for found in results)


_saved = save
