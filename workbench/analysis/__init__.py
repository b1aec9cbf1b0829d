"""Looking at models as tables: every function returns a tidy DataFrame and its docstring lists the columns.

Accuracies are in percent, with 95 % Wilson intervals.
"""

from workbench.analysis.accuracies import (
    accuracy,
    budget,
    curves,
    policies,
    sweep,
    training,
)
from workbench.analysis.comparisons import differences
from workbench.analysis.live import (
    answers,
    arrivals,
    epochs,
    footage,
    likeliest,
    passes,
)
from workbench.analysis.norms import (
    DIVERGENCES,
    attribution,
    branch_divergence,
    channel_shifts,
    divergence,
    gains,
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
from workbench.analysis.reproductions import (
    bundled_accuracy,
    bundled_divergence,
    reproduced,
)
from workbench.analysis.sentences import (
    comparison,
    diagnosis,
    explained,
    recovery,
    transplanted,
)
from workbench.analysis.trade_offs import (
    costs,
    latencies,
    storage,
    trade_offs,
    within_budget,
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
    "answers",
    "arrivals",
    "attribution",
    "branch_divergence",
    "budget",
    "bundled_accuracy",
    "bundled_divergence",
    "calibration",
    "channel_shifts",
    "class_accuracy",
    "comparison",
    "components",
    "confusion",
    "confusion_difference",
    "costs",
    "curves",
    "decisions",
    "diagnosis",
    "differences",
    "divergence",
    "epochs",
    "explained",
    "flip_counts",
    "flips",
    "footage",
    "gains",
    "gap",
    "input_channels",
    "latencies",
    "likeliest",
    "maps",
    "network_divergence",
    "norm_channels",
    "norm_inputs",
    "norm_parameters",
    "paired",
    "passes",
    "policies",
    "probes",
    "recovery",
    "reliability",
    "reproduced",
    "similarity",
    "stability",
    "storage",
    "sweep",
    "trade_offs",
    "training",
    "transplanted",
    "within_budget",
]
