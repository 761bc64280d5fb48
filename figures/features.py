"""What the features of the two architectures look like."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import ufm
from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm.plot import embedding, gram, letter, panels
from ufm.training import Settings, train

MAJORITY = 3


class Features(NamedTuple):
    """Title, last-layer features (N, d) and labels (N,)."""

    title: str
    features: Floats
    labels: NDArray[np.intp]


class FeatureGeometry(Plot):
    """Training features of handwritten digits with three majority classes at R = 10. Top: cosines between all samples, in class
    order. Bottom: two leading principal components (dots: majority, crosses: minority classes). Right: class means of
    the certified optimum of the unconstrained-feature model with the same class sizes and decays, repeated for each sample.
    """

    name = "features"
    tolerance = 1e-2
    title = "Gram matrices and two-dimensional embeddings of features, explicit beside DEQ (K_A = 3, R = 10, digits)"

    def data(self, *, quick: bool, report: Report) -> list[Features]:
        small: dict[str, Any] = {"largest": 40, "epochs": 12, "width": 24} if quick else {}
        found, problem = [], None
        for model, title in (("explicit", "explicit"), ("deq", "DEQ")):
            settings = Settings(data="digits", classes=(MAJORITY, 7), ratio=10, model=model, **small)
            data = settings.dataset()
            report(str(settings))
            network = settings.network(data.x.shape[1])
            trained = train(data, network, optimizer=settings.make_optimizer(), epochs=settings.epochs, batch=settings.batch)
            found.append(Features(title, trained.features, data.y))
            assert trained.prediction is not None
            problem = trained.prediction.problem
        assert problem is not None
        labels = found[0].labels
        means = ufm.solve(problem).parameters.outputs.T
        found.append(Features("certified optimum", means[labels], labels))
        return found

    def draw(self, data: list[Features]) -> Figure:
        fig, axes = panels(2, len(data), height=2.1)
        image = None
        for column, item in zip(axes.T, data, strict=True):
            image = gram(column[0], item.features, item.labels)
            column[0].set_title(item.title)
            column[0].set_xlabel("class of the sample")
            embedding(column[1], item.features, item.labels, majority=MAJORITY)
        assert image is not None
        letter(axes)
        fig.colorbar(image, ax=axes, label="cosine", shrink=0.4, anchor=(0.0, 1.0), aspect=15)
        fig.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=10)
        return fig
