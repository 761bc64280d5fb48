"""The site in headless Chromium: no error on the console, links, filter, widths, colour schemes, and the rules of axe-core.

Where there is no Chromium these tests are skipped with the reason; with UFM_REQUIRE_BROWSER=1, as in .ci/run, they fail.
"""

from __future__ import annotations

from pathlib import Path

import pytest

WIDTHS, SCHEMES = (1280, 400), ("light", "dark")


@pytest.fixture(scope="module")
def window(browser):
    """One page for all tests, which cannot reach a network, and what its console says."""
    context = browser.new_context(offline=True)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(f"{request.url} {request.failure}"))
    yield page, said
    context.close()


@pytest.fixture
def opened(window, site):
    """A function that opens a page of the site at a width and in a colour scheme."""
    page, said = window
    said.clear()

    def open_page(name, width=1280, scheme="light"):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.goto("about:blank")
        page.goto((site / name).as_uri())
        return page

    yield open_page
    # A page that is left before all is loaded takes back its requests.
    assert not [line for line in said if "ERR_ABORTED" not in line]


def all_pages(site: Path) -> list[str]:
    return sorted(path.name for path in site.glob("*.html"))


def test_pages_fit_every_width_in_both_schemes_without_a_word_on_the_console(opened, site):
    for name in all_pages(site):
        page = opened(name)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
            assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def test_every_link_of_the_site_opens(opened, site):
    page = opened("index.html")
    seen, waiting = set(), ["index.html"]
    while waiting:
        name = waiting.pop()
        if name in seen or not name.endswith(".html"):
            continue
        seen.add(name)
        page.goto((site / name).as_uri())
        assert page.locator("h1").count() == 1
        links = page.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
        waiting += [link.partition("#")[0] for link in links if not link.startswith("http") and link.partition("#")[0]]
    assert seen == set(all_pages(site))


SHOWN = "r => [...r].filter(r => !r.hidden).map(r => r.querySelector('.id').textContent)"


def visible(page) -> list[str]:
    return page.locator("#theorems tbody tr").evaluate_all(SHOWN)


def test_the_overview_filters_and_searches(opened):
    page = opened("index.html")
    assert visible(page) == ["F1", "F3", "D2", "X4", "Y", "Z2"]
    page.get_by_label("Paper").select_option("Fang et al. 2021")
    assert visible(page) == ["F1", "F3"]
    page.get_by_label("Proof").select_option("none")
    assert visible(page) == ["F3"]
    assert page.locator("#count").inner_text() == "1 of 6 theorems"
    page.get_by_role("button", name="Clear").click()
    page.wait_for_function("document.getElementById('count').textContent === '6 theorems'")
    page.get_by_label("Search").fill("TOKENS closed")
    assert visible(page) == ["X4"]
    page.get_by_label("Search").fill("")
    page.get_by_label("Verdict").select_option("violated")
    assert visible(page) == ["Y"]
    page.reload()
    assert visible(page) == ["Y"]  # the choice is in the address


def test_the_keyboard_reaches_the_theorems(opened):
    page = opened("index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(40):
        page.keyboard.press("Tab")
        if (page.evaluate("document.activeElement.getAttribute('href')") or "").startswith("theorem-"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/theorem-F1.html")
    assert page.locator("math").count() > 3


def test_rules_of_accessibility(opened, site):
    """axe-core finds no violation: contrast, headings, names, landmarks, scrolling by keyboard."""
    import axe_core_python

    script = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    looked_at = [(name, 1280, "light") for name in ("index.html", "audit.html", "theorem-F3.html", "theorem-Y.html")]
    looked_at += [(name, 400, "dark") for name in ("index.html", "theorem-F3.html")]
    for name, width, scheme in looked_at:
        page = opened(name, width, scheme)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        page.evaluate(script)
        found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
        told = [(v["id"], [n["html"][:200] for n in v["nodes"][:3]]) for v in found]
        assert not told, (name, width)
