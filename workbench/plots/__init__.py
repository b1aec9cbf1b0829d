"""Tables as figures: the columns are those of `workbench.analysis`, and `alt_text` says in words what is to be seen."""

from workbench.plots.accuracies import (
    accuracy_curves,
    budget_curves,
    policy_curves,
    train_test_matrix,
    training_curves,
)
from workbench.plots.comparisons import difference_curves
from workbench.plots.live import (
    answer_curves,
    arrival_curves,
    pass_bars,
    stops_at,
    validation_curves,
)
from workbench.plots.norms import (
    attribution_bars,
    branch_divergence_lines,
    channel_shifts,
    divergence_bars,
    divergence_heatmap,
    gap_bars,
    network_divergence_lines,
    norm_inputs,
    norm_parameters,
)
from workbench.plots.parts import (
    COLOURS,
    MEASURES,
    PARAMETERS,
    alt_text,
    enlarged,
    frame_colour,
)
from workbench.plots.representations import (
    embedding,
    embedding_over_frames,
    probe_curves,
    similarity_curves,
    similarity_heatmap,
)
from workbench.plots.reproductions import method_dots
from workbench.plots.trade_offs import EXPENSES, storage_bars, trade_off
from workbench.plots.videos import (
    calibration_curves,
    class_deviation_bars,
    confusion_heatmap,
    flip_bars,
    ranking_curves,
    reliability_diagram,
    stability_bars,
)

__all__ = [
    "COLOURS",
    "EXPENSES",
    "MEASURES",
    "PARAMETERS",
    "accuracy_curves",
    "alt_text",
    "answer_curves",
    "arrival_curves",
    "attribution_bars",
    "branch_divergence_lines",
    "budget_curves",
    "calibration_curves",
    "channel_shifts",
    "class_deviation_bars",
    "confusion_heatmap",
    "difference_curves",
    "divergence_bars",
    "divergence_heatmap",
    "embedding",
    "embedding_over_frames",
    "enlarged",
    "flip_bars",
    "frame_colour",
    "gap_bars",
    "method_dots",
    "network_divergence_lines",
    "norm_inputs",
    "norm_parameters",
    "pass_bars",
    "policy_curves",
    "probe_curves",
    "ranking_curves",
    "reliability_diagram",
    "similarity_curves",
    "similarity_heatmap",
    "stability_bars",
    "stops_at",
    "storage_bars",
    "trade_off",
    "train_test_matrix",
    "training_curves",
    "validation_curves",
]
