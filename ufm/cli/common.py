"""Shared parts of the commands: the application, options with their help, parsing of numbers, progress, JSON and tables."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ufm.conventions import CONVENTIONS, from_convention
from ufm.errors import InputError, brief, sentence

if TYPE_CHECKING:
    from rich.console import Console

    from ufm.problem import ClassCounts, ClassifierDecay, NoDecay, NormBudget, Problem, WeightDecay
    from ufm.problem.heads import Head
    from ufm.targets import TargetTable

NOTICED = 1.0
"""Seconds after which a command that is still running says what it does."""
UNCUT = 2000
"""Width of tables, in characters, where stdout is not a terminal."""
CONTEXT = {"help_option_names": ["-h", "--help"]}
"""Settings of all command lines of this project: their help has both options."""


def application(*, completion: bool = False) -> typer.Typer:
    """A new command line with plain-text help under ``-h`` and ``--help``; ``completion`` adds completion for shells."""
    return typer.Typer(
        add_completion=completion, context_settings=CONTEXT, rich_markup_mode=None, pretty_exceptions_enable=False
    )


def examples(*lines: str) -> str:
    """The examples at the end of a help text, one command line each."""
    return "\n".join(("\b", "Example:" if len(lines) == 1 else "Examples:", *(f"  $ {line}" for line in lines)))


def choices(*words: str) -> Callable[[str], list[str]]:
    """A function that completes a partial word to those of these words that begin with it."""

    def offered(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return offered


def _print_version(context: typer.Context, asked: bool) -> None:
    if asked:
        from ufm import __version__

        name = (context.find_root().info_name or "ufm").removeprefix("python -m ")
        typer.echo(f"{name} {__version__}")
        raise typer.Exit


HEADS = (
    "explicit",
    "explicit:2",
    "deq:rho=",
    "deq:decay=",
    "deq:frobenius=",
    "relu",
    "etf",
    "etf:norm=",
    "etf:average",
    "layernorm",
    "layernorm:norm=",
    "cosine:scale=",
)

Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Print the name and the version, and stop."),
]
Decay = Annotated[
    str | None,
    typer.Option(
        metavar="LW,LH[,LB]",
        help="Weight decay LW on the classifier W, LH on the features, and LB on a bias (0 is a free bias; without LB there "
        "is no bias). Half convention beside the mean loss, features per sample: "
        "LW/2 |W|^2 + LH/2 (sum over all samples of |h|^2) + LB/2 |b|^2. Example: 2e-3,2e-3. The head layernorm takes LW "
        "alone.",
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        metavar="EW,EH",
        help="Norm budgets instead of --decay: |W|^2 / K is at most EW, and the mean over the K classes of the mean |h|^2 "
        "in a class is at most EH. Example: 1,5.",
    ),
]
HeadOption = Annotated[
    str,
    typer.Option(
        metavar="HEAD",
        autocompletion=choices(*HEADS),
        help="Architecture between features and logits. One of: explicit; explicit:L (L linear layers); "
        "deq:rho=R (linear equilibrium z = A z + h, spectral norm of A at most R < 1); deq:decay=LA,contraction=G "
        "(LA/2 |A|_F^2 added, spectral norm at most G < 1); deq:frobenius=E (|A|_F^2 at most E < 1); relu (features >= 0); "
        "etf[:norm=X,average] (classifier fixed to a simplex ETF with rows of squared norm X); layernorm[:norm=R] (features of "
        "norm R, which is 1 if left out, and a decayed classifier); cosine:scale=S (logits S cos(w, h), without --decay and "
        "--budget).",
    ),
]
Level = Annotated[
    str,
    typer.Option(
        metavar="LEVEL",
        autocompletion=choices("float", "rigorous"),
        help="Arithmetic of the bounds: float (float64 with rounding terms added) or rigorous (exact rationals and balls).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on stdout.")]
ConventionOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        autocompletion=choices(*CONVENTIONS),
        help="Convention of the numbers of --decay: mean-half, mean-full, sum-half, sum-full or fang. "
        "The command 'ufm explain convention' states them.",
    ),
]


app = application(completion=True)


def numbers(name: str, text: str, least: int, most: int) -> list[float]:
    """Parse numbers separated by commas.

    Parameters
    ----------
    name : str, of the option, for the message
    text : str, as it was given
    least, most : int, smallest and largest number of values

    Returns
    -------
    list of float

    Raises
    ------
    InputError
        Text that is no number, or too few or too many of them.
    """
    parts = text.split(",")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if not least <= len(values) <= most:
        shape = "a number" if most == 1 else f"{least} numbers" if least == most else f"{least} to {most} numbers"
        separated = "" if most == 1 else " separated by commas"
        raise InputError(f"--{name} has {brief(text)}; give {shape}{separated}")
    return values


def whole_pair(text: str) -> tuple[int, int]:
    """Parse two whole numbers KA,KB, of majority and of minority classes.

    Raises
    ------
    InputError
        Anything else.
    """
    parts = text.split(",")
    if len(parts) != 2 or not all(re.fullmatch(r"[0-9]{1,18}", part.strip()) for part in parts):
        raise InputError(f"--classes is {brief(text)}; give two whole numbers KA,KB such as 5,5")
    return int(parts[0]), int(parts[1])


def regularizer(
    decay: str | None,
    budget: str | None,
    convention: str,
    counts: ClassCounts | TargetTable | None,
    head: Head | None = None,
) -> WeightDecay | NormBudget | ClassifierDecay | NoDecay:
    """Weight decay or norm budgets from the options of a command.

    Parameters
    ----------
    decay : str or None, LW,LH or LW,LH,LB as numbers; LW alone for heads with features of a fixed norm
    budget : str or None, EW,EH as numbers
    convention : str, one of `ufm.conventions.CONVENTIONS`, for the decay
    counts : ClassCounts, TargetTable or None, on whose sizes some conventions depend
    head : Head or None, which the numbers are for; None for any with decayed features

    Returns
    -------
    WeightDecay, NormBudget, ClassifierDecay or NoDecay
        In the convention of this package: half of the decays beside the mean loss, features per sample.

    Raises
    ------
    InputError
        Both or neither of decay and budget, values that do not fit, an unknown convention, or one that does not apply.
    """
    from ufm.problem import ClassifierDecay, NoDecay, NormBudget

    normalised = head is not None and head.normalised
    if head is not None and head.undecayed:
        if decay is not None or budget is not None:
            raise InputError(
                f"head {head} takes neither --decay nor --budget: its classifiers and features have fixed norms; leave them out"
            )
        return NoDecay()
    if normalised and (decay is None or budget is not None):
        raise InputError(
            f"head {head} takes the decay of its classifier, --decay LW, and no --budget: its features have one norm"
        )
    if (decay is None) == (budget is None):
        raise InputError("give exactly one of --decay LW,LH[,LB] and --budget EW,EH")
    if budget is not None:
        if convention != "mean-half":
            raise InputError(f"--convention {brief(convention)} concerns --decay; budgets have one convention, so leave it out")
        return NormBudget(*numbers("budget", budget, 2, 2))
    assert decay is not None
    if convention not in CONVENTIONS:
        raise InputError(f"--convention is {brief(convention)}; choose one of {', '.join(CONVENTIONS)}")
    if counts is None and convention not in ("mean-half", "mean-full"):
        raise InputError(f"--convention {convention!r} depends on all class sizes, which vary with the ratio; use mean-half")
    if not normalised:
        return from_convention(convention, *numbers("decay", decay, 2, 3), counts=counts)
    found = numbers("decay", decay, 1, 3)
    if len(found) > 1:
        raise InputError(
            f"--decay has {brief(decay)}: under the head {head} features have one norm, so a decay of them has no effect; give "
            "--decay LW alone"
        )
    return ClassifierDecay(from_convention(convention, found[0], found[0], counts=counts).weight)


def solving(problem: Problem, method: str = "auto") -> AbstractContextManager[None]:
    """A context manager that says on stderr that a problem is being solved, see `working`.

    Raises
    ------
    InputError
        The solver would take more time or memory than a command allows.
    """
    from ufm.solvers.estimate import about, seconds_for

    seconds = seconds_for(problem, method)
    longer = f", which takes about {about(seconds)}" if seconds > 2 * NOTICED else ""
    what = f"a table of {problem.shape}" if problem.tabular else f"K={problem.counts.classes} classes"
    return working(f"solving for {what}, head {problem.head}, method {method}{longer}")


@contextmanager
def working(what: str) -> Generator[None, None, None]:
    """A context manager that says on stderr what is running, if it takes longer than `NOTICED`.

    On a terminal it shows a spinner with the elapsed time and removes them at the end; otherwise it writes one line.
    """
    began, finished = monotonic(), Event()

    def tell() -> None:
        if finished.wait(NOTICED) or sys.stderr is None:
            return
        with suppress(OSError, ValueError):  # a closed stderr must not make the command fail
            if sys.stderr.isatty():
                _spin(sentence(what), began, finished)
            else:
                print(sentence(what), file=sys.stderr, flush=True)

    thread = Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def _spin(what: str, began: float, finished: Event) -> None:
    """Show a spinner until ``finished`` is set."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, get_time=monotonic) as progress:
        task = progress.add_task(what, total=None)
        progress.tasks[task].start_time = began
        finished.wait()


def print_json(result: dict[str, Any]) -> None:
    """Print one JSON object on stdout."""
    print(json.dumps(result, allow_nan=False))


def console() -> Console:
    """The console of stdout: as wide as its terminal; `UNCUT` characters wide where stdout is a file or a pipe."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=UNCUT)


def table(title: str, rows: list[tuple[str, str]], *, header: tuple[str, str] | None = None) -> None:
    """Print a table of names and values on stdout, as wide as its terminal; longer names and values are wrapped.

    Parameters
    ----------
    title : str, printed in the line above
    rows : list of (name, value)
    header : (str, str) or None, headings of both columns
    """
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text(title, style="italic"), soft_wrap=True)
    table = Table(*(header or ("", "")), show_header=header is not None)
    for column, style in zip(table.columns, ("bold", ""), strict=True):
        column.overflow, column.style = "fold", style
    for name, value in rows:
        table.add_row(Text(name), Text(value))  # not as markup, which names of files may look like
    out.print(table)
