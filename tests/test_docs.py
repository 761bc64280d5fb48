"""Every docstring example and every Python block of README, CONTRIBUTING and recipes runs; public names are documented."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import figures
import proofs_check
import ufm

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


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/recipes.md"])
def test_python_blocks_run_as_pasted(page, tmp_path, monkeypatch):
    """One after the other in one session, in a folder of their own."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert blocks
    monkeypatch.chdir(tmp_path)
    session: dict = {"__name__": "pasted"}
    monkeypatch.setitem(__import__("sys").modules, "pasted", type("Pasted", (), {"__dict__": session})())
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{page}, block {number}", "exec"), session)


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
