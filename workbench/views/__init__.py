"""What the dashboard and reports show: each view is a chart, the table behind it, and the Python that makes both."""

from workbench.views.accuracies import accuracy
from workbench.views.classes import calibration, class_deviation, confusion, confusion_change, reliability
from workbench.views.comparisons import compared, differences, storage
from workbench.views.costs import adaptive, trade_off
from workbench.views.lesson import (
    methods,
    recorded_curves,
    recorded_gap,
    recorded_matrix,
    recorded_shifts,
)
from workbench.views.live import (
    answers,
    arrivals,
    learning,
    passes,
    validation,
)
from workbench.views.norms import (
    branches,
    channels,
    divergence,
    experiment,
    networks,
    norms,
    shifts,
    transplant,
)
from workbench.views.representations import (
    embedding,
    probes,
    side_by_side,
    similarity_curves,
    similarity_frames,
    similarity_layers,
    similarity_networks,
)
from workbench.views.videos import flips, ranking, stability
from workbench.views.view import Origin, View

__all__ = [
    "Origin",
    "View",
    "accuracy",
    "adaptive",
    "answers",
    "arrivals",
    "branches",
    "calibration",
    "channels",
    "class_deviation",
    "compared",
    "confusion",
    "confusion_change",
    "differences",
    "divergence",
    "embedding",
    "experiment",
    "flips",
    "learning",
    "methods",
    "networks",
    "norms",
    "passes",
    "probes",
    "ranking",
    "recorded_curves",
    "recorded_gap",
    "recorded_matrix",
    "recorded_shifts",
    "reliability",
    "shifts",
    "side_by_side",
    "similarity_curves",
    "similarity_frames",
    "similarity_layers",
    "similarity_networks",
    "stability",
    "storage",
    "trade_off",
    "transplant",
    "validation",
]
