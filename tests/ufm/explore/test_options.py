"""The controls cover every form of heads and losses, and each of their values is one that the package accepts."""

import pytest

import ufm
from ufm.explore import Settings
from ufm.explore.options import (
    BUDGET_VALUES,
    CLASSES,
    COUNT_VALUES,
    DECAY_VALUES,
    RATIO_VALUES,
    VALUES,
    charge,
    charged,
    forms,
)  # fmt: skip
from ufm.problem.text import HEADS, LOSSES, parse_head, parse_loss

FORMS = [(form, parse) for classes, parse in ((HEADS, parse_head), (LOSSES, parse_loss)) for form in forms(classes).values()]


def test_every_class_has_a_form():
    usages = [form.spelling.usage for classes in (HEADS, LOSSES) for form in forms(classes).values()]
    left = [cls.spelling.kind for cls in (*HEADS, *LOSSES) if cls.spelling.usage not in usages]
    assert left == ["multitask"]  # it is defined for tables only
    assert len(usages) == len(set(usages))


@pytest.mark.parametrize(("form", "parse"), FORMS, ids=[form.name for form, _ in FORMS])
def test_every_value_is_accepted_and_kept_by_its_text(form, parse):
    start = {option: VALUES[option][1] for option in form.options}
    for option in form.options:
        values, first = VALUES[option]
        assert first in values
        for value in values:
            part = parse(form.text(start | {option: value}))
            assert parse(str(part)) == part
    assert parse(form.text(start))


def test_what_the_page_begins_with():
    assert (5.0 in RATIO_VALUES, 100 in COUNT_VALUES, 0.0025 in DECAY_VALUES) == (True, True, True)
    assert {1.0, 5.0} <= set(BUDGET_VALUES)
    for values in (RATIO_VALUES, COUNT_VALUES, DECAY_VALUES, BUDGET_VALUES):
        assert list(values) == sorted(set(values))
    begun = Settings(
        head=forms(HEADS)["explicit"].text({"layers": 1}),
        loss=forms(LOSSES)["ce"].text(dict.fromkeys(("weights", "adjustment", "temperatures", "smoothing"), 0.0)),
    )
    assert begun == Settings()
    assert CLASSES >= 10


def test_each_head_is_given_the_regulariser_that_it_takes():
    numbers = {"decays": (1e-3, 2e-3), "budgets": (1.0, 5.0)}
    expected = {
        "explicit": ufm.WeightDecay(1e-3, 2e-3), "layernorm": ufm.ClassifierDecay(1e-3), "cosine:scale=5": ufm.NoDecay(),
    }  # fmt: skip
    for head, regularizer in expected.items():
        found = charge(parse_head(head), budget=False, **numbers)
        assert found == regularizer
        assert ufm.Problem([5, 5, 2], regularizer=found, head=head)
    assert charge(parse_head("explicit"), budget=True, **numbers) == ufm.NormBudget(1.0, 5.0)
    assert [charged(value) for value in (*expected.values(), ufm.NormBudget(1, 5))] == [
        ("LW", "LH"), ("LW",), (), ("EW", "EH"),
    ]  # fmt: skip
