"""The command ``ufm explain``."""

from __future__ import annotations

from typing import Annotated

import typer

from ufm.cli.common import Json, app, examples, print_json, table
from ufm.errors import InputError


def _offered(incomplete: str) -> list[str]:
    from ufm.glossary import names

    return [name for name in names() if name.startswith(incomplete)]


@app.command("explain", epilog=examples("ufm explain", "ufm explain nc1", "ufm explain control: moved --json"))
def explain_command(
    term: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TERM",
            autocompletion=_offered,
            help="A metric, a row of a table, a key of the JSON, or a status. Without it all terms are listed.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Explain what a printed name means.

    One or two sentences with formula, range and source. The same glossary is in docs/glossary.md.
    """
    from ufm.glossary import GLOSSARY, explained

    if term is not None and term:
        if not " ".join(term).strip():
            raise InputError("TERM is empty; choose one of those that 'ufm explain' lists")
        found = explained(" ".join(term))
        if as_json:
            print_json({**found._asdict(), "also": list(found.also)})
            return
        rows = [(what, text) for what, text in found._asdict().items() if isinstance(text, str) and text and what != "name"]
        table(found.name, [*rows, *([("also", ", ".join(found.also))] if found.also else [])])
    elif as_json:
        print_json(
            {"terms": [{**t._asdict(), "also": list(t.also), "section": s} for s, terms in GLOSSARY.items() for t in terms]}
        )
    else:
        for section, terms in GLOSSARY.items():
            table(section, [(t.name, t.meaning) for t in terms])
