"""Help, versions and completion: every command and every option says what it is."""

import ast
import inspect
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
import typer

import ufm
import ufm.cli
from benchmarks.__main__ import app as benchmarks_app
from figures.__main__ import app as figures_app
from proofs_check.__main__ import app as proofs_app
from ufm.cli import outcome
from ufm.cli.commands import app
from ufm.cli.common import HEADS
from ufm.problem.text import HEADS as KINDS

APPS = {"ufm": app, "proofs_check": proofs_app, "figures": figures_app, "benchmarks": benchmarks_app}
ROOT = Path(__file__).parents[3]


def walked(words, command):
    """All commands below one, each with the words that call it."""
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walked((*words, name), below)


COMMANDS = [found for name, one in APPS.items() for found in walked((name,), typer.main.get_command(one))]


def named(words):
    return " ".join(words)


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[named(words) for words, _ in COMMANDS])
def test_every_command_and_option_has_a_sentence(words, command):
    texts = {"the command": command.help, **{p.name: getattr(p, "help", None) for p in command.params}}
    for name, text in texts.items():
        assert text, f"{named(words)}: {name} has no help"
        assert text[0].isupper(), f"{named(words)}: {name}: {text}"
        assert text.endswith("."), f"{named(words)}: {name}: {text}"
        assert "see the docs" not in text
        assert len(text.split()) > 2, f"{named(words)}: {name}: {text}"
    assert command.epilog
    assert "$ " in command.epilog or words == ("ufm",)


def parsed(line):
    """Read a command line as the command itself would, without running it."""
    words = shlex.split(line, comments=True)
    name, words = (words[2], words[3:]) if words[:2] == ["python", "-m"] else (words[0], words[1:])
    command = typer.main.get_command(APPS[name])
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    command.make_context(name, words)


LINES = [line.strip()[2:] for _, command in COMMANDS for line in (command.epilog or "").splitlines() if "$ " in line]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = [
    line
    for page in PAGES
    for line in re.findall(
        r"^\$ ((?:ufm|python -m (?:figures|proofs_check)) .*)$", page.read_text(encoding="utf-8"), re.MULTILINE
    )
]


@pytest.mark.parametrize("line", [*LINES, *SHOWN])
def test_examples_are_command_lines(line):
    parsed(line)


def test_pages_have_examples():
    assert len(SHOWN) > 15


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[named(words) for words, _ in COMMANDS])
def test_both_names_of_help(words, command, capsys):
    said = []
    for option in ("-h", "--help"):
        assert outcome(APPS[words[0]], words[0], [*words[1:], option]) == 0
        told = capsys.readouterr()
        assert told.err == ""
        said.append(told.out)
    assert said[0] == said[1]
    assert "-h, --help" in said[0]
    listed = said[0].partition("Commands:")[2]
    assert "..." not in listed  # the first sentences are not cut


@pytest.mark.parametrize("name", APPS)
def test_versions(name, capsys):
    assert outcome(APPS[name], name, ["--version"]) == 0
    told = capsys.readouterr()
    assert (told.out, told.err) == (f"{name} {ufm.__version__}\n", "")


def test_a_version_loads_no_heavy_library():
    heavy = ("scipy", "cvxpy", "sympy", "matplotlib", "flint", "sklearn")
    code = (
        "import sys; from ufm.cli import outcome; from ufm.cli.commands import app\n"
        f"print(outcome(app, 'ufm', ['--version']), [m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"ufm {ufm.__version__}\n0 []\n"


@pytest.mark.parametrize("words", [[], ["sweep"]])
def test_without_a_command_there_is_help(words, capsys):
    assert outcome(app, "ufm", words) == 0
    bare = capsys.readouterr()
    assert outcome(app, "ufm", [*words, "--help"]) == 0
    assert bare.out == capsys.readouterr().out
    assert bare.err == ""


def test_modules_are_called_as_commands():
    for module, typed in (("ufm", "ufm"), ("proofs_check", "python -m proofs_check"), ("figures", "python -m figures")):
        done = subprocess.run([sys.executable, "-m", module, "-h"], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.startswith(f"Usage: {typed} ")


def completed(words, number):
    environment = {**os.environ, "_UFM_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    done = subprocess.run([sys.executable, "-m", "ufm"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.split()


def test_shells_complete_commands_options_and_names():
    assert completed("ufm so", 1) == ["solve"]
    assert completed("ufm solve --coun", 2) == ["--counts", "--counts-file"]
    assert completed("ufm solve --level r", 3) == ["rigorous"]
    assert completed("ufm explain nc", 2) == ["nc0", "nc1", "nc2", "nc2_means", "nc3", "nc4"]
    assert {word.partition(":")[0] for word in HEADS} == {kind.spelling.kind for kind in KINDS if kind.spelling}


def test_completion_is_shown_and_installed_for_the_shell(tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for option, said in (("--show-completion", "_UFM_COMPLETE=complete_bash"), ("--install-completion", "bash completion")):
        words = [sys.executable, "-m", "ufm", option, "bash"]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    assert "ufm" in (tmp_path / ".bashrc").read_text()


def test_no_module_of_commands_defines_a_function_of_its_own_name():
    for info in iter_modules(ufm.cli.__path__, "ufm.cli."):
        functions = dict(inspect.getmembers(import_module(info.name), inspect.isfunction))
        assert info.name.rpartition(".")[2] not in functions


def test_hints_for_installing_work_from_a_clone():
    """In every text of the code: ``pip install`` is followed by the path of the clone and an extra that there is."""
    project = (ROOT / "pyproject.toml").read_text()
    found = []
    for folder in ("ufm", "proofs_check", "figures", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            texts = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
            found += [line for text in texts if isinstance(text, str) for line in re.findall(r"pip install.*", text)]
    assert len(found) >= 4
    for hint in found:
        match = re.match(r'pip install -e "\.\[(\w+)\]"', hint)
        assert match, hint
        assert re.search(rf"^{match[1]} = \[", project, re.MULTILINE)


@pytest.mark.parametrize("name", ["proofs_check", "figures"])
def test_lists_are_whole_where_stdout_is_no_terminal(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    assert outcome(APPS[name], name, ["--list"]) == 0
    said = capsys.readouterr().out
    assert "…" not in said
    assert any(len(line) > 80 for line in said.splitlines())
