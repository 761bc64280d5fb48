"""A layer-peeled model on a table of targets: its program, parameters and objective."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np

from ufm.errors import InputError
from ufm.problem.heads import Head, Parameters
from ufm.problem.losses import Loss
from ufm.problem.regularizers import ClassifierDecay, NormBudget, WeightDecay
from ufm.spectral.table_program import TableFactors, TableProgram
from ufm.targets.table import TargetTable


def make_program(
    targets: TargetTable, loss: Loss, head: Head, regularizer: WeightDecay | NormBudget | ClassifierDecay
) -> TableProgram:
    """The program over K x M logits (docs/theory, Propositions 11.1 and 12.13).

    Parameters
    ----------
    targets : TargetTable
    loss : Loss
    head : Head
    regularizer : WeightDecay or NormBudget; ClassifierDecay for features of a fixed norm

    Returns
    -------
    TableProgram

    Raises
    ------
    InputError
        A loss that is not defined on these targets, a head with another penalty, or a row that a free bias would send to
        infinity.
    """
    program = TableProgram(
        sizes=targets.sizes,
        scale=regularizer.column_scale(np.array([float(n) for n in targets.sizes])),
        penalty=head.penalty(regularizer, sqrt(targets.rows * targets.contexts)),  # type: ignore[arg-type]
        loss=loss.bind_table(targets),
        bias_decay=regularizer.bias_decay(),
    )
    if not (program.penalty.nuclear or program.penalty.feature_norms):
        raise InputError(f"head {head} does not go with a table of targets; choose explicit or deq:rho=R, or layernorm")
    if program.bias_decay == 0 and not program.loss.quadratic:
        mean = program.loss.target @ program.share / program.share.sum()
        ends = (mean <= 0) if program.loss.blocks else (mean <= 0) | (mean >= 1)
        if ends.any():
            raise InputError(
                f"decay has a free bias, and row {int(np.argmax(ends))} of the table has the same label in every context: "
                "its bias would grow forever; give the bias a decay, or leave the row out"
            )
    return program


def make_parameters(
    program: TableProgram, factors: TableFactors, head: Head, regularizer: WeightDecay | NormBudget, dim: int | None
) -> Parameters:
    """Explicit W (K, d), A, features of the contexts (d, M) and b whose logits are those of the factors.

    Parameters
    ----------
    program : TableProgram
    factors : TableFactors
    head : Head
    regularizer : WeightDecay or NormBudget
    dim : int or None, least feature dimension

    Returns
    -------
    Parameters
    """
    rank = factors.left.shape[1]
    width = max(rank, dim or 1)
    lengths = np.sqrt((factors.left**2).sum(axis=0))
    singular = np.zeros(width)
    singular[:rank] = program.lengths(factors)
    left, right = np.zeros((program.rows, width)), np.zeros((width, program.contexts))
    left[:, :rank] = factors.left / np.where(lengths > 0, lengths, 1.0)
    across = lengths / np.where(singular[:rank] > 0, singular[:rank], 1.0)
    right[:rank] = factors.right * across[:, None]
    found = head.recover(left, singular, right, program.scale, regularizer)
    if isinstance(regularizer, NormBudget):
        # The budgets count K rows and M contexts, so that W and H share the product accordingly.
        root = (program.rows / program.contexts) ** 0.25
        found = replace(found, weight=found.weight * root, features=found.features / root)
    return found if program.bias_decay is None else replace(found, bias=factors.bias)


def normalised_parameters(program: TableProgram, factors: TableFactors, head: Head, dim: int | None) -> Parameters:
    """Explicit W (K, d), features of the contexts (d, M) of the head's norm and b whose logits are those of the factors.

    Parameters
    ----------
    program : TableProgram
    factors : TableFactors, W and features of norms near one
    head : Head, which is `normalised`
    dim : int or None, feature dimension; None for the factors' own and one more

    Returns
    -------
    Parameters
    """
    rank = factors.left.shape[1]
    width = rank + head.spare if dim is None else dim
    weight, features = np.zeros((program.rows, width)), np.zeros((width, program.contexts))
    weight[:, :rank], features[:rank] = factors.left, factors.right
    found = head.settled(weight, features, rank)
    return found if program.bias_decay is None else replace(found, bias=factors.bias)


def table_objective(
    program: TableProgram, parameters: Parameters, regularizer: WeightDecay | NormBudget | ClassifierDecay
) -> float:
    """The model's own objective at explicit parameters (features equal within contexts).

    Parameters
    ----------
    program : TableProgram
    parameters : Parameters, with features (d, M)
    regularizer : WeightDecay or NormBudget; ClassifierDecay for features of a fixed norm

    Returns
    -------
    float
        In the unit of the loss; infinite where a budget is exceeded by more than a relative 1e-9.
    """
    value = float(program.share @ program.loss.values(parameters.logits))
    weight, columns = float(np.sum(parameters.weight**2)), np.sum(parameters.features**2, axis=0)
    if isinstance(regularizer, NormBudget):
        spent = (weight / (program.rows * regularizer.weight), float(columns.sum()) / (program.contexts * regularizer.features))
        return value if max(spent) <= 1 + 1e-9 else np.inf
    value += 0.5 * regularizer.weight * weight
    if isinstance(regularizer, WeightDecay):
        value += 0.5 * regularizer.features * float(program.scale**2 @ columns)
    if regularizer.bias and parameters.bias is not None:
        value += 0.5 * regularizer.bias * float(parameters.bias @ parameters.bias)
    return value
