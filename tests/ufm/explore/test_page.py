"""The page in headless Chromium: silent, local, as wide as its window, and with the numbers of the package at every move.

Where there is no Chromium these tests are skipped with the reason; with UFM_REQUIRE_BROWSER=1, as in .ci/run, they fail.
"""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer
from urllib.parse import urlsplit

import pytest

import ufm

WIDTHS, SCHEMES = (1280, 400), ("light", "dark")
PATIENCE = 60_000
"""Milliseconds for what a browser waits for; a test that passes needs a small part of it."""
START = 60.0
"""Seconds within which the server must say its address, and within which it must end."""
BEYOND = "w => [...document.querySelectorAll('.ufm, .ufm *')].filter(e => e.getBoundingClientRect().right > w + 1).length"
"""Parts of the page that are wider than the window."""
GUARDED = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        where = arguments[1] if event == "socket.connect" else arguments
        host = where[0] if isinstance(where, tuple) else where
        if not isinstance(host, str | bytes) or str(host) not in ("127.0.0.1", "::1", "localhost"):
            with open(sys.argv.pop(), "a") as told: print(event, where, file=told)
sys.addaudithook(watch)
sys.argv[:] = ["ufm", *sys.argv[1:]]
from ufm.cli import main
main()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The command in a process group of its own, and a file with the places outside of this machine that it asks for."""
    folder = tmp_path_factory.mktemp("home")
    outside = folder / "outside.txt"
    code = GUARDED.replace("sys.argv.pop()", repr(str(outside)))
    environment = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, "explore", "--no-browser", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=environment,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    watchdog = Timer(START, process.kill)
    watchdog.start()
    assert process.stdout is not None
    address = process.stdout.readline().strip()  # nothing, where the process has ended
    watchdog.cancel()
    assert address.startswith("http://127.0.0.1:"), address + process.stdout.read()
    assert process.stdout.readline() == "serving the page until Ctrl-C\n"
    yield process, address, outside
    if process.poll() is None:
        process.kill()
        process.wait(START)
    process.stdout.close()


@pytest.fixture
def page(browser, server):
    """The page at its first settings; at the end, its console and its requests are looked at."""
    _, address, _ = server
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    found, said, asked = context.new_page(), [], []
    found.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on("requestfailed", lambda request: said.append(f"{request.url} {request.failure}"))
    found.on("request", lambda request: asked.append(request.url))
    found.on("websocket", lambda line: asked.append(line.url))
    found.goto(address)
    found.locator("#commands").wait_for()
    yield found
    assert not said
    assert asked
    assert {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))} == {"127.0.0.1"}
    context.close()


def commands(page) -> list[str]:
    return page.locator("#commands").inner_text().splitlines()


def shown(page, name: str) -> float:
    return float(page.locator(f"#{name}").inner_text())


def after(page, act) -> list[str]:
    """The command lines when an act has changed them; they are the last thing to be shown."""
    before = page.locator("#commands").inner_text()
    act()
    page.wait_for_function("before => document.getElementById('commands')?.innerText !== before", arg=before)
    return commands(page)


def solved(line: str):
    """What `ufm.solve` returns for the options of a command line."""
    words = shlex.split(line)
    options = dict(zip(words[2::2], words[3::2], strict=True))
    name, make = ("--budget", ufm.NormBudget) if "--budget" in options else ("--decay", ufm.WeightDecay)
    numbers = [float(part) for part in options.get(name, "").split(",") if part]
    regularizer = make(*numbers) if len(numbers) == 2 else ufm.ClassifierDecay(*numbers)
    return ufm.solve(
        ufm.Problem(options["--counts"], regularizer=regularizer, loss=options["--loss"], head=options["--head"]),
        level=options["--level"],
    )


def agrees(page, line: str):
    """The numbers of the page are those of `ufm.solve` and `ufm.geometry`."""
    found = solved(line)
    assert shown(page, "value") == found.value
    assert shown(page, "gap") == pytest.approx(found.relative_gap, rel=0.1)
    metrics = ufm.geometry(found)
    assert shown(page, "cos_minority") == pytest.approx(metrics["cos_minority"], rel=1e-8)
    return found


def test_it_loads_in_every_width_and_scheme(page, server):
    grounds = set()
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.reload()
        page.locator("#commands").wait_for()
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(BEYOND, width) == 0
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
    assert page.locator("h1").inner_text() == "ufm explore"
    assert page.locator("svg[role=img]").count() == 6  # two matrices, curve, diagram, and the scale twice


def test_a_slider_moves_numbers_that_are_those_of_solve(page):
    first, threshold, advice = commands(page)
    assert first == "ufm solve --counts '500*5,100*5' --decay 0.0025,0.0025 --loss ce --head explicit --level float"
    start = agrees(page, first)
    assert shown(page, "threshold") == 7.0  # (1 / (sqrt(100) 0.0025) - 5) / 5, docs/theory, Proposition 7.2
    page.get_by_role("slider").nth(2).focus()
    moved = after(page, lambda: page.keyboard.press("ArrowRight"))
    assert moved[0] != first
    assert moved[1] == threshold  # which does not depend on the ratio
    assert moved[2] != advice
    assert agrees(page, moved[0]).value != start.value
    # The control has kept the keyboard.
    again = after(page, lambda: page.keyboard.press("ArrowLeft"))
    assert again[0] == first
    assert shown(page, "value") == start.value


def test_choices_change_the_problem(page):
    lines = after(page, lambda: page.get_by_label("regulariser").select_option("norm budgets"))
    assert "--budget 1.0,5.0" in lines[0]
    agrees(page, lines[0])
    assert shown(page, "threshold") == ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1.0, 5.0)).value
    lines = after(page, lambda: page.get_by_label("head", exact=True).select_option("deq:rho"))
    assert "--head deq:rho=0.3" in lines[0]
    agrees(page, lines[0])
    lines = after(page, lambda: page.get_by_label("head", exact=True).select_option("layernorm"))
    assert "--decay 0.0025 " in lines[0]
    agrees(page, lines[0])
    waiting = page.get_by_role("button", name="draw them")
    assert page.locator(".diagram").count() == 0
    waiting.click()
    page.locator(".diagram").wait_for()


def test_a_refusal_is_a_sentence(page):
    after(page, lambda: page.get_by_label("head", exact=True).select_option("relu"))
    page.get_by_label("loss", exact=True).select_option("mse")
    with pytest.raises(ufm.InputError) as refused:
        ufm.Problem("500*5,100*5", regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), head="relu", loss="mse")
    page.get_by_text(str(refused.value)).first.wait_for()
    page.locator("#commands").wait_for(state="detached")
    page.get_by_label("loss", exact=True).select_option("ce")
    page.locator("#commands").wait_for()
    agrees(page, commands(page)[0])


def test_rules_of_accessibility(page):
    """axe-core finds no violation in what this project draws: contrast, names, headings, scrolling by keyboard."""
    import axe_core_python

    script = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.reload()
        page.locator("#commands").wait_for()
        page.evaluate(script)
        found = page.evaluate("axe.run({ include: [['.ufm']] }, { resultTypes: ['violations', 'passes'] })")
        assert not [(v["id"], [n["html"][:200] for n in v["nodes"][:3]]) for v in found["violations"]], scheme
        assert len(found["passes"]) > 5


def test_files_are_downloaded(page, tmp_path):
    for name, start in (("certificate.json", b"{"), ("view.svg", b"<?xml"), ("view.pdf", b"%PDF-")):
        with page.expect_download() as waiting:
            page.locator(f"a[download='{name}']").click()
        assert waiting.value.suggested_filename == name
        waiting.value.save_as(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    assert ufm.recheck(tmp_path / "certificate.json").accepted


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are counted in /proc")
def test_ctrl_c_ends_it_while_a_page_is_open(browser, server):
    """The last test of this module: afterwards there is no server."""
    process, address, outside = server
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    page.locator("#commands").wait_for(timeout=PATIENCE)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=START)
    assert process.returncode == 130
    assert rest.splitlines() == ["ufm: interrupted"]
    left = [
        folder.name
        for folder in Path("/proc").glob("[0-9]*")
        if os.path.exists(folder / "stat") and os.getpgid(int(folder.name)) == process.pid
    ]
    assert not left
    assert not outside.exists(), outside.read_text()
    context.close()
