"""The command and its server: one sentence where it cannot run, and cells that run without a browser."""

import socket
import sys
import warnings

import pytest

import ufm
from ufm.cli import outcome
from ufm.cli.commands import app
from ufm.explore.server import PAGE, address, listening


def said(capsys, *words):
    """Exit code of the command, and what it says on stderr; stdout must be empty."""
    code = outcome(app, "ufm", ["explore", "--no-browser", *words])
    told = capsys.readouterr()
    assert told.out == ""
    return code, told.err


def test_without_marimo_there_is_a_remedy(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "marimo", None)
    code, told = said(capsys, "--port", "0")
    assert code == 2
    assert told == 'ufm: marimo is not installed, which the page needs; pip install -e ".[explore]" installs it\n'


def test_a_port_in_use_and_a_host_elsewhere(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, told = said(capsys, "--port", port)
    assert code == 2
    assert told.startswith(f"ufm: --host '127.0.0.1' and --port {port} cannot be used: ")
    assert told.count("\n") == 1
    # An address that is reserved for documentation, so that no machine has it (RFC 5737).
    code, told = said(capsys, "--host", "192.0.2.1", "--port", "0")
    assert (code, told.count("\n")) == (2, 1)
    assert "cannot be used" in told
    code, told = said(capsys, "--port", "70000")
    assert code == 2


def test_the_address_is_that_of_the_socket():
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert address(taken) == f"http://127.0.0.1:{port}/?theme=system"
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        with pytest.raises(ufm.InputError, match="another --port"):
            listening("127.0.0.1", port)


def test_the_cells_of_the_page_run_as_a_script():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from ufm.explore import page

        _, names = page.app.run()
    expected = ufm.solve(ufm.Problem("500*5,100*5", regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3)))
    assert names["view"].solution.value == expected.value
    assert PAGE.name == "page.py"
    assert PAGE.with_name("page.css").is_file()
