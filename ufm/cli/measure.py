"""The command ``ufm measure``, for the last layer of a user's network in an ``.npz`` file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ufm.cli.common import Json, app, choices, examples, numbers, print_json, table, working
from ufm.errors import InputError, brief

if TYPE_CHECKING:
    from ufm.metrics import Measured


@app.command(
    "measure",
    epilog=examples(
        "ufm measure runs/deq/run.npz",
        "ufm measure network.npz --predict --plot network.pdf",
        "ufm measure network.npz --predict --decay 1e-2,1e-4 --json",
    ),
)
def measure_command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="An .npz with the arrays features (N, d), labels (N,) and, if there are any, weight (K, d), bias (K,) and "
            "classes (K,), names in the order of the rows of weight; or a folder of files features.npy, labels.npy and so on. "
            "Labels are whole numbers, text or one-hot rows. Features are read block by block, so that they may be larger than "
            "memory. docs/recipes.md says how to save them.",
        ),
    ],
    convention: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=choices("zhu2021", "papyan2020", "hongling2023"),
            help="How class means are centred and weighted, which matters where class sizes differ: zhu2021 (or zhu), "
            "papyan2020 or hongling2023 (or hong-ling). The command 'ufm explain nc1' has the formulas.",
        ),
    ] = "zhu",
    predict: Annotated[
        bool,
        typer.Option(
            "--predict",
            help="Compare with the certified optimum for the same class sizes and decays; without --decay the decays are those "
            "that the network behaves as if it had, from stationarity.",
        ),
    ] = False,
    decay: Annotated[
        str | None,
        typer.Option(
            metavar="LW,LH[,LB]",
            help="Decay that the network was trained with, on classifier, features and bias. Half convention beside the mean "
            "cross-entropy, features per sample, as in ufm solve. Needs --predict.",
        ),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="RANGES",
            help="Ranges of class sizes whose cosines, norms and variability are stated: name=A-B, A+ (more than A) or -B "
            "(fewer than B samples), with commas between. By default many=100+,medium=20-100,few=-20 where there are more than "
            "two sizes.",
        ),
    ] = None,
    relu: Annotated[bool, typer.Option("--relu", help="Predict for features >= 0, as they are after a ReLU.")] = False,
    plot: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Draw the Gram matrices of classifiers and class means and the logits (with --predict beside the predicted "
            "ones and their difference), spectra and cosines; a .pdf, .svg or .png. Needs an array weight.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the neural collapse of a network's last layer.

    Prints NC0 to NC4, cosines, norm ratios and ranks of your own features and classifier; with --predict also the decays that
    the network behaves as if it had, the distances of its Gram matrices to those of the certified optimum, of the simplex ETF
    and of SELI, and a verdict in words. The command 'ufm explain' says what each metric means.
    """
    import numpy as np

    import ufm
    from ufm.analysis.network_prediction import predict_network
    from ufm.metrics.stored_network import StoredNetwork
    from ufm.targets.size_ranges import parse_ranges

    if decay is not None and not predict:
        raise InputError("--decay LW,LH needs --predict; give both, or leave --decay out")
    if relu and not predict:
        raise InputError("--relu needs --predict; give both, or leave --relu out")
    if groups is not None:
        parse_ranges(groups)
    if plot is not None:
        from ufm.plot.saving import format_of

        format_of(plot)
    with working(f"measuring {brief(run)}"):
        stored = StoredNetwork.of(Path(run))
        weight, bias, classes = stored.weight, stored.bias, stored.classes
        found = ufm.measure(stored.features, stored.labels, weight=weight, bias=bias, convention=convention, classes=classes)
    _refuse_too_little(run, found)
    if plot is not None and weight is None:
        raise InputError(f"{brief(run)} has no array 'weight', which --plot draws; save it, or leave --plot out")
    theory = None
    answer: dict[str, object] = {name: value if np.isfinite(value) else None for name, value in found.items()}
    if predict:
        if weight is None:
            raise InputError(f"{brief(run)} has no array 'weight'; a prediction is compared with a classifier (K, d)")
        decays = None if decay is None else numbers("decay", decay, 2, 3)
        if decays is not None and len(decays) == 3 and bias is None:
            raise InputError(f"--decay is {brief(decay)}, but {brief(run)} has no array 'bias'; leave LB out, or save the bias")
        with working(f"predicting for K={len(found.counts)} classes"):
            compared = predict_network(
                stored.features,
                stored.labels,
                weight,
                bias=bias,
                decay=None
                if decays is None
                else ufm.WeightDecay(decays[0], decays[1], decays[2] if len(decays) == 3 else None),
                relu=relu,
                classes=classes,
                convention=convention,
                measured=found,
            )
        answer, theory = compared.to_dict(), compared.theory
        biased = bias is not None and bool(np.any(bias))
        answer["theory_bias"] = "modelled" if compared.decay.bias is not None else "ignored" if biased else "none"
        if answer["theory_bias"] == "ignored":
            remedy = "that of features >= 0 has none" if relu else "give --decay LW,LH,LB to model it"
            answer["note"] = f"the bias of the file is not in the prediction, whose model has none; {remedy}"
    if plot is not None and weight is not None:
        ufm.plot.save_as(ufm.plot.network(found, weight, theory, groups=groups), plot)
    parts = [] if groups is None and len(set(found.counts.tolist())) < 3 else found.ranges(groups, weight=weight)
    if as_json:
        spread = [value if np.isfinite(value) else None for value in found.variability.tolist()]
        rows = zip(found.classes, found.counts.tolist(), spread, strict=True)
        print_json(
            answer | {"ranges": parts, "per_class": [{"class": name, "size": n, "variability": v} for name, n, v in rows]}
        )
        return
    rows = [(n, "undefined" if v is None else f"{v:.8g}" if isinstance(v, float) else str(v)) for n, v in answer.items()]
    rows += [(f"range {part['range']}", _in_words(part)) for part in parts]
    table(f"{run}, NC1 in the convention {convention}", rows)


def _in_words(part: dict[str, str | float | None]) -> str:
    """A range of class sizes in one line."""
    sizes = f"{part['smallest']}" if part["smallest"] == part["largest"] else f"{part['smallest']} to {part['largest']}"
    named = {
        "cosine": "cosine of classifiers", "neighbours": "least of neighbours", "norm": "norm over that of the largest",
        "cosine_means": "cosine of class means", "variability": "variability",
    }  # fmt: skip
    shown = [f"{text} {part[name]:.4g}" for name, text in named.items() if isinstance(part.get(name), float)]
    return "; ".join([f"{part['classes']} classes of {sizes} samples", *shown])


def _refuse_too_little(run: str, found: Measured) -> None:
    """Refuse features in which there is nothing to measure."""
    if found.constant:
        raise InputError(
            f"features of {brief(run)} are all the same vector, which has no geometry; save those of the last layer"
        )
    if found.counts.min() < 2:
        single = found.classes[int(found.counts.argmin())]
        more = int((found.counts < 2).sum()) - 1
        others = f" (so have {more} others)" if more else ""
        raise InputError(
            f"class {brief(single)} has one sample only{others}; give at least 2, or drop the class, to have a spread"
        )
