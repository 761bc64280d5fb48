"""The sections of the page as HTML: text, tables and pictures of a view, and the one sentence of what is refused."""

from __future__ import annotations

from html import escape

import numpy as np

from ufm.explore.budgets import CLOSE
from ufm.explore.pictures import cosine_curve, gram_matrix, phase_diagram, scale
from ufm.explore.view import View, attempt
from ufm.problem import NormBudget
from ufm.solvers.estimate import about, seconds_for

LEAD = (
    "Certified optima of unconstrained-feature models with K<sub>A</sub> majority and K<sub>B</sub> minority classes, "
    "R = n<sub>A</sub> / n<sub>B</sub>. Every number says how it is known: <em>float</em> and <em>rigorous</em> are proved "
    "bounds (in float64 with all rounding errors, or in ball arithmetic), <em>numeric</em> is computed at the optimum found."
)
NOTICED = 1.0
"""Seconds from which on a solution is announced."""
METRICS = ("cos_majority", "cos_minority", "cos_cross", "norm_ratio", "self_duality")


def title() -> str:
    """The head of the page."""
    return f'<div class="ufm"><h1>ufm explore</h1><p>{LEAD}</p></div>'


def refused(sentence: str) -> str:
    """A refusal.

    Parameters
    ----------
    sentence : str
    """
    return f'<p class="refused" role="status">{escape(sentence)}</p>'


def waiting(view: View) -> str:
    """What is shown while a solution is computed that takes more than `NOTICED` seconds; empty for all others.

    Parameters
    ----------
    view : View
    """
    seconds, _ = attempt(lambda: seconds_for(view.settings.problem))
    if seconds is None or seconds < NOTICED:
        return ""
    return f'<div class="ufm"><p role="status">Solving, which takes about {about(seconds)}.</p></div>'


def optimum(view: View) -> str:
    """The certified optimum: numbers, and both Gram matrices.

    Parameters
    ----------
    view : View
    """
    solution, sentence = attempt(lambda: view.solution)
    if solution is None:
        return f'<div class="ufm">{refused(sentence)}</div>'
    counts, certificate, verdict = view.settings.counts, solution.certificate, view.report.collapse
    metrics = view.report.metrics
    rows = [
        ("value", f'<output id="value">{solution.value!r}</output> ({certificate.level})'),
        ("bounds", f"{certificate.lower!r} .. {certificate.upper!r} ({certificate.level})"),
        ("relative gap", f'<output id="gap">{certificate.relative_gap:.1e}</output> ({certificate.level})'),
        ("status", escape(solution.message)),
        ("smallest classes collapsed", f"{verdict.verdict} ({verdict.level}): {escape(verdict.reason)}"),
        *((name, f'<output id="{name}">{_number(metrics[name])}</output> (numeric)') for name in METRICS),
    ]
    table = "".join(f'<tr><th scope="row">{name}</th><td>{text}</td></tr>' for name, text in rows)
    sizes = f"{escape(str(counts))}: N = {counts.total} samples, R = {view.settings.at:.6g}"
    names = ("classifiers", "class means")
    grams = "".join(
        f"<div><h2>Cosines of {name}</h2>{gram_matrix(matrix, counts, f'Cosines of {name}')}</div>"
        for name, matrix in zip(names, view.grams, strict=True)
    )
    return (
        f'<div class="ufm panels"><div><h2>Optimum for {sizes}</h2><table>{table}</table></div>'
        f'<div><div class="grams">{grams}</div>{scale()}'
        '<p class="soft">Cosines at the optimum found (numeric), by class; class means of last-layer features, raw.</p>'
        "</div></div>"
    )


def diagrams(view: View, *, asked: bool, button: str) -> str:
    """The minority cosine against R and the phase diagram.

    Parameters
    ----------
    view : View
    asked : bool, whether to draw also what takes long
    button : str, HTML of the control that asks for it

    Returns
    -------
    str
        Empty where the problem refuses the settings.
    """
    if attempt(lambda: view.solution)[0] is None:
        return ""
    waits = ""
    if not (asked or (view.prompt and view.fluent)):
        what = "The phase diagram" if view.fluent else "The curve and the phase diagram"
        waits = f"<p>{what} of this head and loss: points are solved one by one, about {about(view.seconds)}: {button}</p>"
    curve = curve_panel(view) if asked or view.fluent else ""
    phase = phase_panel(view) if asked or view.prompt else ""
    return f'<div class="ufm panels"><div>{curve}{"" if phase else waits}</div><div>{phase}</div></div>'


def curve_panel(view: View) -> str:
    """The minority cosine against R, and what is known of the threshold.

    Parameters
    ----------
    view : View
    """
    found, sentence = attempt(lambda: view.curve)
    if found is None:
        return refused(sentence)
    limit = found.threshold
    if limit is None:
        told = refused(f"no threshold: {found.refusal}")
    else:
        note = f"; {escape(limit.note)}" if limit.note else ""
        who = {"both": "majority and minority each share", "all": "all classes share"}.get(limit.group, f"{limit.group} shares")
        told = (
            f'<p>From the ratio <output id="threshold">{limit.value!r}</output> on the {who} one classifier ({limit.level}: '
            f"between {limit.lower:.17g} and {limit.upper:.17g}{note}).</p>"
        )
    cosine = view.report.metrics["cos_minority"]
    blank = " No line: there is no cosine, as where minority classifiers are zero." if np.isnan(found.cosine).any() else ""
    made = f"each solved on its own, in {found.seconds:.1f} s for this decay or budget"
    if view.settings.closed:
        made = "from closed forms" + (
            f", budgets met to {CLOSE:.0e}" if isinstance(view.settings.regularizer, NormBudget) else ""
        )
    return (
        f"<h2>Minority cosine against R</h2>{cosine_curve(found, view.settings.at, cosine)}{told}"
        f'<p class="soft">{len(found.ratio)} {_kind(view)} {made}; largest relative gap {found.gap:.0e} (float). '
        f"Dot: this view. Dashed: threshold.{blank}</p>"
    )


def phase_panel(view: View) -> str:
    """The phase diagram with the view as a dot.

    Parameters
    ----------
    view : View
    """
    found, sentence = attempt(lambda: view.phase)
    if found is None:
        return f"<h2>Phase diagram</h2>{refused(sentence)}"
    side = "below" if found.below else "above"
    edge = f"Dashed: the first group of equal classes collapses; it is collapsed {side}. " if len(found.boundary) else ""
    grey = "Grey: minority classifiers are zero. " if np.isnan(found.cosine).any() else ""
    between = ", colours interpolated in the budget" if found.below and view.settings.closed else ""
    return (
        f'<h2>Phase diagram</h2><div class="diagram">{phase_diagram(found, view.settings.at, view.settings.strength)}</div>'
        f'{scale()}<p class="soft">Minority cosine over R and {found.label} of {_kind(view)}, largest relative gap '
        f"{found.gap:.0e} (float){between}. {edge}{grey}Dot: this view.</p>"
    )


def remedies(view: View) -> str:
    """The table of remedies.

    Parameters
    ----------
    view : View

    Returns
    -------
    str
        Empty where the problem refuses the settings.
    """
    if attempt(lambda: view.solution)[0] is None:
        return ""
    found, sentence = attempt(lambda: view.advice)
    if found is None:
        return f'<div class="ufm"><h2>Remedies</h2>{refused(sentence)}</div>'
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(words)}</td></tr>' for name, words in found.rows)
    level = found["none"].level
    return (
        f'<div class="ufm remedies"><h2>Remedies for these class sizes and decays, head {escape(found.head)}</h2>'
        f'<p class="soft">Who collapses, and from which decay on, is proved in closed form (rigorous); cosines are those of '
        f"certified optima (bounds: {level}; cosines: numeric).</p><table>{rows}</table></div>"
    )


def reproduced(view: View, *, asked: bool, files: str) -> str:
    """The command lines that compute what is shown, and the files of the view.

    Parameters
    ----------
    view : View
    asked : bool, whether what takes long is drawn
    files : str, HTML of the controls that download them

    Returns
    -------
    str
        Empty where the problem refuses the settings.
    """
    if attempt(lambda: view.solution)[0] is None:
        return ""
    lines = escape("\n".join(view.commands(asked=asked)))
    return (
        f'<div class="ufm"><h2>The same on the command line</h2><pre id="commands" tabindex="0">{lines}</pre>'
        '<h2>Take it along</h2><p class="soft">The figure, and the certificate, which '
        f"<code>ufm recheck certificate.json</code> proves again (rigorous).</p><div>{files}</div></div>"
    )


def _kind(view: View) -> str:
    """What the solutions of a view are."""
    return "certified optima" if view.fluent else "best found solutions"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.10g}"
