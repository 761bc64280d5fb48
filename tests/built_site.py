"""``python -m tests.built_site out/docs``: links of the built documentation lead somewhere, and every theorem has its page."""

from __future__ import annotations

import re
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from proofs_check.registry import Proof, Theorem, all_theorems
from proofs_check.site.markup import typeset


class Page(HTMLParser):
    """Targets of links and names of anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        # A picture's parts in the page (`<use href="#svg-menu">`) are no links of a reader.
        self.links += [given[name] for name in ("href", "src") if given.get(name)]
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}


def broken(folder: Path) -> list[str]:
    """Links inside a site that lead nowhere, as "page: target"."""
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}
    assert pages, f"{folder} has no pages"
    found = []
    for path, page in pages.items():
        for target in page.links:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not file.is_file() or (anchor and file in pages and anchor not in pages[file].anchors):
                found.append(f"{path.relative_to(folder.resolve())}: {target}")
    return found


def lacking(html: str, theorem: type[Theorem]) -> list[str]:
    """What the page of a theorem does not say, of what every such page says."""
    text = re.sub(r"<a [^>]*>|</a>", "", html)
    source = theorem.source
    statement = re.search(r'<div class="statement">.*?</div>', text, flags=re.DOTALL)
    parts = {
        "identifier and title": f"<h1><span class=id>{theorem.id}</span> {escape(theorem.title)}</h1>" in text,
        "statement with a formula": statement is not None and "<math" in statement[0],
        "hypotheses": bool(theorem.hypotheses) and all(f"<li>{typeset(h.text)}</li>" in text for h in theorem.hypotheses),
        "source with its locator": bool(source.full)
        and f"{escape(source.full)}: {escape(source.subject)} ({escape(source.locator)})" in text,
        "BibTeX key": not source.key or f"<summary>{escape(source.key)}</summary>" in text,
        "strength of the proof": f"Proof: {theorem.proof().value}<" in text,
        "what is left to argument": (theorem.proof() is not Proof.PART) or typeset(theorem.open_steps) in text,
        "limits, controls and twins": all(f"<h2>{name}" in text for name in ("Limits", "Wrong versions", "Twins")),
        "how to check it": f"python -m proofs_check {theorem.id}<" in text,
    }
    return [name for name, there in parts.items() if not there]


def main(folder: Path) -> list[str]:
    """Everything that is wrong with a built site."""
    wrong = [f"broken link in {line}" for line in broken(folder)]
    index = folder / "searchindex.js"
    searched = index.read_text(encoding="utf-8") if index.is_file() else ""
    for name, theorem in all_theorems().items():
        page = folder / "theorems" / f"{name}.html"
        said = page.read_text(encoding="utf-8") if page.is_file() else ""
        wrong += [f"theorem {name}: no {part}" for part in lacking(said, theorem)]
        if f'"theorems/{name}"' not in searched:
            wrong.append(f"theorem {name}: not found by the search")
    return wrong


if __name__ == "__main__":
    lines = main(Path(sys.argv[1]))
    print("\n".join(lines) or "all links of the site lead somewhere, and every theorem has its page, which the search finds")
    sys.exit(bool(lines))
