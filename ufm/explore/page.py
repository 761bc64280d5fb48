"""The page of ``ufm explore``: controls and their layout; what is shown comes from `ufm.explore.sections`."""

import marimo

app = marimo.App(width="full", app_title="ufm explore", css_file="page.css")


@app.cell
def _():
    import marimo as mo

    from ufm.explore import Settings, View, downloads, options, sections
    from ufm.problem.text import HEADS, LOSSES, parse_head

    return HEADS, LOSSES, Settings, View, downloads, mo, options, parse_head, sections


@app.cell
def _(mo, sections):
    mo.Html(sections.title())
    return


@app.cell
def _(HEADS, LOSSES, mo, options):
    def slider(values, value, label):
        return mo.ui.slider(steps=list(values), value=value, label=label, show_value=True, full_width=True)

    heads, losses = options.forms(HEADS), options.forms(LOSSES)
    main = mo.ui.dictionary(
        {
            "majority": slider(range(1, options.CLASSES + 1), 5, "majority classes, K<sub>A</sub>"),
            "minority": slider(range(1, options.CLASSES + 1), 5, "minority classes, K<sub>B</sub>"),
            "ratio": slider(options.RATIO_VALUES, 5.0, "imbalance ratio R"),
            "count": slider(options.COUNT_VALUES, 100, "samples of a minority class, n<sub>B</sub>"),
            "charge": mo.ui.dropdown(["weight decay", "norm budgets"], value="weight decay", label="regulariser"),
            "head": mo.ui.dropdown(list(heads), value="explicit", label="head"),
            "loss": mo.ui.dropdown(list(losses), value="ce", label="loss"),
            "level": mo.ui.dropdown(["float", "rigorous"], value="float", label="level of bounds"),
        }
    )
    charges = mo.ui.dictionary(
        {
            "LW": slider(options.DECAY_VALUES, 0.0025, "decay of classifier, λ<sub>W</sub>"),
            "LH": slider(options.DECAY_VALUES, 0.0025, "decay of features, λ<sub>H</sub>"),
            "EW": slider(options.BUDGET_VALUES, 1.0, "budget of classifier, E<sub>W</sub>"),
            "EH": slider(options.BUDGET_VALUES, 5.0, "budget of features, E<sub>H</sub>"),
        }
    )
    of_head, of_loss = (
        mo.ui.dictionary(
            {
                f"{name} {option}": slider(options.VALUES[option][0], options.VALUES[option][1], f"{name}: {option}")
                for name, form in forms.items()
                for option in form.options
            }
        )
        for forms in (heads, losses)
    )
    return charges, heads, losses, main, of_head, of_loss


@app.cell
def _(Settings, charges, heads, losses, main, of_head, of_loss, options, parse_head):
    def chosen(kind, forms, values):
        name = main.value[kind]
        return forms[name].text({option: values.value[f"{name} {option}"] for option in forms[name].options})

    head = parse_head(chosen("head", heads, of_head))
    settings = Settings(
        majority=main.value["majority"],
        minority=main.value["minority"],
        ratio=main.value["ratio"],
        minority_count=main.value["count"],
        regularizer=options.charge(
            head,
            budget=main.value["charge"] == "norm budgets",
            decays=(charges.value["LW"], charges.value["LH"]),
            budgets=(charges.value["EW"], charges.value["EH"]),
        ),
        head=head,
        loss=chosen("loss", losses, of_loss),
        level=main.value["level"],
    )
    return (settings,)


@app.cell
def _(charges, heads, losses, main, mo, of_head, of_loss, options, settings):
    def shown():
        yield from (main[name] for name in ("majority", "minority", "ratio", "count"))
        yield from (charges[name] for name in options.charged(settings.regularizer))
        yield from (main[name] for name in ("charge", "head", "loss", "level"))
        for kind, forms, values in (("head", heads, of_head), ("loss", losses, of_loss)):
            name = main.value[kind]
            yield from (values[f"{name} {option}"] for option in forms[name].options)

    mo.Html(f'<div class="ufm"><div class="controls">{"".join(control.text for control in shown())}</div></div>')
    return


@app.cell
def _(View, mo, sections, settings):
    view = View(settings)
    if waiting := sections.waiting(view):
        mo.output.replace(mo.Html(waiting))
    mo.Html(sections.optimum(view))
    return (view,)


@app.cell
def _(mo):
    draw = mo.ui.run_button(label="draw them")
    drawn = set()
    return draw, drawn


@app.cell
def _(draw, drawn, mo, sections, view):
    if draw.value:
        drawn.add(view.key)
    asked = view.key in drawn
    mo.Html(sections.diagrams(view, asked=asked, button=draw.text))
    return (asked,)


@app.cell
def _(mo, sections, view):
    mo.Html(sections.remedies(view))
    return


@app.cell
def _(asked, downloads, mo, sections, view):
    files = [
        mo.download(data=lambda name=name: downloads.content(view, name), filename=name, label=name)
        for name in downloads.names(view)
    ]
    mo.Html(sections.reproduced(view, asked=asked, files="".join(file.text for file in files)))
    return


if __name__ == "__main__":
    app.run()
