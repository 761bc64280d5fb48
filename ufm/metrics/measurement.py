"""Metrics of features that come in batches: in any order, from several processes, from files larger than memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from math import frexp
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm._arrays import Floats
from ufm.errors import InputError, brief
from ufm.metrics.gram import pairs, written
from ufm.metrics.labels import Codes, LabelCodes, Name
from ufm.metrics.moments import Moments, largest
from ufm.metrics.rows import HELD, double, let_go, real
from ufm.metrics.size_ranges import members, range_geometry
from ufm.targets.size_ranges import DEFAULT, parse_ranges

ENTRIES = 2**21
"""Float64 entries of the largest temporary array while a batch is added."""


@dataclass(frozen=True)
class Convention:
    """How a paper centres and weights class means.

    Attributes
    ----------
    by_size : bool
        Whether the between-class covariance of ``nc1`` weights a class by its share of samples; otherwise all count the same.
    about_samples : bool
        Whether that covariance is about the mean of all samples; otherwise about the mean of class means.
    everywhere : bool
        Whether the other metrics of centred class means are about the mean of all samples, too.
    """

    by_size: bool = False
    about_samples: bool = False
    everywhere: bool = False


CONVENTIONS = {
    "zhu": Convention(),
    "zhu2021": Convention(),
    "hong-ling": Convention(by_size=True, about_samples=True),
    "hongling2023": Convention(by_size=True, about_samples=True),
    "papyan2020": Convention(about_samples=True, everywhere=True),
}
"""By name; zhu and zhu2021 are the same, and hong-ling and hongling2023 are."""


class Measured(dict[str, float]):
    """Metrics by name, and what they are made of, class by class.

    Attributes
    ----------
    classes : list of K str or int, names of the classes in the order of the classifier's rows
    counts : (K,) int64, samples of each class
    variability : (K,) float64
        Mean squared distance of a class's features from their mean, over the mean squared norm of centred class means; NaN
        where these vanish or, after one pass without scatter, unknown.
    means : (K, d) float64, class means
    constant : bool, whether all features are the same vector, up to the rounding of their dtype
    """

    classes: list[Name]
    constant: bool
    counts: NDArray[np.int64]
    variability: Floats
    means: Floats

    def ranges(
        self, groups: str | Mapping[str, str] | None = None, *, weight: ArrayLike | None = None
    ) -> list[dict[str, str | float | None]]:
        """Cosines, norms and variability of classes by ranges of sizes, such as many / medium / few.

        Parameters
        ----------
        groups : str, mapping or None
            Such as ``"many=100+,medium=20-100,few=-20"``, which None stands for; see `ufm.targets.size_ranges.parse_ranges`.
        weight : (K, d) array or None, classifier

        Returns
        -------
        list of dict
            For each range that has a class ``range, smallest, largest, classes, variability``, for raw class means
            ``cosine_means`` (mean over pairs), ``neighbours_means`` (least of neighbours by size) and ``norm_means`` (mean
            norm over that of the largest classes), and with a weight the same of its rows without the suffix. None where
            undefined.

        Raises
        ------
        InputError
            Ranges that cannot be read, or a weight that is not (K, d).

        Examples
        --------
        >>> import numpy as np, ufm
        >>> found = ufm.measure(np.repeat(ufm.simplex_etf(3), [4, 2, 2], axis=0), [0, 0, 0, 0, 1, 1, 2, 2])
        >>> [(part["range"], part["classes"], round(part["cosine_means"] or 0, 3)) for part in found.ranges("few=-3,many=3+")]
        [('few', 2, -0.5), ('many', 1, 0)]
        """
        found = []
        sizes = [int(n) for n in self.counts]
        vectors = {"_means": self.means}
        if weight is not None:
            vectors = {"": double("weight", weight), **vectors}
        grams = {}
        for suffix, rows in vectors.items():
            if rows.shape != self.means.shape:
                raise InputError(f"weight {rows.shape} must have the shape {self.means.shape} of the class means")
            height = float(np.abs(rows).max(initial=0.0)) or 1.0
            grams[suffix] = written((rows / height) @ (rows / height).T)
        for chosen in parse_ranges(DEFAULT if groups is None else groups):
            inside = members(sizes, chosen)
            if not inside:
                continue
            shapes = {suffix: range_geometry(gram, sizes, chosen) for suffix, gram in grams.items()}
            shape = next(iter(shapes.values()))
            part: dict[str, str | float | None] = {
                "range": shape.name, "smallest": shape.smallest, "largest": shape.largest, "classes": shape.classes,
            }  # fmt: skip
            for suffix, one in shapes.items():
                part |= {f"cosine{suffix}": one.cosine, f"neighbours{suffix}": one.neighbours, f"norm{suffix}": one.norm}
            spread = float(np.mean(self.variability[inside]))
            found.append(part | {"variability": spread if np.isfinite(spread) else None})
        return found


class Measurement:
    """Metrics of a network's last layer, from features that come in batches.

    One pass over the batches gives all metrics but ``nc4``, which needs the class means before the decisions: for it, give
    the batches of the same samples again to the object that `second_pass` returns.

    Sums are float64, centred batch by batch, so that another order or split into batches changes class means by about
    ``1e-16 sqrt(batches)`` of the spread of the features, and metrics by that times the condition of class means. One pass
    keeps the (d, d) scatter: NC1 is then exact to about ``1e-16`` times the largest over the smallest variance within classes.

    Parameters
    ----------
    weight : (K, d) array or None, classifier
    bias : (K,) array or None; needs a weight
    convention : {"zhu2021", "hongling2023", "papyan2020"}, see `ufm.metrics.gram`; "zhu" and "hong-ling" are short for two
    classes : sequence of str or int, or None
        Names of the classes in the order of the classifier's rows. None: whole numbers 0 .. K-1 are rows; other labels are
        sorted, and their order is that of the rows.
    scatter : bool
        Whether the first pass adds up the (d, d) scatter that ``nc1`` and the variability need; without it these come from
        the second pass, too, which is faster.

    Raises
    ------
    InputError
        An unknown convention, a weight or bias that is not finite or of another shape, or names that do not fit.

    Examples
    --------
    >>> import numpy as np, ufm
    >>> rng, labels = np.random.default_rng(0), np.arange(60) % 3
    >>> features = ufm.simplex_etf(3, 8)[labels] + 0.1 * rng.standard_normal((60, 8))
    >>> first, other = ufm.Measurement(), ufm.Measurement()  # as in two processes
    >>> for start in (0, 10, 20):
    ...     _ = first.update(features[start : start + 10], labels[start : start + 10])
    >>> _ = other.update(features[30:], labels[30:])
    >>> found = first.merge(other).result()
    >>> bool(np.isclose(found["nc1"], ufm.measure(features, labels)["nc1"], rtol=1e-12))
    True
    """

    def __init__(
        self,
        *,
        weight: ArrayLike | None = None,
        bias: ArrayLike | None = None,
        convention: str = "zhu",
        classes: Iterable[Any] | None = None,
        scatter: bool = True,
    ) -> None:
        if convention not in CONVENTIONS:
            raise InputError(f"convention is {brief(convention)}; choose one of {', '.join(CONVENTIONS)}")
        if weight is None and bias is not None:
            raise InputError("a bias needs a weight")
        self.convention = convention
        self.weight = None if weight is None else double("weight", weight)
        if self.weight is not None and (self.weight.ndim != 2 or len(self.weight) < 2):
            raise InputError(f"weight {self.weight.shape} must have shape (K, d), one row per class, at least 2")
        self.bias = None if bias is None else double("bias", bias)
        if self.bias is not None and self.weight is not None and self.bias.shape != self.weight.shape[:1]:
            raise InputError(f"bias {self.bias.shape} must be of shape {self.weight.shape[:1]}, one entry per row of weight")
        self.scatter = scatter
        self.held = 0  # bytes of mapped files since their pages were last given back
        self.codes = LabelCodes(classes)
        self.moments: Moments | None = None
        self.review: Review | None = None

    @property
    def samples(self) -> int:
        """Number of samples seen in this pass."""
        return self.review.seen if self.review is not None else 0 if self.moments is None else self.moments.total

    def update(self, features: ArrayLike, labels: ArrayLike) -> Measurement:
        """Add a batch; an error leaves the object as it was before, but for blocks of the batch that were already added.

        Parameters
        ----------
        features : (B, d) array of any real dtype, one row per sample
        labels : (B,) whole numbers, text or categories, or (B, K) one-hot rows

        Returns
        -------
        Measurement
            This object.

        Raises
        ------
        InputError
            Shapes that do not fit, NaN or infinite entries, or labels that are no classes.
        """
        array = real("features", features)
        codes = self.codes.encode(labels)
        self.fits(array.shape, len(codes))
        step = self.rows(array.shape[1])
        for start in range(0, len(array), step):
            self.add(array[start : start + step], codes[start : start + step])
        self.held += array.nbytes
        if self.held > HELD:
            let_go(array)
            self.held = 0
        return self

    def fits(self, shape: tuple[int, ...], labels: int) -> None:
        """Check that features have the shape (B, d) of these labels, of the classifier and of the batches before.

        Parameters
        ----------
        shape : tuple of int, of the features
        labels : int, number of labels

        Raises
        ------
        InputError
            They do not fit.
        """
        if len(shape) != 2 or not shape[1] or shape[0] != labels:
            raise InputError(f"features {shape} and labels {(labels,)} do not fit; give (N, d) and (N,)")
        width = shape[1]
        if self.weight is not None and self.weight.shape[1] != width:
            raise InputError(f"weight {self.weight.shape} must have the {width} columns of features {shape}")
        if self.moments is not None and self.moments.means.shape[1] != width:
            raise InputError(f"features {shape} have not the {self.moments.means.shape[1]} columns of the batches before")

    def rows(self, width: int) -> int:
        """Rows of a block for which temporary arrays have about `ENTRIES` entries: 4096 for 512 columns.

        Parameters
        ----------
        width : int, columns of the features
        """
        widest = max(width, 1 if self.weight is None else len(self.weight), len(self.codes.slots))
        return max(256, ENTRIES // widest)

    def add(self, block: NDArray[Any], codes: Codes) -> None:
        """Add a block of samples whose labels are encoded by `codes`, see `update`.

        Parameters
        ----------
        block : (B, d) array of a real dtype
        codes : (B,) int
        """
        if self.review is not None:
            self.review.add(block, codes)
            return
        if self.moments is None:
            self.moments = Moments(block.shape[1], self.scatter)
        self.moments.add(block, codes)

    def merge(self, other: Measurement) -> Measurement:
        """Add all samples that another object has seen in the same pass.

        Parameters
        ----------
        other : Measurement
            With the same classifier, convention and classes; in a second pass, a copy of the same object.

        Returns
        -------
        Measurement
            This object.

        Raises
        ------
        InputError
            Objects of different classifiers, conventions or passes.
        """
        for name in ("convention", "scatter"):
            if getattr(self, name) != getattr(other, name):
                raise InputError(f"{name} is {getattr(self, name)!r} here and {getattr(other, name)!r} there; merge equal ones")
        for name in ("weight", "bias"):
            one, two = getattr(self, name), getattr(other, name)
            if (one is None) != (two is None) or (one is not None and not np.array_equal(one, two)):
                raise InputError(f"the two measurements have different arrays {name}; merge those of one network")
        if (self.review is None) != (other.review is None):
            raise InputError("one measurement is in its second pass and the other in its first; merge those of one pass")
        if self.review is not None and other.review is not None:
            self.review.join(other.review)
            return self
        theirs = other.codes.fixed
        if theirs is not None and self.codes.fixed is None and set(self.codes.slots) <= set(theirs):
            self.codes.fixed = theirs
        if theirs is not None and self.codes.fixed != theirs:
            raise InputError("the two measurements have different classes; give both the same classes=")
        if other.moments is None:
            return self
        self.fits((0, other.moments.means.shape[1]), 0)
        if self.moments is None:
            self.moments = Moments(other.moments.means.shape[1], self.scatter)
        names = list(other.codes.slots)
        self.moments.join(other.moments, self.codes.encode(names) if names else np.zeros(0, dtype=np.intp))
        return self

    def second_pass(self) -> Measurement:
        """A new object for the same batches again, with which the result has ``nc4``; copies of it can be merged.

        Returns
        -------
        Measurement

        Raises
        ------
        InputError
            A class without a sample, a single class, no samples, or a second pass already.
        """
        if self.review is not None:
            raise InputError("this measurement is in its second pass already; give it the batches of the first")
        layer = self._layer()
        again = Measurement(weight=self.weight, bias=self.bias, convention=self.convention, scatter=self.scatter)
        again.codes, again.moments = deepcopy(self.codes), self.moments
        again.review = Review(layer)
        return again

    def result(self) -> Measured:
        """The metrics of all samples seen.

        Returns
        -------
        Measured
            A dict of the keys of `ufm.measure`; without ``nc4`` before the second pass.

        Raises
        ------
        InputError
            No samples, a class without one, a single class, or a second pass that has seen other samples than the first.
        """
        review = self.review
        if review is None:
            return self._layer().metrics(None)
        if not np.array_equal(review.counts, review.layer.moments.counts):
            raise InputError(
                f"the second pass has {review.seen} samples, or labels, other than the {review.layer.moments.total} of the "
                "first; give it the same batches"
            )
        return review.layer.metrics(review)

    def class_means(self) -> tuple[Floats, Floats | None]:
        """Class means (K, d) in the order of the classifier's rows, and the classifier; each divided by a power of two."""
        layer = self._layer()
        return layer.raw, layer.weight

    def _layer(self) -> Layer:
        if self.moments is None or not self.moments.total:
            raise InputError("features (0, d) and labels (0,) have no samples; give at least one of each of 2 classes")
        names, order = self.codes.order(None if self.weight is None else len(self.weight))
        return Layer(self, names, np.array(order, dtype=np.intp))


class Layer:
    """Class means and classifier in the order of the classifier's rows, and the frame in which samples are compared.

    Parameters
    ----------
    measurement : Measurement, with samples
    names : list of K str or int
    order : (K,) int, codes of the classes

    Attributes
    ----------
    means, raw, centred : (K, d) float64, class means minus the shift, as they are, and minus the convention's centre
    frame : (r, d) float64, orthonormal rows that span the differences of class means
    sigma : (r,) float64, singular values of the square root of Sigma_B
    kept : (r,) bool, singular values above the rounding error of the data
    """

    def __init__(self, measurement: Measurement, names: list[Name], order: Codes) -> None:
        assert measurement.moments is not None
        moments = measurement.moments
        self.moments, self.names, self.order = moments, names, order
        self.counts, self.means = moments.counts[order], moments.means[order]
        self.raw = self.means + moments.shift
        convention = CONVENTIONS[measurement.convention]
        classes, total = len(names), self.counts.sum()
        share = self.counts / total
        weights = share if convention.by_size else np.full(classes, 1.0 / classes)
        mean_of_samples, mean_of_means = share @ self.means, self.means.mean(axis=0)
        between = self.means - (mean_of_samples if convention.about_samples else mean_of_means)
        self.centred = self.means - (mean_of_samples if convention.everywhere else mean_of_means)
        _, self.sigma, self.frame = np.linalg.svd(np.sqrt(weights)[:, None] * between, full_matrices=False)
        # Class means carry the rounding errors of the data, whose size may be far above that of their differences.
        noise = moments.precision * max(between.shape) * moments.peak * float(np.sqrt(weights.max()))
        self.kept = self.sigma > noise
        self.weight, self.offset, self.breadth = None, measurement.bias, 0
        if measurement.weight is not None:
            self.breadth = frexp(float(np.abs(measurement.weight).max(initial=0.0)))[1]
            self.weight = np.ldexp(measurement.weight, -self.breadth)

    def metrics(self, review: Review | None) -> Measured:
        """All metrics.

        Parameters
        ----------
        review : Review or None, the second pass

        Returns
        -------
        Measured
        """
        along, squares = self._within(review)
        classes, kept = len(self.names), self.kept
        found = Measured(nc1=float("nan"))
        if along is not None and kept.any():
            found["nc1"] = float(np.sum(along[kept] / self.sigma[kept] ** 2)) / self.moments.total / classes
        found.classes, found.counts = self.names, self.counts
        with np.errstate(over="ignore", under="ignore"):
            found.means = np.ldexp(self.raw, self.moments.exponent)
        spread = float(np.sum(self.centred**2)) / classes
        rounding = self.moments.total * self.means.shape[1] * (self.moments.precision * self.moments.peak) ** 2
        found.constant = not kept.any() and squares is not None and float(squares.sum()) <= rounding
        unknown = squares is None or not spread > 0
        found.variability = np.full(classes, np.nan) if unknown or squares is None else squares / self.counts / spread
        for name, value in (("", np.mean), ("_min", np.min), ("_max", np.max)):
            found[f"variability{name}"] = float(value(found.variability))
        gram = self.centred @ self.centred.T
        found |= {"nc2_means": _simplex_distance(gram), **_regularity(gram, "_means")}
        found |= _pairs(self.raw @ self.raw.T, self.counts, "_means")
        found["effective_rank_means"] = _effective_rank(self.centred)
        if self.weight is None:
            return found
        gram = self.weight @ self.weight.T
        found |= {"nc0": _row_sum(self.weight), "nc2": _simplex_distance(gram), **_regularity(gram, "")}
        found |= _pairs(gram, self.counts, "")
        found["effective_rank"] = _effective_rank(self.weight)
        found["nc3"] = _simplex_distance(self.weight @ self.centred.T)
        sizes = np.linalg.norm(self.weight), np.linalg.norm(self.centred)
        dual = self.weight / sizes[0] - self.centred / sizes[1] if min(sizes) > 0 else np.full(1, np.nan)
        found["self_duality"] = float(np.linalg.norm(dual))
        if review is not None:
            found["nc4"] = review.disagreements / self.moments.total
        return found

    def _within(self, review: Review | None) -> tuple[Floats | None, Floats | None]:
        """Sums of squares within classes along the rows of `frame`, and of each class in all directions; None where unknown."""
        moments = self.moments
        if review is not None:
            return review.along, review.squares[self.order]
        if moments.scatter is None:
            return None, None
        along = np.einsum("ij,ij->i", self.frame @ moments.scatter, self.frame)
        return np.maximum(along, 0.0), moments.squares[self.order]


class Review:
    """Sums of a second pass over the samples, when the class means are known.

    Parameters
    ----------
    layer : Layer

    Attributes
    ----------
    seen : int, samples
    counts : (S,) int64, samples of each code
    squares : (S,) float64, sum of ``|h - mean|^2`` of each code
    along : (r,) float64, sum of squares within classes along the rows of the layer's frame
    disagreements : int, samples on which classifier and nearest class mean differ
    """

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        codes = len(layer.moments.counts)
        self.seen, self.disagreements = 0, 0
        self.counts, self.squares = np.zeros(codes, dtype=np.int64), np.zeros(codes)
        self.along = np.zeros(len(layer.frame))
        place = np.zeros(codes, dtype=np.intp)
        place[layer.order] = np.arange(len(layer.order))
        self.place = place  # code to row of the classifier
        weight = layer.weight
        self.directions = layer.frame.T if weight is None else np.concatenate([layer.frame, weight]).T
        means = layer.means - layer.means.mean(axis=0)
        self.coordinates = means @ layer.frame.T  # (K, r)
        self.heights = np.einsum("ij,ij->i", self.coordinates, self.coordinates)
        if weight is None:
            return
        # Logits and bias in common units. The smaller of the two may vanish beside the other.
        own, self.shrink = layer.raw @ weight.T, 0  # (K, K), logits of class means
        if layer.offset is not None and np.abs(layer.offset).max(initial=0.0) > 0:
            height = frexp(float(np.abs(layer.offset).max()))[1]
            unit = height - layer.moments.exponent - layer.breadth
            self.shrink = max(unit - 500, 0)
            own = np.ldexp(own, -self.shrink) + np.ldexp(np.ldexp(layer.offset, -height), unit - self.shrink)
        self.own = own

    def add(self, block: NDArray[Any], codes: Codes) -> None:
        """Add samples of the first pass.

        Parameters
        ----------
        block : (B, d) array of a real dtype
        codes : (B,) int

        Raises
        ------
        InputError
            NaN or infinite entries, or a class that the first pass has not seen.
        """
        if not len(block):
            return
        largest(block, self.seen)
        if codes.max() >= len(self.counts):
            raise InputError("the second pass has a class that the first has not seen; give it the same batches")
        moments, layer = self.layer.moments, self.layer
        samples = moments.load(block)
        samples -= moments.means[codes]
        self.squares += np.bincount(codes, np.einsum("ij,ij->i", samples, samples), len(self.squares))
        self.counts += np.bincount(codes, minlength=len(self.counts))
        self.seen += len(block)
        products = samples @ self.directions
        del samples
        rank = len(self.along)
        inside = products[:, :rank]
        self.along += np.einsum("ij,ij->j", inside, inside)
        if layer.weight is None:
            return
        classes = self.place[codes]
        logits = products[:, rank:]
        if self.shrink:
            logits = np.ldexp(logits, -self.shrink)
        decided = np.argmax(np.add(logits, self.own[classes], out=logits), axis=1)
        inside += self.coordinates[classes]
        scores = inside @ (-2.0 * self.coordinates.T)
        scores += self.heights
        self.disagreements += int(np.count_nonzero(decided != np.argmin(scores, axis=1)))

    def join(self, other: Review) -> None:
        """Add the samples of another second pass.

        Parameters
        ----------
        other : Review, of the same first pass

        Raises
        ------
        InputError
            It is of another first pass.
        """
        one, two = self.layer, other.layer
        if one.names != two.names or not np.array_equal(one.order, two.order) or not np.array_equal(one.means, two.means):
            raise InputError("the two measurements come from different first passes; merge copies of one second_pass()")
        self.seen += other.seen
        self.disagreements += other.disagreements
        self.counts, self.squares = self.counts + other.counts, self.squares + other.squares
        self.along = self.along + other.along


def _row_sum(weight: Floats) -> float:
    size = float(np.linalg.norm(weight)) * float(np.sqrt(len(weight)))
    return float(np.linalg.norm(weight.sum(axis=0))) / size if size > 0 else float("nan")


def _effective_rank(matrix: Floats) -> float:
    """Exponential of the entropy of the singular values as shares of their sum."""
    sigma = np.linalg.svd(matrix, compute_uv=False)
    if not sigma[0] > 0:
        return float("nan")
    share = sigma[sigma > 0] / sigma.sum()
    return float(np.exp(-np.sum(share * np.log(share))))


def _simplex_distance(matrix: Floats) -> float:
    classes = len(matrix)
    size = np.linalg.norm(matrix)
    if not size > 0:
        return float("nan")
    simplex = (np.eye(classes) - 1.0 / classes) / np.sqrt(classes - 1.0)
    return float(np.linalg.norm(matrix / size - simplex))


def _regularity(gram: Floats, suffix: str) -> dict[str, float]:
    norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
    classes = len(gram)
    if not norms.min() > 0:
        return {f"equinorm{suffix}": float("nan"), f"equiangular{suffix}": float("nan")}
    cosines = (gram / np.outer(norms, norms))[~np.eye(classes, dtype=bool)]
    angle = float(np.mean(np.abs(cosines + 1.0 / (classes - 1.0))))
    return {f"equinorm{suffix}": float(norms.std() / norms.mean()), f"equiangular{suffix}": angle}


def _pairs(gram: Floats, counts: NDArray[np.int64], suffix: str) -> dict[str, float]:
    found = pairs(written(gram), counts.astype(np.float64))
    return {name + suffix: float("nan") if value is None else value for name, value in found.items()}
