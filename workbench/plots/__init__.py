"""Tables as figures: the columns are those of `workbench.analysis`, and `alt_text` says in words what is to be seen."""

from workbench.plots.accuracies import (
    accuracy_curves,
    budget_curves,
    policy_curves,
    train_test_matrix,
    training_curves,
)
from workbench.plots.norms import (
    attribution_bars,
    branch_divergence_lines,
    divergence_bars,
    divergence_heatmap,
    gap_bars,
    norm_inputs,
    norm_parameters,
)
from workbench.plots.parts import (
    COLOURS,
    MEASURES,
    PARAMETERS,
    alt_text,
    frame_colour,
)
from workbench.plots.representations import (
    embedding,
    probe_curves,
    similarity_curves,
    similarity_heatmap,
)
from workbench.plots.videos import (
    calibration_curves,
    class_deviation_bars,
    confusion_heatmap,
    flip_bars,
    reliability_diagram,
    stability_bars,
)

__all__ = [
    "COLOURS",
    "MEASURES",
    "PARAMETERS",
    "accuracy_curves",
    "alt_text",
    "attribution_bars",
    "branch_divergence_lines",
    "budget_curves",
    "calibration_curves",
    "class_deviation_bars",
    "confusion_heatmap",
    "divergence_bars",
    "divergence_heatmap",
    "embedding",
    "flip_bars",
    "frame_colour",
    "gap_bars",
    "norm_inputs",
    "norm_parameters",
    "policy_curves",
    "probe_curves",
    "reliability_diagram",
    "similarity_curves",
    "similarity_heatmap",
    "stability_bars",
    "train_test_matrix",
    "training_curves",
]
