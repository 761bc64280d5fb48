"""Writing the site into a folder."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from proofs_check.bibliography import bibtex
from proofs_check.judging import Verdict, instances
from proofs_check.site import audit_page, detail, overview
from ufm._files import reason_of, write_text
from ufm.errors import InputError, brief

ASSETS = ("style.css", "filter.js", "icon.svg")


def made(folder: Path) -> Path:
    """The folder, made if there is none.

    Raises
    ------
    InputError
        The folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(f"--html {brief(str(folder))} cannot be made: {reason_of(error)}; give another folder") from None
    return folder


def write(verdicts: list[Verdict], folder: str, *, summary: str, legend: str, level: str, scale: str = "default") -> list[Path]:
    """Write the site: overview, a page for each theorem, the audit, certificates, bibliography, style and script.

    Parameters
    ----------
    verdicts : list of Verdict
    folder : str, made if there is none; files of the same names are replaced
    summary, legend : str, the closing sentence and what margins mean
    level, scale : str, as they were asked for

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        The folder or a file in it cannot be written.
    """
    root = made(Path(folder))
    pages = {"index.html": overview.page(verdicts, summary, legend), "audit.html": audit_page.page(verdicts)}
    pages["bibliography.bib"] = bibtex([v.theorem.source.key for v in verdicts])
    names = [v.theorem.id for v in verdicts]
    for verdict, before, after in zip(verdicts, [None, *names[:-1]], [*names[1:], None], strict=True):
        checked = instances(verdict.theorem(), scale)
        pages[detail.file_of(verdict.theorem.id)] = detail.page(verdict, checked, before, after, level)
    for name in ASSETS:
        pages[name] = (files("proofs_check.site") / "assets" / name).read_text(encoding="utf-8")
    kept = [e for verdict in verdicts for e in verdict.evidence]
    if kept:
        made(root / "certificates")
        pages |= {f"certificates/{e.name}": e.text for e in kept}
    for name, text in pages.items():
        write_text(root / name, text, "--html")
    return [root / name for name in pages]
