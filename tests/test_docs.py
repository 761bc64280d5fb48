"""Every docstring example and every block of the pages runs and prints what is shown; public names are documented."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
import typer

import figures
import proofs_check
import ufm
from proofs_check.registry import all_theorems
from proofs_check.site.markup import typeset
from proofs_check.site.stated import Told, page
from tests import built_site
from tests.pages import APPS, mismatch, run_page

MODULES = sorted(
    info.name
    for package in (ufm, proofs_check, figures)
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if not info.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    # Attributes of the package may hide modules of the same name (ufm.solve, ufm.geometry), so ask for the module itself.
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for attribute, value in vars(module).items():
        mine = getattr(value, "__module__", None) == name and (inspect.isclass(value) or inspect.isfunction(value))
        if mine and not attribute.startswith("_"):
            assert value.__doc__, f"{name}.{attribute}"


ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/recipes.md"])
def test_python_blocks_run_as_pasted(page, tmp_path, monkeypatch):
    """One after the other in one session, in a folder of their own."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert blocks
    monkeypatch.chdir(tmp_path)
    session: dict = {"__name__": "pasted"}
    monkeypatch.setitem(__import__("sys").modules, "pasted", type("Pasted", (), {"__dict__": session})())
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{page}, block {number}", "exec"), session)


ELSEWHERE = {"CONTRIBUTING.md", "docs/recipes.md", "docs/conjectures.md", "docs/mutation-testing.md"}
"""Pages whose blocks are run above, or by tests of their subject; the last has commands that take hours."""
TEXTS = ["README.md", *sorted(page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md"))]
SHOWN = [page for page in TEXTS if page not in ELSEWHERE and not page.startswith(("docs/theory/", "docs/reference/"))]


@pytest.fixture
def session(monkeypatch):
    """Names of a page's Python blocks; classes that a page defines find their module."""
    names: dict = {"__name__": "pasted"}
    monkeypatch.setitem(__import__("sys").modules, "pasted", type("Pasted", (), {"__dict__": names})())
    return names


@pytest.mark.parametrize("page", SHOWN)
def test_pages_print_what_they_show(page, session, tmp_path, monkeypatch):
    """Python, commands and files of a page, in a folder of their own; `tests.pages` says how they are compared."""
    monkeypatch.chdir(tmp_path)
    ran = run_page(ROOT / page, session, also=frozenset({"sh"}))
    assert ran or "```" not in re.sub(r"```(?:math|\{).*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def test_a_wrong_page_is_noticed(session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    for block in ("```python\nprint(1.001)\n```\n\n```text\n1\n```\n", "```console\n$ ufm explain nc1\nnc2\n...\n```\n"):
        page.write_text(block, encoding="utf-8")
        with pytest.raises(AssertionError, match="shown is"):
            run_page(page, session)
    page.write_text("```fortran\nEND\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="not run"):
        run_page(page, session)
    page.write_text("```console\n$ ufm solve --counts 0 --decay 1,1\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="ended with 2"):
        run_page(page, session)


def test_how_output_is_compared():
    printed = "a 1.00000001\n┌──┐\n│ b │ 2 │\n└──┘\nc\n"
    for shown in ("a 1\nb 2\nc", "...\nb ...\n...", "a 1\n...\nc\n", "a 1\n..."):
        assert not mismatch(shown, printed), shown
    for shown in ("a 1\nc", "a 1.001\n...", "b 2\n...", "a 1\nb 2", "...\nc\na 1", "...\nd\n...", "...\nb\n..."):
        assert mismatch(shown, printed), shown


@pytest.mark.parametrize("page", ["README.md", "docs/start.md"])
def test_installation_is_that_of_the_clean_check(page):
    """What shell blocks install and run is what `.ci/run` does in fresh environments."""
    clean = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    text = "".join(re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE))
    found = re.findall(r"pip install (-e \S+)|python (-m (?!venv)[^#\n]+)", text)
    assert found
    for installed, ran in found:
        command = (installed or ran).strip()
        assert re.search(re.escape(command).replace("out/docs", r"\S+") + r"\s*$", clean, flags=re.MULTILINE), command


def unsaid(text):
    """Extras that the Python blocks of a page need, and that the page does not tell how to install."""
    needs = {"sklearn": "digits", "distributed": "dask", "pandas": "table", "pyarrow": "table"}
    code = "".join(re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE))
    imported = re.findall(r"^ *(?:import|from) (\w+)", code, flags=re.MULTILINE)
    return sorted({needs[name] for name in imported if name in needs and f'".[{needs[name]}]"' not in text})


@pytest.mark.parametrize("page", TEXTS)
def test_pages_name_the_extras_that_their_blocks_need(page):
    assert unsaid((ROOT / page).read_text(encoding="utf-8")) == []


def test_an_extra_that_a_page_does_not_name_is_noticed():
    block = "```python\nfrom sklearn.datasets import load_digits\nimport numpy\n```\n"
    assert unsaid(block) == ["digits"]
    assert unsaid('pip install -e ".[table]"\n' + block) == ["digits"]
    assert unsaid('pip install -e ".[digits]"\n' + block) == []


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_to_files(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?:|#", link)]
    missing = [link for link in links if not ((ROOT / page).parent / link.partition("#")[0]).is_file()]
    assert not missing


def option_names(command):
    """Options of a command and of the commands in it."""
    found = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return found.union(*(option_names(inner) for inner in getattr(command, "commands", {}).values()))


OPTIONS = set().union(*(option_names(typer.main.get_command(app)) for app in APPS.values()))
FOREIGN = {"--keep-going"} | {"--files", "--tests", "--keep"}
"""Options of Sphinx, and of `python -m tests.mutation`."""


def importable(name):
    """Whether a dotted name is a module, or something in one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def absent(text):
    """Files, dotted names and options that a page names outside of its blocks and that do not exist."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    ours = "ufm|proofs_check|figures|benchmarks|tests"
    files = re.findall(rf"(?<![\w/])((?:{ours}|docs|\.ci)/[\w./-]*[\w/])", text)
    found = [name for name in files if not (ROOT / name).exists()]
    found += [name for name in re.findall(rf"`((?:{ours})(?:\.\w+)+)", text) if not importable(name)]
    return found + [name for name in re.findall(r"(?<![\w-])(--[a-z][\w-]*)", text) if name not in OPTIONS | FOREIGN]


@pytest.mark.parametrize("page", TEXTS)
def test_pages_name_files_names_and_options_that_exist(page):
    assert absent((ROOT / page).read_text(encoding="utf-8")) == []


def test_what_a_page_names_and_does_not_exist_is_noticed():
    assert (
        absent("`ufm/cli/solve.py`, `ufm.solve`, `ufm.analysis.advice`, `ufm solve --counts`, docs/book.md, `docs/theory/`")
        == []
    )
    wrong = "`ufm/cli/none.py`, `ufm.none`, `ufm.analysis.advice.none`, `ufm solve --none`, docs/none.md"
    assert absent(wrong) == ["ufm/cli/none.py", "docs/none.md", "ufm.none", "ufm.analysis.advice.none", "--none"]


def test_the_reference_has_every_public_name():
    """Each name of `ufm.__all__` that is no module stands on one page of docs/reference."""
    text = "".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "reference").glob("*.md")))
    named = re.findall(r"^\.\. auto(?:function|class|exception|module):: ufm\.(\w+)$", text, flags=re.MULTILINE)
    assert len(named) == len(set(named))
    assert {name for name in ufm.__all__ if not inspect.ismodule(getattr(ufm, name))} <= set(named)
    for name in named:
        assert getattr(ufm, name).__doc__


def test_recipes_of_other_frameworks_are_python():
    """They are not run, because their frameworks are no dependencies, but they compile."""
    blocks = re.findall(
        r"^```text\n(.*?)^```", (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    assert len(blocks) == 5
    for number, block in enumerate(blocks, 1):
        compile(block, f"recipes, block {number}", "exec")


PAGES = sorted((ROOT / "docs" / "theory").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_theory_names_code_that_exists(page):
    """Paths in docs/theory are files, and the names in brackets after them stand in these files."""
    text = page.read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:ufm|proofs_check)/[^`]*)`", text))
    missing = [path for path in paths if not (ROOT / path).is_file()]
    for path, names in re.findall(r"`((?:ufm|proofs_check)/[^`]*\.py)` \(((?:`[^`]*`(?:, )?)+)", text):
        code = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else ""
        parts = [part for name in re.findall(r"`([^`]*)`", names) for part in name.split(".")]
        missing += [f"{path}: {part}" for part in parts if not re.search(rf"\b(def|class) {part}\b|\b{part}\b.* = ", code)]
    assert not missing


def test_cited_propositions_exist():
    """Every "Proposition x.y" in the code (also in lists, as in "Propositions 1.2 and 1.3") has an anchor in docs/theory."""
    anchors = {a for page in PAGES for a in re.findall(r'<a id="prop-(\d+-\d+)"></a>', page.read_text(encoding="utf-8"))}
    assert anchors
    number = r"\d+\.\d+"
    missing = []
    for folder in ("ufm", "proofs_check", "figures", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            words = " ".join(path.read_text(encoding="utf-8").replace("#", " ").split())
            for cited in re.findall(
                rf"(?:Propositions?|docs/theory, Lemma) ({number}(?:(?:, | and |, and | to ){number})*)", words
            ):
                numbers = re.findall(number, cited)
                missing += [f"{path.name}: {n}" for n in numbers if n.replace(".", "-") not in anchors]
    assert not missing


BOOK = all_theorems()
NOTHING = Told((), (), (), ())


@pytest.mark.parametrize("name", BOOK)
def test_every_theorem_has_a_page_of_all_its_parts(name):
    """Of the site; `python -m tests.built_site` says the same of pages that were built."""
    assert not built_site.lacking(page(BOOK[name], NOTHING), BOOK[name])


def test_a_page_that_lacks_a_part_is_noticed():
    theorem = BOOK["F1"]
    good = page(theorem, NOTHING)
    assert built_site.lacking("", theorem) == [
        "identifier and title", "statement with a formula", "hypotheses", "source with its locator", "BibTeX key",
        "strength of the proof", "what is left to argument", "limits, controls and twins", "how to check it",
    ]  # fmt: skip
    wordy = re.sub(r"<math.*?</math>", "x", good)
    assert built_site.lacking(wordy, theorem) == ["statement with a formula", "hypotheses"]
    for part, text in (
        ("source with its locator", "(locator unknown)"),
        ("hypotheses", f"<li>{typeset(theorem.hypotheses[1].text)}</li>"),
        ("how to check it", "python -m proofs_check F1"),
    ):
        assert good.count(text) == 1
        assert built_site.lacking(good.replace(text, ""), theorem) == [part]
    bare = type("Bare", (theorem,), {"hypotheses": (), "__doc__": "Words only."})
    assert built_site.lacking(page(bare, NOTHING), bare) == ["statement with a formula", "hypotheses"]


def test_pages_of_theorems_name_what_only_the_theorem_knows():
    """Steps, limits, wrong versions and twins in the order of the page."""
    told = Told.of(BOOK["H3"])
    assert all(told)
    assert all(sure for _, sure in told.steps)
    made = page(BOOK["H3"], told)
    places = [made.index(typeset(text)) for text in (told.steps[0][0], told.limits[0], told.controls[0], told.twins[0])]
    assert places == sorted(places)
    assert "Over continuous ranges" in made
    assert "not confirmed" not in made
    assert "not confirmed" in page(BOOK["H3"], told._replace(steps=(("a step", False),)))


def test_broken_links_of_a_built_site_are_noticed(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.html").write_text('<a href="inner/b.html#there">b</a> <a href="https://c.d">c</a>', encoding="utf-8")
    (tmp_path / "inner" / "b.html").write_text('<h1 id="there">b</h1><a href="../a.html">a</a>', encoding="utf-8")
    assert built_site.broken(tmp_path) == []
    (tmp_path / "c.html").write_text(
        '<a href="b.html">b</a><a href="inner/b.html#here">b</a><a href="#x">c</a>', encoding="utf-8"
    )
    assert built_site.broken(tmp_path) == ["c.html: b.html", "c.html: inner/b.html#here", "c.html: #x"]
    wrong = built_site.main(tmp_path)
    assert all(f"theorem {name}: no hypotheses" in wrong for name in BOOK)
    assert all(f"theorem {name}: not found by the search" in wrong for name in BOOK)


def words_of(page):
    """The text of a page in one line."""
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


def test_counts_of_settings_are_those_of_the_comparison():
    """Findings and the tutorial sum up docs/deq-against-explicit.md, which `ufm compare` wrote."""
    said = r": the DEQ is better in (\d+) of (\d+) settings, the explicit network in (\d+), undecided in (\d+)\."
    sums = {}
    for name in ("test accuracy (all classes)", "NC1 (less variability)", "training objective above the certified bound"):
        found = re.findall(re.escape(name) + said, words_of("docs/deq-against-explicit.md"))
        assert len(found) == 2  # mixture and digits
        sums[name[:4]] = [sum(map(int, column)) for column in zip(*found, strict=True)]
    (deq, settings, explicit, undecided), (_, _, less, _), (_, _, lower, _) = sums.values()
    assert lower == settings
    text = f"test accuracy is undecided in {undecided}"
    assert f"lower training objective in all {lower} settings, and {text}." in words_of("docs/tutorials/deq.md")
    findings = words_of("docs/findings.md")
    assert f"{settings} settings): the explicit network has the lower training objective in all {lower}" in findings
    assert (
        f"less variability (NC1) in {less}; {text}, better for the DEQ in {deq} and for the explicit network in {explicit}."
        in findings
    )


def test_counts_of_networks_are_those_of_the_table():
    first = (ROOT / "docs" / "predictions.md").read_text(encoding="utf-8").partition("## Features of a fixed norm")[0]
    networks = len(re.findall(r"^\| (?:explicit|deq) \|", first, flags=re.MULTILINE))
    assert f"in all {networks} networks" in words_of("docs/predictions.md")
    assert f"How near {networks} networks come" in words_of("docs/tutorials/network.md")
