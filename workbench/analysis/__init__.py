"""Looking at models as tables: every function returns a tidy DataFrame and its docstring lists the columns.

Accuracies are in percent, with 95 % Wilson intervals.
"""

from workbench.analysis.accuracies import (
    accuracy,
    budget,
    costs,
    curves,
    policies,
    sweep,
    training,
)
from workbench.analysis.norms import (
    DIVERGENCES,
    attribution,
    branch_divergence,
    divergence,
    gap,
    input_channels,
    network_divergence,
    norm_channels,
    norm_inputs,
    norm_parameters,
)
from workbench.analysis.representations import (
    components,
    maps,
    probes,
    similarity,
)
from workbench.analysis.sentences import (
    comparison,
    diagnosis,
    recovery,
)
from workbench.analysis.videos import (
    calibration,
    class_accuracy,
    confusion,
    confusion_difference,
    decisions,
    flip_counts,
    flips,
    paired,
    reliability,
    stability,
)

__all__ = [
    "DIVERGENCES",
    "accuracy",
    "attribution",
    "branch_divergence",
    "budget",
    "calibration",
    "class_accuracy",
    "comparison",
    "components",
    "confusion",
    "confusion_difference",
    "costs",
    "curves",
    "decisions",
    "diagnosis",
    "divergence",
    "flip_counts",
    "flips",
    "gap",
    "input_channels",
    "maps",
    "network_divergence",
    "norm_channels",
    "norm_inputs",
    "norm_parameters",
    "paired",
    "policies",
    "probes",
    "recovery",
    "reliability",
    "similarity",
    "stability",
    "sweep",
    "training",
]
