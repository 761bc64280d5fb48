"""The page that shows all figures of a folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from inspect import getdoc
from pathlib import Path

from figures.registry import Plot
from figures.storage import key_of, place, recall
from ufm._files import write_text

SHOWN = ("svg", "png")
"""Formats that a browser shows within a page, best first."""
HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Figures of ufm</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
figure { margin: 0 0 3rem; border-top: 1px solid #ccc; padding-top: 1rem }
img { max-width: 100%; min-width: min(28rem, 100%) }
figcaption { font-size: .95rem; max-width: 48rem }
nav { columns: 2; font-size: .95rem }
code { background: #f3f3f3 }
</style>
<h1>Figures of ufm</h1>
"""


def write_overview(folder: Path, plots: Iterable[type[Plot]], quick: bool) -> Path:
    """Write ``index.html``: every figure that the folder has, with its caption, what its data say, and links to its files.

    Parameters
    ----------
    folder : Path
    plots : figures to show, where there are files of them
    quick : bool, whether to link to the data of quick runs

    Returns
    -------
    Path
        The page; it opens from disk and loads nothing from elsewhere.

    Raises
    ------
    InputError
        The page cannot be written.
    """
    there = [(plot, [kind for kind in (*SHOWN, "pdf") if (folder / f"{plot.name}.{kind}").exists()]) for plot in plots]
    there = [(plot, kinds) for plot, kinds in there if kinds]
    links = "\n".join(f'<li><a href="#{plot.name}">{escape(plot.title)}</a></li>' for plot, _ in there)
    body = "\n".join(_entry(folder, plot, kinds, quick) for plot, kinds in there)
    path = folder / "index.html"
    write_text(path, f"{HEAD}<nav><ul>\n{links}\n</ul></nav>\n{body}\n</html>\n", "the page of figures")
    return path


def _entry(folder: Path, plot: type[Plot], kinds: list[str], quick: bool) -> str:
    """One figure of the page."""
    shown = next((kind for kind in SHOWN if kind in kinds), None)
    image = f'<img src="{plot.name}.{shown}" alt="{escape(plot.title)}">' if shown else ""
    files = [f"{plot.name}.{kind}" for kind in kinds]
    data = place(folder, plot, quick=quick)
    files += [path.name for path in (folder / f"{plot.name}.tex", data) if path.exists()]
    stored = recall(data)
    # Data of other code may have another form.
    note = plot().note(stored.data) if stored is not None and stored.key == key_of(plot, quick=quick) else ""
    said = f"<p>{escape(note, quote=False)}</p>\n" if note else ""
    links = ", ".join(f'<a href="{name}">{name}</a>' for name in files)
    return (
        f'<figure id="{plot.name}">\n<h2>{escape(plot.title)}</h2>\n{image}\n'
        f"<figcaption><p>{_caption(plot)}</p>\n{said}<p>{links}</p></figcaption>\n</figure>"
    )


def _caption(plot: type[Plot]) -> str:
    """The docstring as HTML."""
    text = " ".join((getdoc(plot) or "").split())
    return re.sub(r"``(.+?)``", r"<code>\1</code>", escape(text, quote=False))
