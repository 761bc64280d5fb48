"""The glossary: the meaning of every printed name, such as metrics, rows of tables, keys of JSON, values of a status.

``ufm explain`` shows these texts, and docs/glossary.md is made of them (``python -m ufm.glossary > docs/glossary.md``).

Notation: K classes, N samples, class sizes n_k, classifier W with rows w_k, features h of samples, class means m_k (raw), and
M for the class means minus their own mean (each class counts the same). ``|.|`` is the Frobenius norm of matrices and the
Euclidean norm of vectors, ``S = I - 11'/K``.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple

from ufm.errors import InputError, brief

PAPYAN = "Papyan, Han & Donoho, PNAS 117(40), 2020"
ZHU = "Zhu et al., arXiv 2105.02375, 2021"
HONG_LING = "Hong & Ling, arXiv 2309.09725, 2023"
ROY = "Roy & Vetterli, EUSIPCO, 2007"
FANG = "Fang, He, Long & Su, PNAS 118(43), 2021"


class Term(NamedTuple):
    """A printed name and its meaning.

    Attributes
    ----------
    name : str, as it is printed
    meaning : str, one or two sentences
    formula : str, or ""
    range : str, values that it can take, with their unit; or ""
    source : str, a paper or a file of this project; or ""
    also : tuple of str, other names of the same thing in rows of tables and keys of JSON
    """

    name: str
    meaning: str
    formula: str = ""
    range: str = ""
    source: str = ""
    also: tuple[str, ...] = ()


COSINE = "-1 to 1; undefined where there is no such pair, or a vector is zero"
SPREAD = "0 (complete collapse) or more; undefined where all class means coincide"
UNIT_PSD = "0 (simplex ETF) to sqrt(2); undefined where the matrix is zero"
BOUND = "docs/theory/2-dual-certificates.md"
VERDICTS = "docs/theory/8-verdicts.md"
RATIO = "docs/theory/7-thresholds.md"
LOGITS = "docs/theory/1-logit-program.md"
CONTRASTIVE = "docs/theory/13-contrastive.md"
POINTS = "docs/theory/10-fixed-points.md"

GLOSSARY: dict[str, tuple[Term, ...]] = {
    "Neural-collapse metrics": (
        Term(
            "nc0",
            "Size of the sum of the classifier's rows, relative to its largest possible size; 0 where the rows sum to zero, 1 "
            "where all are equal.",
            "|W'1| / (sqrt(K) |W|)",
            "0 to 1; undefined where W is zero",
            "ufm/metrics",
        ),
        Term(
            "nc1",
            "Variability of features within their classes, relative to the distances between class means; 0 is complete "
            "collapse. Option --convention chooses how class means are centred and weighted in Sigma_B, which matters where "
            "classes have different sizes.",
            "tr(Sigma_W Sigma_B^+) / K, Sigma_W over all samples about their class means. Sigma_B over class means: zhu2021 "
            "(zhu) mean_k (m_k - m)(m_k - m)' with m = mean_k m_k; papyan2020 mean_k (m_k - g)(m_k - g)' with g the mean of "
            "samples, which M of the other metrics is then about, too; hongling2023 (hong-ling) "
            "sum_k n_k/N (m_k - g)(m_k - g)'",
            "0 or more; undefined where all class means coincide",
            f"{ZHU}; {PAPYAN}; {HONG_LING}",
            ("zhu", "zhu2021", "papyan2020", "hong-ling", "hongling2023"),
        ),
        Term(
            "variability",
            "Mean squared distance of a class's features from their mean, relative to the mean squared norm of centred class "
            "means; as a metric, the mean of it over classes.",
            "(1/n_k) sum_i |h_i - m_k|^2 / (|M|^2 / K), mean over k",
            SPREAD,
            "ufm/metrics",
        ),
        Term(
            "variability_min",
            "Variability of the class that has the least.",
            "min_k (1/n_k) sum_i |h_i - m_k|^2 / (|M|^2 / K)",
            SPREAD,
            "ufm/metrics",
        ),
        Term(
            "variability_max",
            "Variability of the class that has the most.",
            "max_k (1/n_k) sum_i |h_i - m_k|^2 / (|M|^2 / K)",
            SPREAD,
            "ufm/metrics",
        ),
        Term(
            "effective_rank",
            "Number of directions that the classifier uses, weighted by how much it uses them: the exponential of the entropy "
            "of its singular values as shares of their sum.",
            "exp(-sum_i p_i log p_i), p_i = s_i / sum_j s_j, s the singular values of W",
            "1 to K; K - 1 for a simplex ETF",
            ROY,
        ),
        Term(
            "effective_rank_means",
            "Number of directions in which the centred class means lie, weighted as for effective_rank.",
            "exp(-sum_i p_i log p_i), p_i = s_i / sum_j s_j, s the singular values of M",
            "1 to K - 1; K - 1 for a simplex ETF",
            ROY,
        ),
        Term(
            "nc2",
            "Distance of the classifier's Gram matrix from that of a simplex equiangular tight frame, both at norm 1.",
            "|G/|G| - S/sqrt(K-1)| with G = W W'",
            UNIT_PSD,
            ZHU,
        ),
        Term(
            "nc2_means",
            "Distance of the Gram matrix of centred class means from that of a simplex equiangular tight frame, both at "
            "norm 1.",
            "|G/|G| - S/sqrt(K-1)| with G = M M'",
            UNIT_PSD,
            ZHU,
        ),
        Term(
            "nc3",
            "Distance of the product of classifier and centred class means from the simplex, both at norm 1.",
            "|W M'/|W M'| - S/sqrt(K-1)|",
            "0 to 2; undefined where the product is zero",
            ZHU,
        ),
        Term(
            "self_duality",
            "Distance between the classifier and the centred class means, both at norm 1; 0 where they are proportional.",
            "|W/|W| - M/|M||",
            "0 to 2; undefined where one of them is zero",
            PAPYAN,
        ),
        Term(
            "nc4",
            "Share of samples on which the classifier, with its bias, and the nearest raw class mean decide differently.",
            "mean over samples of [argmax_k (w_k h + b_k) differs from argmin_k |h - m_k|]",
            "0 to 1",
            PAPYAN,
        ),
        Term(
            "equinorm",
            "Spread of the norms of the classifiers: standard deviation over mean.",
            "std_k |w_k| / mean_k |w_k|",
            "0 (all norms equal) to sqrt(K-1)",
            PAPYAN,
        ),
        Term(
            "equinorm_means",
            "Spread of the norms of the centred class means: standard deviation over mean.",
            "std_k |M_k| / mean_k |M_k|",
            "0 (all norms equal) to sqrt(K-1)",
            PAPYAN,
        ),
        Term(
            "equiangular",
            "Mean distance of the cosines between classifiers from that of a simplex equiangular tight frame.",
            "mean over pairs of |cos(w_j, w_k) + 1/(K-1)|",
            "0 to 1 + 1/(K-1)",
            PAPYAN,
        ),
        Term(
            "equiangular_means",
            "Mean distance of the cosines between centred class means from that of a simplex equiangular tight frame.",
            "mean over pairs of |cos(M_j, M_k) + 1/(K-1)|",
            "0 to 1 + 1/(K-1)",
            PAPYAN,
        ),
        Term(
            "cos_majority",
            "Mean cosine between the classifiers of two classes of the largest size.",
            "mean of cos(w_j, w_k) over pairs with n_j = n_k = n_max",
            COSINE,
            FANG,
        ),
        Term(
            "cos_majority_means",
            "Mean cosine between the raw class means of two classes of the largest size.",
            "mean of cos(m_j, m_k) over pairs with n_j = n_k = n_max",
            COSINE,
            FANG,
        ),
        Term(
            "cos_minority",
            "Mean cosine between the classifiers of two classes of the smallest size; 1 where the minority has collapsed onto "
            "one classifier.",
            "mean of cos(w_j, w_k) over pairs with n_j = n_k = n_min",
            COSINE,
            FANG,
        ),
        Term(
            "cos_minority_means",
            "Mean cosine between the raw class means of two classes of the smallest size.",
            "mean of cos(m_j, m_k) over pairs with n_j = n_k = n_min",
            COSINE,
            FANG,
        ),
        Term(
            "cos_cross",
            "Mean cosine between the classifier of a class of the largest size and that of a class of the smallest.",
            "mean of cos(w_j, w_k) with n_j = n_max > n_k = n_min",
            COSINE,
            FANG,
        ),
        Term(
            "cos_cross_means",
            "Mean cosine between the raw mean of a class of the largest size and that of a class of the smallest.",
            "mean of cos(m_j, m_k) with n_j = n_max > n_k = n_min",
            COSINE,
            FANG,
        ),
        Term(
            "norm_ratio",
            "Mean norm of the classifiers of the largest classes over that of the smallest classes.",
            "mean of |w_k| with n_k = n_max, over the mean of |w_k| with n_k = n_min",
            "0 or more, 1 on balanced classes; undefined where the smallest classes vanish",
            "ufm/metrics",
        ),
        Term(
            "norm_ratio_means",
            "Mean norm of the raw class means of the largest classes over that of the smallest classes.",
            "mean of |m_k| with n_k = n_max, over the mean of |m_k| with n_k = n_min",
            "0 or more, 1 on balanced classes; undefined where the smallest classes vanish",
            "ufm/metrics",
        ),
        Term(
            "per_class",
            "For every class its name (class), its number of samples (size) and its variability.",
            also=("class",),
        ),
        Term("metrics", "The metrics above, by name, of a solution or of a predicted optimum; null where undefined."),
    ),
    "Value and bounds": (
        Term(
            "value",
            "Of ufm solve and ufm contrastive: the objective at the solution that was found. Of ufm threshold: the critical "
            "value.",
            "",
            "nats, or a ratio of class sizes",
            LOGITS,
        ),
        Term(
            "objective",
            "Regularised training objective over all training samples: mean cross-entropy plus half the decays.",
            "loss + LW/2 |W|^2 + LH/2 sum_i |h_i|^2 + the decays of body, encoder and Jacobian",
            "0 or more, in nats",
            "ufm/training",
        ),
        Term("loss", "Loss without decays, mean over the samples; option --loss chooses it.", "", "nats for cross-entropy"),
        Term(
            "lower",
            "Certified lower bound: the optimum is not below it, for any feature dimension. For a critical ratio, the lower "
            "end of its enclosure; in a prediction, a bound on the training objective of every network with these class sizes "
            "and decays.",
            "weak duality at a witness of column-stochastic probabilities",
            "at most upper",
            BOUND,
            ("certified lower bound", "proved"),
        ),
        Term(
            "upper",
            "Certified upper bound: the objective at explicit factors, with all rounding included. For a critical ratio, the "
            "upper end of its enclosure.",
            "",
            "at least lower",
            BOUND,
        ),
        Term("bounds", "The certified bounds lower .. upper of the optimum, and their level.", "", "", BOUND),
        Term(
            "gap",
            "How far the optimum may be from what was found. Of ufm solve the distance of both bounds; of ufm train the "
            "objective minus the certified lower bound on every network with these class sizes and decays.",
            "upper - lower; objective - lower",
            "0 or more, in nats",
            BOUND,
        ),
        Term(
            "relative_gap",
            "The gap over the upper bound; 0 where both bounds are 0.",
            "(upper - lower) / upper",
            "0 or more",
            BOUND,
        ),
        Term(
            "level",
            "How the bounds were computed: numeric (computed, not proved), float (float64 with a-priori rounding terms) or "
            "rigorous (exact rationals and ball arithmetic).",
            "",
            "numeric, float, rigorous",
            BOUND,
            ("numeric", "float", "rigorous", "level_found"),
        ),
        Term(
            "accepted",
            "Whether the witness of a certificate proves its claim, in exact and ball arithmetic.",
            "",
            "true or false; the row verdict says it in words",
            BOUND,
            ("verdict",),
        ),
        Term("reason", "Why a certificate was accepted or rejected, or why a point of a sweep failed, in one sentence."),
        Term(
            "width",
            "Feature dimension that attains the upper bound of a certificate.",
            "",
            "a whole number",
            BOUND,
            ("valid for",),
        ),
        Term("seconds", "Wall-clock time of the command.", "", "seconds"),
    ),
    "Status and method": (
        Term(
            "status",
            "What a solution may be used for: optimal, zero, open, best or loose. The key message has it as a sentence.",
            "",
            "optimal, zero, open, best, loose",
            "ufm/solvers",
            ("message",),
        ),
        Term(
            "optimal",
            "Status of a solution whose certified gap is within the tolerance of its method.",
            source="ufm/solvers",
        ),
        Term(
            "zero",
            "Status of a certified optimum that is zero, because the decay is too large for the data.",
            "N mu >= |S D^(1/2)|_2 with D = diag(n_k), mu = sqrt(LW LH), for plain cross-entropy without bias, decay per "
            "sample and an explicit head; N mu >= sqrt(n_max) suffices, and is equivalent where two classes have size n_max",
            "",
            RATIO,
        ),
        Term(
            "open",
            "Status of a solution that is not certified to the tolerance; its gap says how far it may be from the optimum.",
            source="ufm/solvers",
        ),
        Term(
            "best",
            "Status of the best solution found where the program is not convex; the certified bounds still enclose the global "
            "optimum.",
            "",
            "",
            "ufm/solvers",
            ("best found",),
        ),
        Term(
            "loose",
            "Status of the best solution found where the features are too narrow: the lower bound then belongs to a "
            "relaxation that may be loose.",
            "dim < K - 1, or dim < K for mse and bce; one more for layernorm",
            "",
            LOGITS,
        ),
        Term(
            "method",
            "The solver that ran, and why it was chosen. separable: closed forms; symmetric: exact reduction by equal class "
            "sizes, second order; factored: the same for many sizes, by conjugate gradients, and for narrow models descent on "
            "factors of the logits; proximal: accelerated proximal gradient; multistart: descent from structured codes and "
            "random starts; gradient: gradient descent on W and H, sample by sample; convex: a convex program through cvxpy; "
            "table: proximal gradient, then Newton steps, on a table of targets; step (in sweeps): a root in one angle. Of ufm "
            "contrastive: two groups (a root in two scalars), descent (on class vectors), orthogonal frame (closed form).",
            "",
            "auto, separable, symmetric, factored, proximal, multistart, gradient, convex, table",
            "docs/solvers.md, section What each one is for",
            (
                "route",
                "auto",
                "separable",
                "symmetric",
                "factored",
                "proximal",
                "multistart",
                "gradient",
                "convex",
                "table",
                "step",
            ),
        ),
        Term(
            "candidates",
            "Local solutions that were tried where the program is not convex, best first: the name of the start, the value, "
            "and the rank of the logits.",
            "",
            "",
            "ufm/solvers",
            ("name", "candidate"),
        ),
        Term(
            "rank",
            "Rank of the logits (without bias) of a candidate, or of the solution on a table of targets; the simplex ETF has "
            "rank K - 1.",
            "",
            "0 to K",
        ),
        Term(
            "etf code",
            "The candidate whose logits are a simplex ETF; it has the full rank K - 1.",
            source="Garrod & Keating, deep linear unconstrained-feature models, 2025",
        ),
        Term(
            "pair code",
            "The candidate that contrasts classes in pairs and nothing else; it has rank K/2 (for even K).",
            source="Garrod & Keating, deep linear unconstrained-feature models, 2025",
            also=("triple code", "half code"),
        ),
    ),
    "Tables of targets": (
        Term(
            "floor",
            "The least value that the loss itself can take on a table's targets, whatever the logits: their mean entropy (of "
            "label sets: times the number of labels), 0 for squared error.",
            "sum_m pi_m H(y_m)",
            "0 or more, in nats",
        ),
        Term(
            "cos_rows",
            "Smallest and largest cosine between two rows of the classifier W; rows of zeros are left out.",
            "w_j w_k / (|w_j| |w_k|)",
            "-1 to 1; undefined with fewer than two rows that are not zero",
            also=("cos_rows_min", "cos_rows_max"),
        ),
        Term(
            "cos_contexts",
            "Smallest and largest cosine between the features of two contexts; zero features are left out.",
            "h_m h_l / (|h_m| |h_l|)",
            "-1 to 1; undefined with fewer than two features that are not zero",
            also=("cos_contexts_min", "cos_contexts_max"),
        ),
        Term(
            "cos_tasks",
            "Smallest and largest cosine between two tasks of two rows each; 1 where two tasks have become one.",
            "cosine of w_1 - w_2 of one task with that of another",
            "-1 to 1; undefined where a task's weights are zero",
            also=("cos_tasks_min", "cos_tasks_max"),
        ),
        Term(
            "directions",
            "Number of distinct directions of the features of contexts, equal within a cosine distance of 1e-8.",
            "",
            "0 to M",
        ),
    ),
    "Collapse": (
        Term(
            "collapsed",
            "Whether the smallest classes of the optimum share one classifier: yes and no are theorems about the optimum, from "
            "the certified gap, and anything else is undecided. A tolerance of 1e-6 nats counts as collapsed.",
            "yes where upper <= 1e-6, no where lower > 0, for the enclosure of the contrast",
            "yes, no, undecided",
            VERDICTS,
            ("smallest classes collapsed", "theory: minority collapsed", "yes", "no", "undecided", "theory_collapsed"),
        ),
        Term(
            "contrast",
            "Enclosure of the optimum's logit contrast within classes of one size: logit of a class minus that of another of "
            "them, in its column. 0 is collapse.",
            "z_kk - z_jk with n_j = n_k",
            "0 or more, in nats; null as the upper end means no bound",
            VERDICTS,
        ),
        Term(
            "collapsed_groups",
            "Which groups of equal classes share one classifier at the optimum, in the table of a sweep: proved in ball "
            "arithmetic, or from closed forms in float64 where the route is step.",
            "",
            "none, minority, majority, both, all (balanced classes), sizes, undecided",
            VERDICTS,
        ),
        Term(
            "contrast_majority",
            "Logit contrast of the largest classes of the solution found: own logit minus the mean of the others of that "
            "size; 0 where they share one classifier.",
            "",
            "nats",
            VERDICTS,
        ),
        Term(
            "contrast_minority",
            "Logit contrast of the smallest classes of the solution found: own logit minus the mean of the others of that "
            "size.",
            "",
            "nats",
            VERDICTS,
        ),
        Term(
            "groups",
            "A verdict for every size that at least two classes have, largest first: size, classes, collapsed, contrast.",
            "",
            "",
            VERDICTS,
        ),
        Term(
            "ranges",
            "Near-collapse of ranges of class sizes, by default many (more than 100 samples), medium (20 to 100) and few "
            "(fewer than 20) where there are more than two sizes: name, smallest and largest size, classes, collapsed, "
            "lower and upper end of the largest contrast of neighbours, cosine, neighbours, norm. Of a box of a theorem: its "
            "parameters' ranges.",
            "collapsed is yes iff the contrast of all neighbours is at most 0.1 nats",
            "",
            "ufm/analysis/size_ranges.py",
            ("range", "smallest", "largest"),
        ),
        Term(
            "neighbours",
            "Least cosine between the classifiers of two classes of a range that are next to each other in the order of sizes; "
            "with _means between their class means.",
            "min over neighbours of cos(w_j, w_k)",
            COSINE,
            "ufm/metrics/size_ranges.py",
            ("neighbours_means",),
        ),
        Term(
            "cosine",
            "Mean cosine between classifiers over all pairs of a range of sizes; with _means between class means. Of ufm "
            "contrastive: cosine between two class vectors of the same size, with its enclosure at the optimum. As a head: "
            "classifiers and features of fixed norms.",
            "mean of cos(w_j, w_k)",
            COSINE,
            "ufm/metrics/size_ranges.py",
            ("cosine_means",),
        ),
        Term(
            "norm",
            "Mean norm of the classifiers of a range of sizes, over the norm of those of the largest classes; with _means of "
            "class means.",
            "mean_k |w_k| / |w_max|",
            "0 or more",
            "ufm/metrics/size_ranges.py",
            ("norm_means",),
        ),
        Term("size", "Samples of each class in a group of equally large classes.", "", "a whole number"),
        Term(
            "classes",
            "Number of classes of one size; as the option --classes KA,KB, the numbers of majority and of minority classes.",
            "",
            "a whole number",
        ),
    ),
    "Critical ratio": (
        Term(
            "critical ratio",
            "Imbalance ratio R0 from which the minority classes of the optimum (or those of the named group) share one "
            "classifier.",
            "R = n_majority / n_minority",
            "1 or more",
            RATIO,
            ("R0", "ratio", "meaning"),
        ),
        Term(
            "critical decay",
            "Decay from which a group of equal classes shares one classifier, at a given imbalance ratio.",
            "sqrt(LW LH)",
            "positive",
            RATIO,
        ),
        Term(
            "critical minority-count",
            "Samples of each minority class from which a group of equal classes shares one classifier, not rounded.",
            "n_minority",
            "positive",
            RATIO,
            ("minority-count",),
        ),
        Term(
            "critical rho",
            "Spectral budget of an equilibrium up to which a group of equal classes shares one classifier.",
            "rho in |A|_2 <= rho",
            "below 1; negative where no group is collapsed under the explicit head",
            RATIO,
        ),
        Term(
            "group",
            "The classes that collapse at a critical value: the first group to do so, or both at once.",
            "",
            "minority, majority, both; all for balanced classes",
            RATIO,
        ),
        Term(
            "quantity",
            "What a threshold is a value of: the imbalance ratio, the decay sqrt(LW LH), the samples of a minority class, the "
            "spectral budget of an equilibrium, or the decay on A.",
            "",
            "ratio, decay, minority-count, rho, decay on A",
        ),
        Term(
            "enclosure",
            "Bounds of the critical ratio, and their level. At level numeric they enclose where the best solution found "
            "changes.",
            "lower .. upper",
            "",
            RATIO,
            ("ratio_lower", "ratio_upper"),
        ),
        Term(
            "transition",
            "How the contrast of the group vanishes at the critical ratio: continuous, or in a jump.",
            "",
            "continuous, jump",
            RATIO,
            ("continuous", "jump"),
        ),
        Term("note", "A remark on the answer, or on what it does not include."),
    ),
    "Contrastive learning": (
        Term(
            "temperature",
            "Temperature tau of the supervised contrastive loss, by which cosines between class vectors are divided.",
            "sum_k pi_k log sum_j pi_j exp((cos_kj - 1) / tau), pi_k = n_k / N",
            "1e-3 to 1e4",
            CONTRASTIVE,
        ),
        Term(
            "nonnegative",
            "Whether no cosine between class vectors may be negative, as for features after a ReLU. The optimum is then the "
            "orthogonal frame.",
            "cos_kj >= 0",
            "true, false",
            CONTRASTIVE,
            ("orthogonal frame",),
        ),
        Term(
            "cosines",
            "Cosines between class vectors by distinct class size, largest first: of two classes of different sizes off the "
            "diagonal, and of the same size on it (1 where one class has that size).",
            "",
            COSINE,
            CONTRASTIVE,
        ),
        Term(
            "cosine_lower",
            "Lower and upper end of the enclosure of the optimum's cosine between two class vectors of the same size. The "
            "classes are collapsed (yes) where the lower end is at least 1 - 1e-6, and not (no) where the upper end is below "
            "1.",
            "from the gap between the certified bounds",
            "-1 to 1",
            CONTRASTIVE,
            ("cosine_upper",),
        ),
    ),
    "Remedies": (
        Term(
            "remedies",
            "Of ufm advise: one row for each remedy of class imbalance, with who collapses, the critical decays, and the "
            "geometry of the certified optimum.",
            "",
            "",
            RATIO,
            ("remedy",),
        ),
        Term(
            "first",
            "The classes that are the first to collapse as decay grows.",
            "",
            "minority, majority, both, all",
        ),
        Term("collapses", "The classes that are collapsed at the given decays, proved in closed form.", "", "as for first"),
        Term(
            "sizes_solved",
            "Distinct class sizes of the optimum whose geometry is given; more than 60 are rounded. Who collapses is decided "
            "at the sizes as they are.",
            "",
            "a whole number",
            "ufm/analysis/advice.py",
        ),
        Term("words", "A remedy in one sentence."),
        Term(
            "not_covered",
            "What the model behind the advice does not cover.",
            "",
            "",
            "",
            ("not covered", "none"),
        ),
    ),
    "Distance to theory": (
        Term(
            "to_theory_weight",
            "Distance of the classifier's Gram matrix from that of the certified optimum, both at norm 1.",
            "|G/|G| - G*/|G*|| with G = W W'",
            "0 to sqrt(2); undefined where one vanishes, or where the network is too narrow for the optimum",
            "ufm/analysis",
        ),
        Term(
            "to_theory_means",
            "Distance of the Gram matrix of the raw class means from that of the certified optimum, both at norm 1.",
            "|G/|G| - G*/|G*|| with G_jk = m_j'm_k",
            "0 to sqrt(2); undefined where one vanishes, or where the network is too narrow for the optimum",
            "ufm/analysis",
        ),
        Term(
            "to_theory_logits",
            "Distance of the logits of the class means from those of the certified optimum, both at norm 1.",
            "|Z/|Z| - Z*/|Z*|| with z_jk = w_j'm_k",
            "0 to 2; undefined where one vanishes, or where the network is too narrow for the optimum",
            "ufm/analysis",
        ),
        Term(
            "theory",
            "The certified optimum of the unconstrained-feature model with the network's class sizes and decays. theory_NAME "
            "is its value of the metric NAME, theory_value its objective, theory_lower its certified lower bound.",
            "",
            "",
            "ufm/analysis",
            ("prediction", "problem", "theory_value", "theory_lower"),
        ),
        Term(
            "certified",
            "Whether a prediction's geometry is that of a certified optimum that a network of this width can attain; of a box "
            "of a theorem: whether all that it rests on holds, its wrong formulas are rejected, and its band is narrow enough.",
            "",
            "true or false",
            "ufm/training",
        ),
        Term(
            "to_etf",
            "The same distances to the simplex ETF: of classifiers (weight), of raw class means (means) and of their logits.",
            "|G/|G| - S/sqrt(K-1)|",
            "0 to 2; undefined where one vanishes",
            "ufm/analysis",
            ("to_etf_weight", "to_etf_means", "to_etf_logits"),
        ),
        Term(
            "to_seli",
            "The same distances to the geometry of simplex-encoded labels, the optimum as decay goes to zero; its logits are "
            "those of the simplex ETF.",
            "",
            "0 to 2; undefined where one vanishes",
            "Thrampoulidis et al., NeurIPS, 2022",
            ("to_seli_weight", "to_seli_means", "to_seli_logits"),
        ),
        Term(
            "effective_mu",
            "Decay that the network behaves as if it had: the least-squares solution of stationarity of cross-entropy in W, in "
            "the features and in the bias.",
            "effective_weight = -<Z,G>/|W|^2, effective_features = -<Z,G>/|H|^2, effective_bias = -<b,G1>/|b|^2 or 0, "
            "effective_mu = sqrt(effective_weight effective_features); Z = W H, G the gradient of the mean loss in Z",
            "positive near a stationary point; undefined where negative",
            "ufm/analysis",
            ("effective_weight", "effective_features", "effective_bias"),
        ),
        Term(
            "residual",
            "How far the network is from stationary at its effective decays, and so how little these can be trusted; the "
            "largest of those of classifier, features and bias.",
            "residual_weight = |G H' + LW W| / |G H'|, residual_features = |W'G + LH H| / |W'G|",
            "0 (stationary) to 1; up to .01 counts as stationary, up to .2 as nearly so",
            "ufm/analysis",
            ("residual_weight", "residual_features", "residual_bias"),
        ),
        Term(
            "critical_mu",
            "Decay from which on the smallest classes of the optimum collapse onto one classifier.",
            "sqrt(n_min) / N, for mu = sqrt(LW LH)",
            "positive; undefined with --relu, and where only one class has the smallest size",
            RATIO,
        ),
        Term("finding", "What a comparison of a network with the certified optimum says, in words."),
        Term(
            "theory_bias",
            "What the prediction does with a bias in the file: none (there is none), modelled (as --decay LW,LH,LB or "
            "stationarity says) or "
            "ignored.",
            "",
            "none, modelled, ignored",
            "ufm/cli",
            ("modelled", "ignored"),
        ),
    ),
    "Training": (
        Term(
            "accuracy",
            "Share of the test samples whose largest logit is that of their class; the test samples are balanced.",
            "",
            "0 to 1",
            "ufm/training",
            ("test accuracy",),
        ),
        Term(
            "train_accuracy",
            "Share of the training samples whose largest logit is that of their class.",
            "",
            "0 to 1",
            "ufm/training",
        ),
        Term(
            "majority",
            "Accuracy on the test samples of the classes that are largest in training.",
            "",
            "0 to 1",
            "ufm/training",
        ),
        Term(
            "minority",
            "Accuracy on the test samples of the classes that are smallest in training.",
            "",
            "0 to 1",
            "ufm/training",
        ),
        Term(
            "ceiling",
            "Accuracy of the Bayes rule with equal priors on the same test samples; known for mixtures only.",
            "",
            "0 to 1; null for digits",
            "ufm/training",
            ("Bayes accuracy",),
        ),
        Term(
            "forward_calls",
            "Calls of the equilibrium map for each batch, mean over the epoch; for an explicit stack its number of layers.",
            "",
            "1 or more",
            "ufm/training",
        ),
        Term(
            "backward_calls",
            "Calls of the map's vector-Jacobian product for each batch, mean over the epoch; for an explicit stack its number "
            "of layers.",
            "",
            "1 or more",
            "ufm/training",
        ),
        Term(
            "unsolved",
            "Samples of the epoch whose equilibrium or adjoint missed its tolerance.",
            "",
            "0 or more",
            "ufm/training",
        ),
        Term("epoch", "Passes over the training samples so far.", "", "a whole number"),
        Term("results", "The last row of a run's history: objective, accuracies, metrics, distances to theory, work."),
        Term("parameters", "Number of the network's parameters; a DEQ and its explicit match have equally many."),
        Term("settings", "The options of a run, as its file keeps them; a folder is continued only with the same ones."),
        Term("versions", "Versions of this package, Python and the libraries that computed a file."),
        Term(
            "counts",
            "Class sizes as SIZE*CLASSES items: 100*3,10*7 is 3 classes of 100 samples each and 7 classes of 10.",
            also=("sizes",),
        ),
        Term(
            "file", "Where the run is: an .npz with features, labels, classifier, history and description.", also=("summary",)
        ),
        Term(
            "statements",
            "What the data of a comparison support, as sentences from paired intervals over seeds.",
            "",
            "",
            "docs/deq-against-explicit.md",
        ),
        Term("missing", "Runs of a comparison that are not finished, or whose file is damaged.", "", "0 or more"),
    ),
    "Controls of a trained equilibrium": (
        Term(
            "control: error",
            "Certified bound on the largest distance of a test sample's features from its equilibrium (level float).",
            "max_i |z_i - z_i*|",
            "0 or more; undefined (infinite) where the layer is not known to be a contraction",
            POINTS,
            ("error",),
        ),
        Term(
            "control: spectral_radius",
            "Largest spectral radius of a Jacobian at the equilibria of some 200 test samples, by growth rates (level "
            "numeric); below 1 iteration near an equilibrium converges to it.",
            "max_i rho(J_i)",
            "0 or more",
            "ufm/deq",
            ("spectral_radius",),
        ),
        Term(
            "control: distinct",
            "Largest number of fixed points found for one of some 200 test samples, from 5 random starts. That only one is "
            "found does not prove that there is only one; a spectral norm of the layer's matrix below 1 does.",
            "",
            "a whole number from 0 (none converged) to 5",
            "ufm/deq",
            ("distinct",),
        ),
        Term(
            "control: moved",
            "Relative distance of the equilibrium from one application of the layer, median over test samples; near 0 solving "
            "has no effect.",
            "median_i |z_i* - f(0)| / |z_i*|",
            "0 or more",
            "ufm/deq",
            ("moved",),
        ),
        Term(
            "control: accuracy",
            "Test accuracy of the equilibria, solved anew to a relative 1e-8.",
            "",
            "0 to 1",
            "ufm/training",
        ),
        Term(
            "control: accuracy_one_step",
            "Test accuracy with the same classifier on the features f(0): one application of the layer in the place of its "
            "equilibrium.",
            "",
            "0 to 1",
            "ufm/training",
            ("accuracy_one_step",),
        ),
        Term(
            "control: accuracy_encoder",
            "Test accuracy with the same classifier on the output of the encoder: no layer at all.",
            "",
            "0 to 1",
            "ufm/training",
            ("accuracy_encoder",),
        ),
        Term("controls", "The controls above, by name; empty for an explicit network."),
    ),
    "Sweeps": (
        Term("points", "Points of a sweep's grid.", "", "a whole number"),
        Term("done", "Points that are computed and stored.", "", "a whole number"),
        Term("failed", "Points that could not be computed; the store keeps the reason of each.", "", "a whole number"),
        Term(
            "interrupted",
            "Points that were under way when a run was stopped; the same command computes them.",
            "",
            "a whole number",
        ),
        Term("left", "Points that are neither done nor failed yet.", "", "a whole number"),
        Term("store", "The SQLite file of a sweep: spec, versions, and one row for each point."),
        Term("title", "The title that a spec gives its sweep."),
    ),
    "Theorem book": (
        Term(
            "kind",
            "What sort of claim a theorem makes: tight (an exact value or condition), upper or lower (a bound), "
            "identity (two things are the same), limit, impossibility (shown by a counterexample).",
            range="tight, upper, lower, identity, limit, impossibility",
        ),
        Term(
            "boxes",
            "What a theorem says over continuous ranges of its parameters, certified as a whole: the ranges, the route that "
            "decides it (closed form, monotonicity and a mesh, interval Newton) with its argument, the regions that are "
            "certified below and above the border, the number of cells of the mesh, and points of the border.",
            also=("argument", "below", "above", "cells", "border"),
        ),
        Term(
            "band",
            "Upper bound of the relative measure of the parameters of a box that are left undecided.",
            range="0 or more, at most 1e-6 where the box is certified; null where infinite",
        ),
        Term(
            "proof",
            "How much of a theorem's claim its symbolic steps prove for general parameters; open_steps says what they "
            "leave to argument.",
            range="complete, in part, none",
            also=("open_steps",),
        ),
        Term(
            "margin",
            "How far a comparison is from going the other way. Of an equality: largest possible relative distance of "
            "both sides, to be below the tolerance; of an inequality or a verdict: the slack.",
            range="0 or more; null where infinite",
            also=("tolerance",),
        ),
        Term(
            "outcome",
            "What a comparison or a theorem came to. Violated needs disjoint enclosures, holds needs the slack; "
            "anything else is inconclusive.",
            range="holds, violated, inconclusive",
        ),
        Term(
            "relation",
            "What a comparison claims of its two sides: equal (=), smaller (<), or the same verdict (is).",
            range="=, <, is",
        ),
        Term(
            "predicted",
            "What a theorem or a conjecture says, as an enclosure [lower, upper] or a verdict; of an inequality the "
            "smaller side. What a certified computation says, or the larger side, is 'computed'.",
            also=("computed",),
        ),
        Term(
            "hypotheses",
            "Conditions of a theorem, each satisfied by every instance that is checked.",
        ),
        Term(
            "required",
            "Weakest level at which a theorem's claim counts as checked where level rigorous is asked for.",
            range="numeric, float, rigorous",
        ),
        Term(
            "locator",
            "Place of a claim in its source, such as a theorem's number; 'locator unknown' where it was not seen. "
            "'bibtex' is the key of the source.",
            also=("bibtex",),
        ),
        Term(
            "instances",
            "Number of points of a theorem's grid that were checked.",
            range="whole number",
        ),
        Term(
            "cached",
            "Whether a theorem's comparisons are those of an earlier run of the same code, its certificates verified again.",
            range="true, false",
        ),
        Term(
            "counterexample",
            "Point at which a conjecture is refuted: enclosures of what is predicted and what is computed are "
            "disjoint, both proved.",
            range="null where there is none",
            also=(
                "closest",
                "contradicted_without_proof",
            ),
        ),
    ),
    "Conventions": (
        Term(
            "decay",
            "Weight decay LW,LH[,LB] of classifier, features and bias: half convention beside the mean loss, features per "
            "sample.",
            "loss + LW/2 |W|^2 + LH/2 sum over all samples of |h_i|^2 [+ LB/2 |b|^2]",
            "positive; LB = 0 is a free bias, no LB is no bias",
            "ufm/problem",
        ),
        Term(
            "budget",
            "Norm budgets EW,EH of classifier and features; every class counts the same, whatever its size.",
            "|W|^2 / K <= EW, (1/K) sum_k (1/n_k) sum_i |h_ki|^2 <= EH",
            "positive",
            FANG,
        ),
        Term(
            "convention",
            "How the numbers of --decay are meant. mean-half is what this package uses: the mean loss beside half the decays, "
            "features per sample; the others are converted to it.",
            "mean-half: LW, LH, LB; mean-full: 2 LW, 2 LH, 2 LB; sum-half: LW/N, LH/N, LB/N; sum-full: 2 LW/N, 2 LH/N, 2 LB/N; "
            "fang: 2 LW/K, 2 LH/K with features per class",
            "mean-half, mean-full, sum-half, sum-full, fang",
            "ufm/conventions.py",
            ("mean-half", "mean-full", "sum-half", "sum-full", "fang"),
        ),
        Term(
            "head",
            "Architecture between free features and logits. It enters only through what it charges for a singular value of the "
            "logits.",
            "",
            "explicit[:L], deq:rho=R, deq:decay=LA,contraction=G, deq:frobenius=E, relu, etf[:norm=X,average], "
            "layernorm[:norm=R], cosine:scale=S",
            "docs/models.md, section Heads",
            ("explicit", "deq", "relu", "etf", "layernorm"),
        ),
        Term(
            "undefined",
            "In the place of a number: there is no such pair of classes, or a vector or matrix is zero. JSON has null.",
            also=("null",),
        ),
    ),
}
"""All terms, by section."""


def _key(name: str) -> str:
    """A name in the form in which names are compared: lower case, single spaces, without brackets at its end."""
    name = name.strip()
    if name.endswith(")"):
        name = name.rpartition("(")[0]
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


_FOUND: dict[str, Term] = {}
for _terms in GLOSSARY.values():
    for _term in _terms:
        for _name in (_term.name, *_term.also):
            _FOUND.setdefault(_key(_name), _term)
for _terms in GLOSSARY.values():
    for _term in _terms:
        _FOUND[_key(_term.name)] = _term


def explained(name: str) -> Term:
    """The term for a printed name: a metric, a row of a table, a key of JSON, a status.

    Raises
    ------
    InputError
        There is no such term; the message suggests similar ones.

    Examples
    --------
    >>> explained("NC1").range
    '0 or more; undefined where all class means coincide'
    >>> explained("bounds (float)").name
    'bounds'
    """
    key = _key(name[:200])
    found = _FOUND.get(key) or (_FOUND["theory"] if key.startswith("theory ") and key[7:] in _FOUND else None)
    if found is None:
        close = list(dict.fromkeys(_FOUND[match].name for match in get_close_matches(key, _FOUND, 5)))[:3]
        remedy = f"did you mean {' or '.join(close)}" if close else "choose one of those that 'ufm explain' lists"
        raise InputError(f"TERM is {brief(name)}, which nothing here is called; {remedy}")
    return found


def names() -> list[str]:
    """Names of all terms, in the order of the glossary."""
    return [term.name for terms in GLOSSARY.values() for term in terms]


def markdown() -> str:
    """The glossary as Markdown, the text of docs/glossary.md."""
    lines = [
        "# Glossary",
        "",
        "What the commands print, as `ufm explain TERM` says it. Written by `python -m ufm.glossary > docs/glossary.md` from",
        "ufm/glossary.py; change it there.",
        "",
        "Notation: $K$ classes, $N$ samples, class sizes $n_k$, classifier `W` with rows `w_k`, features `h` of samples, class",
        "means `m_k` (raw), and `M` for the class means minus their own mean, in which every class counts the same. `|.|` is",
        "the Frobenius norm of matrices and the Euclidean norm of vectors, and `S = I - 11'/K`.",
    ]
    for section, terms in GLOSSARY.items():
        lines += ["", f"## {section}"]
        for term in terms:
            lines += ["", f"### {term.name}", "", term.meaning]
            more = [
                f"- {what}: {text}"
                for what, text in (
                    ("Formula", f"`{term.formula}`" if term.formula else ""),
                    ("Range", term.range),
                    ("Also", ", ".join(f"`{name}`" for name in term.also)),
                    ("Source", term.source),
                )
                if text
            ]
            lines += ["", *more] if more else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
