"""Verdicts of an earlier run: its certificates are verified again, its comparisons judged again, and nothing is solved.

A stored verdict belongs to the code that made it: after a change of any source file of `ufm` or `proofs_check`, of a library,
of the level or of the number of instances, the theorem is computed anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache as remembered
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import ufm
from proofs_check.box import Box, Curve, Range, Route
from proofs_check.enclosure import Enclosure, Finding, Outcome, Relation, decided, equal, less
from proofs_check.evidence import Evidence
from proofs_check.judging import Verdict, summed_up
from proofs_check.theorem import Theorem
from ufm._files import read_text, reason_of, write_text
from ufm.errors import InputError, brief

LARGEST = 10**9
PARTS = ("findings", "controls", "twins", "outside")
LIBRARIES = ("numpy", "scipy", "sympy", "python-flint", "cvxpy", "clarabel", "scs")


@remembered
def fingerprint() -> str:
    """Digest of all source files of `ufm` and `proofs_check`, and of the versions of the libraries that compute."""
    digest = hashlib.sha256()
    for package in (Path(ufm.__file__).parent, Path(__file__).parent):
        for path in sorted(package.rglob("*.py")):
            digest.update(path.relative_to(package.parent).as_posix().encode() + b"\0" + path.read_bytes())
    digest.update(" ".join(version(name) for name in LIBRARIES).encode())
    return digest.hexdigest()


def folder_of(text: str) -> Path:
    """The folder of a cache, made if there is none.

    Raises
    ------
    InputError
        The folder cannot be made.
    """
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(f"--cache {brief(text)} cannot be made: {reason_of(error)}; give another folder") from None
    return folder


def _path(folder: Path, theorem: type[Theorem], level: str, scale: str) -> Path:
    key = hashlib.sha256(f"{fingerprint()} {theorem.__module__} {level} {scale}".encode()).hexdigest()[:16]
    return folder / f"{theorem.id}-{level}-{scale}-{key}.json"


def _plain(finding: Finding) -> dict[str, Any]:
    sides = {
        name: [float(side.lower), float(side.upper)] if isinstance(side, Enclosure) else side
        for name, side in (("predicted", finding.predicted), ("computed", finding.computed))
    }
    return {
        "what": finding.what, "margin": finding.margin, "level": finding.level, "tolerance": finding.tolerance,
        "relation": finding.relation.value, **sides,
    }  # fmt: skip


def _judged(plain: dict[str, Any]) -> Finding:
    """The comparison, made again from its two sides."""
    one, other = (
        Enclosure(*map(float, side)) if isinstance(side, list) else side for side in (plain["predicted"], plain["computed"])
    )
    what, level, relation = plain["what"], plain["level"], Relation(plain["relation"])
    if relation is Relation.EQUAL and isinstance(one, Enclosure) and isinstance(other, Enclosure):
        return equal(what, one, other, tolerance=float(plain["tolerance"]), level=level)
    if relation is Relation.LESS and isinstance(one, Enclosure) and isinstance(other, Enclosure):
        return less(what, one, other, level=level)
    if relation is Relation.DECIDED and isinstance(one, str) and isinstance(other, str):
        return decided(what, one, other, margin=float(plain["margin"]), level=level)
    return Finding(what, Outcome.INCONCLUSIVE, 0.0, level)


def plain_box(box: Box) -> dict[str, Any]:
    """A box as plain values, from which `judged_box` makes it again."""
    words = {name: getattr(box, name) for name in ("statement", "argument", "below", "above", "band", "cells")}
    return words | {
        "ranges": [list(r) for r in box.ranges], "route": box.route.value,
        "curve": None if box.curve is None else list(box.curve),
        "findings": [_plain(f) for f in box.findings], "controls": [_plain(f) for f in box.controls],
    }  # fmt: skip


def judged_box(plain: dict[str, Any]) -> Box:
    """The box, its comparisons made again."""
    curve = plain["curve"]
    if curve is not None:
        x, y, points, x_range, y_range, upper, lower = curve
        curve = Curve(x, y, tuple((float(a), float(b)) for a, b in points), tuple(x_range), tuple(y_range), upper, lower)
    return Box(
        plain["statement"], tuple(Range(*r) for r in plain["ranges"]), Route(plain["route"]), plain["argument"], plain["below"],
        plain["above"], float(plain["band"]), tuple(map(_judged, plain["findings"])), tuple(map(_judged, plain["controls"])),
        int(plain["cells"]), curve,
    )  # fmt: skip


def store(folder: Path, verdict: Verdict, level: str, scale: str) -> None:
    """Keep a verdict that holds and rests on certificates; others are computed again each time.

    Comparisons of such a theorem that rest on no certificate (verdicts on collapse, thresholds) are kept as they were found.

    Parameters
    ----------
    folder : Path
    verdict : Verdict, with its evidence
    level, scale : str, as they were asked for

    Raises
    ------
    InputError
        The file cannot be written.
    """
    if verdict.outcome is not Outcome.HOLDS or not verdict.evidence:
        return
    content: dict[str, Any] = {part: [_plain(f) for f in getattr(verdict, part)] for part in PARTS}
    content["boxes"] = [plain_box(box) for box in verdict.boxes]
    content |= {"steps": verdict.steps, "instances": verdict.instances, "seconds": verdict.seconds}
    content["evidence"] = [e.to_dict() for e in verdict.evidence]
    text = json.dumps(content, separators=(",", ":"))
    whole = json.dumps({"digest": hashlib.sha256(text.encode()).hexdigest(), "content": text})
    write_text(_path(folder, verdict.theorem, level, scale), whole, "--cache")


def load(folder: Path, theorem: type[Theorem], level: str, scale: str) -> Verdict | None:
    """The verdict of an earlier run of the same code, or None.

    Each certificate is verified again by the independent verifier, and each comparison is judged again from its two sides; a
    file that is damaged, or in which anything fails, counts as none.

    Parameters
    ----------
    folder : Path
    theorem : class of the theorem
    level, scale : str, as they are asked for

    Returns
    -------
    Verdict or None
    """
    path, start = _path(folder, theorem, level, scale), perf_counter()
    if not path.is_file():
        return None
    try:
        whole = json.loads(read_text(path, "--cache", LARGEST, "delete it"))
        text = whole["content"]
        if hashlib.sha256(text.encode()).hexdigest() != whole["digest"]:
            return None
        content = json.loads(text)
        evidence = tuple(Evidence.from_dict(plain) for plain in content["evidence"])
        parts: dict[str, Any] = {part: tuple(_judged(plain) for plain in content[part]) for part in PARTS}
        boxes = tuple(judged_box(plain) for plain in content["boxes"])
        steps = tuple((str(name), bool(passed)) for name, passed in content["steps"])
    except (InputError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if not all(e.recheck().accepted for e in evidence):
        return None
    found = Verdict(
        theorem, Outcome.INCONCLUSIVE, "numeric", **parts, steps=steps, boxes=boxes, seconds=0.0,
        instances=int(content["instances"]),         evidence=evidence, cached=True,
    )  # fmt: skip
    judged = replace(summed_up(found, level), seconds=perf_counter() - start)
    return judged if judged.outcome is Outcome.HOLDS else None
