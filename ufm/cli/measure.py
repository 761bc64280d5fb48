"""The command ``ufm measure``, for the last layer of a user's network in an ``.npz`` file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ufm.cli.common import Json, app, choices, examples, numbers, print_json, solving, table
from ufm.errors import InputError, brief


@app.command(
    "measure",
    epilog=examples("ufm measure runs/deq/run.npz", "ufm measure network.npz --predict --decay 1e-2,1e-4 --json"),
)
def measure_command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="An .npz with the arrays features (N, d), labels (N,) in 0 .. K-1 and, if there are any, weight (K, d) and "
            "bias (K,).",
        ),
    ],
    convention: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=choices("zhu", "hong-ling"),
            help="Between-class covariance of NC1: zhu (every class counts the same) or hong-ling (by class size).",
        ),
    ] = "zhu",
    predict: Annotated[
        bool, typer.Option("--predict", help="Compare with the certified optimum for the same class sizes. Needs --decay.")
    ] = False,
    decay: Annotated[
        str | None,
        typer.Option(
            metavar="LW,LH[,LB]",
            help="Decay that the network was trained with, on classifier, features and bias. Half convention beside the mean "
            "loss, features per sample, as in ufm solve. Needs --predict.",
        ),
    ] = None,
    relu: Annotated[bool, typer.Option("--relu", help="Predict for features >= 0, as they are after a ReLU.")] = False,
    as_json: Json = False,
) -> None:
    """Measure the neural collapse of a network's last layer.

    Prints NC1 to NC4, cosines and norm ratios of your own features and classifier; with --predict also the distance of their
    Gram matrices to those of the certified optimum. The command 'ufm explain' says what each metric means.
    """
    import numpy as np

    import ufm
    from ufm.training.archive import read_arrays

    if predict != (decay is not None):
        raise InputError("--predict and --decay LW,LH go together; give both or neither")
    arrays, _ = read_arrays(Path(run))
    missing = [name for name in ("features", "labels") if name not in arrays]
    if missing:
        raise InputError(f"{brief(run)} has no array {missing[0]!r}; save features (N, d), labels (N,) and weight (K, d)")
    weight, bias = arrays.get("weight"), arrays.get("bias")
    found = ufm.measure(arrays["features"], arrays["labels"], weight=weight, bias=bias, convention=convention)
    answer: dict[str, object] = {name: value if np.isfinite(value) else None for name, value in found.items()}
    if predict and decay is not None:
        if weight is None:
            raise InputError(f"{brief(run)} has no array 'weight'; a prediction is compared with a classifier (K, d)")
        decays = numbers("decay", decay, 2, 3)
        biased = bias is not None and bool(np.any(bias))
        if len(decays) == 3 and bias is None:
            raise InputError(f"--decay is {brief(decay)}, but {brief(run)} has no array 'bias'; leave LB out, or save the bias")
        counts = ufm.ClassCounts.of(np.bincount(arrays["labels"].astype(np.intp), minlength=len(weight)).tolist())
        head = ufm.ReLU() if relu else ufm.Explicit()
        regularizer = ufm.WeightDecay(decays[0], decays[1], decays[2] if len(decays) == 3 else None)
        problem = ufm.Problem(counts, regularizer=regularizer, head=head, dim=weight.shape[1])
        with solving(problem):
            theory = ufm.predict(problem)
        distance = theory.distance(arrays["features"], arrays["labels"], weight)
        answer |= {name: value if np.isfinite(value) else None for name, value in distance.items()}
        answer |= {"theory_value": theory.value, "theory_lower": theory.lower, "theory_collapsed": theory.collapsed}
        answer |= {f"theory_{name}": value for name, value in theory.metrics.items() if name in found}
        answer["theory_bias"] = "modelled" if len(decays) == 3 else "ignored" if biased else "none"
        if answer["theory_bias"] == "ignored":
            answer["note"] = (
                "the bias of the file is not in the prediction, whose model has none; give --decay LW,LH,LB to model it"
            )
    if as_json:
        print_json(answer)
        return
    rows = [(n, "undefined" if v is None else f"{v:.8g}" if isinstance(v, float) else str(v)) for n, v in answer.items()]
    table(f"{run}, NC1 in the convention {convention}", rows)
