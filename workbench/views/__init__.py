"""What the dashboard and reports show: each view is a chart, the table behind it, and the Python that makes both."""

from workbench.views.accuracies import accuracy
from workbench.views.norms import (
    branches,
    divergence,
    experiment,
    norms,
    shifts,
)
from workbench.views.view import Origin, View

__all__ = [
    "Origin",
    "View",
    "accuracy",
    "branches",
    "divergence",
    "experiment",
    "norms",
    "shifts",
]
