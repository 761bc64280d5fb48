"""The site without a browser: links, headings, labels, contrast of colours, escaping, formulas, certificates."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import ufm
from proofs_check.bibliography import PAPERS
from proofs_check.enclosure import Enclosure, Finding, Outcome, equal, less
from proofs_check.site.markup import paragraphs, pieces, plain, typeset
from proofs_check.site.plot import margins

VOID = {"meta", "link", "input", "br", "line", "circle", "rect", "mspace", "path"}
CITED = {paper.url for paper in PAPERS.values() if paper.url}


class Page(HTMLParser):
    """What a test asks of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.headings, self.ids, self.tags, self.open = [], [], [], [], []
        self.unlabelled: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        assert not self.open, f"{path.name}: {self.open} not closed"

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append((tag, given))
        self.links += [given[name] for name in ("href", "src") if given.get(name) is not None]
        if given.get("id"):
            self.ids.append(given["id"])
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag in ("input", "select") and "label" not in self.open:
            self.unlabelled.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in ("p", "li", "dt", "dd") and self.open[-1] != tag:
            raise AssertionError(f"</{tag}> closes {self.open[-1]}")
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="session")
def pages(site) -> dict[str, Page]:
    return {path.name: Page(path) for path in sorted(site.glob("*.html"))}


def test_there_is_a_page_for_everything(site, verdicts, pages):
    assert set(pages) == {"index.html", "audit.html", *(f"theorem-{v.theorem.id}.html" for v in verdicts)}
    assert {path.name for path in site.iterdir()} - set(pages) == {
        "bibliography.bib", "certificates", "style.css", "filter.js", "icon.svg",
    }  # fmt: skip


def test_every_link_resolves_and_nothing_is_loaded_from_elsewhere(site, pages):
    """Links to addresses are citations; everything that a page loads is a file of the site."""
    for name, page in pages.items():
        for tag, given in page.tags:
            for attribute in ("href", "src"):
                target = given.get(attribute)
                if target is None:
                    continue
                parts = urlsplit(target)
                if parts.scheme:
                    assert tag == "a", (name, target)
                    assert target in CITED, (name, target)
                    continue
                file = site / unquote(parts.path) if parts.path else site / name
                assert file.is_file(), (name, target)
                if parts.fragment:
                    assert parts.fragment in pages[file.name].ids
    for asset in ("style.css", "filter.js"):
        assert not re.search(r"https?:|@import|url\(", (site / asset).read_text(encoding="utf-8"))


def test_pages_are_accessible_as_far_as_markup_tells(pages):
    for name, page in pages.items():
        assert page.headings[0] == 1
        assert page.headings.count(1) == 1, name
        assert all(b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False)), name
        assert len(set(page.ids)) == len(page.ids)
        assert not page.unlabelled
        tags = dict(page.tags)
        assert tags["html"]["lang"] == "en"
        assert page.text.count("<title>") >= 1
        assert any(given.get("name") == "viewport" for tag, given in page.tags if tag == "meta")
        assert any(given.get("class") == "skip" and given["href"] == "#main" for tag, given in page.tags if tag == "a")
        for tag, given in page.tags:
            if tag == "svg":
                assert given["aria-label"]
            if given.get("class") == "scroll":
                assert given["tabindex"] == "0"
                assert given["aria-label"]
            if tag == "th":
                assert given.get("scope") in ("row", "col")


def test_statements_and_steps_are_formulas(pages, verdicts):
    for verdict in verdicts:
        text = pages[f"theorem-{verdict.theorem.id}.html"].text
        assert text.count("<math") >= verdict.theorem.statement().count("$") // 2
        assert "$" not in re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL)
        assert "\\l" not in re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL)
        assert "<svg" in text
        assert f"Proof: {verdict.theorem.proof().value}" in text
        for hypothesis in verdict.theorem.hypotheses:
            assert typeset(hypothesis.text) in text


def test_what_does_not_hold_is_said(pages):
    for name, outcome in (("theorem-Y.html", "violated"), ("theorem-Z2.html", "inconclusive")):
        assert "What kept it from holding" in pages[name].text
        assert f'badge {outcome}"' in pages[name].text
        assert "not confirmed" in pages[name].text
        assert "alert('x')</script>" not in pages[name].text
        assert "&lt;script&gt;" in pages[name].text
    assert "What kept it from holding" not in pages["theorem-F1.html"].text


def test_certificates_are_accepted_by_the_verifier(site, verdicts, pages):
    kept = [e for v in verdicts for e in v.evidence]
    assert kept
    for evidence in kept:
        path = site / "certificates" / evidence.name
        found = ufm.recheck(path)
        assert found.accepted
        assert found.lower <= evidence.upper
        assert evidence.lower <= found.upper
        assert f'href="certificates/{evidence.name}"' in pages[f"theorem-{evidence.name.split('-')[0]}.html"].text
    assert "ufm recheck certificates/F1-001.json" in pages["theorem-F1.html"].text


def test_rows_carry_what_is_filtered(pages, verdicts):
    rows = [given for tag, given in pages["index.html"].tags if tag == "tr" and "data-paper" in given]
    assert len(rows) == len(verdicts)
    options = {tag: [] for tag in ("paper", "level", "verdict", "proof")}
    for row, verdict in zip(rows, verdicts, strict=True):
        assert row["data-verdict"] == verdict.outcome.value
        assert row["data-proof"] == verdict.theorem.proof().value
        assert verdict.theorem.title.lower() in row["data-words"]
        for name in options:
            assert f"<option>{row[f'data-{name}'].replace('&', '&amp;')}</option>" in pages["index.html"].text


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The ratio of the Web Content Accessibility Guidelines, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_the_guidelines():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_colours_have_enough_contrast_in_both_schemes(site):
    """4.5 for text on every ground that it stands on, in light and in dark."""
    style = (site / "style.css").read_text(encoding="utf-8")
    light, dark = re.split(r"@media \(prefers-color-scheme: dark\)", style)
    schemes = []
    for part in (light, dark[: dark.index("* { box-sizing")]):
        schemes.append(dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part)))
    assert set(schemes[0]) == set(schemes[1])
    for colours in schemes:
        for text in ("text", "soft", "link", "violated"):
            assert contrast(colours[text], colours["ground"]) >= 4.5
        for text in ("text", "soft", "link"):
            assert contrast(colours[text], colours["panel"]) >= 4.5
        for name in ("holds", "violated", "inconclusive"):
            assert contrast(colours[name], colours[f"{name}-ground"]) >= 4.5
            assert contrast(colours[name], colours["ground"]) >= 3  # dots of plots
    assert len(re.findall(r"#[0-9a-f]{3,8}\b", style)) == sum(map(len, schemes)), "colours outside of the palette"


def test_typesetting():
    assert typeset("a & b") == "a &amp; b"
    assert typeset("``x < 1`` and `f`") == "<code>x &lt; 1</code> and <code>f</code>"
    assert typeset("*not* so") == "<em>not</em> so"
    assert "<math" in typeset("$a$ is $b < c$")
    assert "&#x0003C;" in typeset("$b < c$")
    assert plain("`a` and $x^2$") == "a and x^2"
    assert paragraphs(["1. one\n2. two\n   more", "text"]) == "<ol><li>one</li><li>two more</li></ol>\n<p>text</p>"


def test_long_formulas_break_outside_of_brackets_only():
    latex = r"\log\left(1 + (K-1)\, e^{-a}\right) + \sqrt{n + m}\, \mu (K - 1)\, a = b_{i + j}"
    cut = pieces(latex)
    assert cut == [r"\log\left(1 + (K-1)\, e^{-a}\right)", r"+ \sqrt{n + m}\, \mu (K - 1)\, a", "= b_{i + j}"]
    assert " ".join(cut) == latex
    assert pieces("a + b") == ["a + b"]


def test_plots_place_margins_on_a_logarithmic_axis():
    near, far = Enclosure(1.0, 1.0 + 1e-12), Enclosure(2.0, 2.0)
    good = equal("x, Point(a=1)", near, near, tolerance=1e-9, level="float")
    slack = less("y", near, far, level="float")
    picture = margins((good, slack))
    assert picture.count("<circle") == 2
    assert picture.count("<svg") == 2
    assert "x, a = 1" in picture
    places = [float(x) for x in re.findall(r'cx="([\d.]+)"', picture)]
    assert places[0] < places[1]
    assert margins(()) == ""
    zero = Finding("z", Outcome.HOLDS, 0.0, "float", equality=False)
    huge = Finding("z", Outcome.HOLDS, float("inf"), "float")
    assert margins((zero, huge)).count("<circle") == 2
