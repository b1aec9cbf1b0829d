"""What the dashboard and reports show: each view is a chart, the table behind it, and the Python that makes both."""

from workbench.views.accuracies import accuracy
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
from workbench.views.view import Origin, View

__all__ = [
    "Origin",
    "View",
    "accuracy",
    "answers",
    "arrivals",
    "branches",
    "channels",
    "divergence",
    "experiment",
    "learning",
    "methods",
    "networks",
    "norms",
    "passes",
    "recorded_curves",
    "recorded_gap",
    "recorded_matrix",
    "recorded_shifts",
    "shifts",
    "transplant",
    "validation",
]
