"""Names of `ufm` and where they live; each is loaded at its first use (`lazy_loader`)."""

from . import (
    analysis as analysis,
    certify as certify,
    contrastive as contrastive,
    conventions as conventions,
    deq as deq,
    errors as errors,
    explore as explore,
    metrics as metrics,
    plot as plot,
    problem as problem,
    solvers as solvers,
    spectral as spectral,
    sweep as sweep,
    targets as targets,
    training as training,
)
from .analysis import (
    Advice as Advice,
    Collapse as Collapse,
    EffectiveDecays as EffectiveDecays,
    NetworkPrediction as NetworkPrediction,
    Prediction as Prediction,
    Report as Report,
    advise as advise,
    collapse as collapse,
    geometry as geometry,
    predict as predict,
    report as report,
)
from .analysis.critical_points import (
    CriticalPoint as CriticalPoint,
    Landscape as Landscape,
    classify as classify,
    hessian_eigenvalues as hessian_eigenvalues,
    landscape as landscape,
)
from .analysis.tables import table_geometry as table_geometry
from .analysis.thresholds import (
    Threshold as Threshold,
    etf_window as etf_window,
    pair_depth as pair_depth,
    threshold as threshold,
)
from .certify import Certificate as Certificate, Recheck as Recheck, recheck as recheck
from .contrastive import (
    ContrastiveSolution as ContrastiveSolution,
    GramProgram as GramProgram,
    contrastive_threshold as contrastive_threshold,
    solve_contrastive as solve_contrastive,
)
from .errors import ConvergenceError as ConvergenceError, InputError as InputError, RunError as RunError
from .metrics import (
    Measured as Measured,
    Measurement as Measurement,
    measure as measure,
    orthogonal_frame as orthogonal_frame,
    seli as seli,
    simplex_etf as simplex_etf,
)
from .problem import (
    BinaryCrossEntropy as BinaryCrossEntropy,
    ClassCounts as ClassCounts,
    ClassifierDecay as ClassifierDecay,
    Cosine as Cosine,
    CrossEntropy as CrossEntropy,
    DecayedDEQ as DecayedDEQ,
    Explicit as Explicit,
    FixedETF as FixedETF,
    Focal as Focal,
    FrobeniusDEQ as FrobeniusDEQ,
    LayerNorm as LayerNorm,
    LinearDEQ as LinearDEQ,
    MultiTask as MultiTask,
    NoDecay as NoDecay,
    NormBudget as NormBudget,
    Parameters as Parameters,
    PickAllLabels as PickAllLabels,
    Problem as Problem,
    ReLU as ReLU,
    SquaredError as SquaredError,
    WeightDecay as WeightDecay,
    balanced as balanced,
    long_tailed as long_tailed,
    step_imbalanced as step_imbalanced,
)
from .solvers import Solution as Solution, Status as Status
from .solvers.automatic import solve as solve
from .targets import TargetTable as TargetTable

__version__: str
