"""The files that a run is asked to write: checked before it starts, written after it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from proofs_check import report, site
from proofs_check.bibliography import bibtex
from proofs_check.judging import Verdict
from proofs_check.running import Plan
from proofs_check.site.folder import made
from ufm._files import write_text
from ufm.errors import InputError, brief


def checked(
    *, json: str | None = None, html: str | None = None, latex: str | None = None, bibtex: str | None = None
) -> list[tuple[str, str]]:
    """Options and places of the files that are wanted, which can be written as far as one can tell.

    Parameters
    ----------
    json, latex, bibtex : str or None, names of files in existing folders
    html : str or None, a folder, which is made

    Returns
    -------
    list of (option, place)

    Raises
    ------
    InputError
        A file in a folder that does not exist, or a folder that cannot be made.
    """
    wanted = [("--json", json), ("--html", html), ("--latex", latex), ("--bibtex", bibtex)]
    found = [(option, place) for option, place in wanted if place is not None]
    for option, place in found:
        if option == "--html":
            made(Path(place))
        elif not Path(place).name or Path(place).is_dir() or not Path(place).resolve().parent.is_dir():
            raise InputError(f"{option} {brief(place)} cannot be written: give a name in an existing folder")
    return found


def write(wanted: list[tuple[str, str]], verdicts: list[Verdict], *, summary: str, plan: Plan) -> None:
    """Write what is wanted; one that fails does not keep the others from being written.

    Parameters
    ----------
    wanted : list of (option, place), see `checked`
    verdicts : list of Verdict
    summary : str, the closing sentence
    plan : Plan, of the run

    Raises
    ------
    InputError
        Something could not be written.
    """
    page = partial(site.write, summary=summary, legend=report.LEGEND, level=plan.level, scale=plan.scale)
    texts: dict[str, Callable[[list[Verdict]], str]] = {
        "--json": report.as_json,
        "--latex": report.as_latex,
        "--bibtex": lambda found: bibtex([v.theorem.source.key for v in found]),
    }
    failures: list[Exception] = []
    for option, place in wanted:
        try:
            if option == "--html":
                page(verdicts, place)
            else:
                write_text(place, texts[option](verdicts), option)
        except Exception as error:  # the other outputs that were asked for are written first
            failures.append(error)
    told = [str(failure) for failure in failures if isinstance(failure, InputError)]
    if len(told) < len(failures):
        raise next(failure for failure in failures if not isinstance(failure, InputError))
    if told:
        raise InputError("; ".join(told))
