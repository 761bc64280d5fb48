"""The server of the page: on this machine alone, in this process, until it is interrupted."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from ufm.errors import InputError, brief

PAGE = Path(__file__).with_name("page.py")
GRACE = 1
"""Seconds that open pages are given when the server ends."""


def listening(host: str, port: int) -> socket.socket:
    """A socket that waits for browsers.

    Parameters
    ----------
    host : str, name or address of this machine
    port : int, 0 for any that is free

    Raises
    ------
    InputError
        The port is in use or reserved, or the host is not this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"--host {brief(host)} and --port {port} cannot be used: {reason}; give another --port, or 0 for any that is free"
        ) from None


def address(taken: socket.socket) -> str:
    """The address of the page; it follows the colours of the system.

    Parameters
    ----------
    taken : socket, as from `listening`
    """
    host, port = taken.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/?theme=system"


def run(host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page until this process is interrupted.

    Parameters
    ----------
    host : str, name or address of this machine
    port : int, 0 for any that is free
    ready : callable that is given the address of the page when browsers may come

    Raises
    ------
    InputError
        marimo is not installed, or the port cannot be used.
    """
    try:
        import marimo
        import uvicorn
    except ImportError as error:
        raise InputError(
            f'{error.name} is not installed, which the page needs; pip install -e ".[explore]" installs it'
        ) from None
    pages = marimo.create_asgi_app(quiet=True, session_ttl=0).with_app(path="", root=str(PAGE)).build()
    settings = uvicorn.Config(pages, log_level="warning", timeout_graceful_shutdown=GRACE)
    with listening(host, port) as taken:
        ready(address(taken))
        uvicorn.Server(settings).run(sockets=[taken])
