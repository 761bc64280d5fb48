"""Names of `ufm.analysis` and where they live; each is loaded at its first use (`lazy_loader`)."""

from .advice import Advice as Advice, Remedy as Remedy, advise as advise
from .critical_points import (
    CriticalPoint as CriticalPoint,
    Landscape as Landscape,
    classify as classify,
    hessian_eigenvalues as hessian_eigenvalues,
    landscape as landscape,
)
from .effective_decays import EffectiveDecays as EffectiveDecays
from .group_collapse import Collapse as Collapse, GroupCollapse as GroupCollapse, collapse as collapse
from .network_prediction import NetworkPrediction as NetworkPrediction
from .prediction import Prediction as Prediction, predict as predict
from .reporting import Report as Report, report as report
from .solution_geometry import geometry as geometry
from .tables import table_geometry as table_geometry
from .thresholds import Threshold as Threshold, etf_window as etf_window, pair_depth as pair_depth, threshold as threshold
