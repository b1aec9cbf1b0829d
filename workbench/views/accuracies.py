"""Views of accuracy."""

from collections.abc import Mapping

import pandas as pd

from workbench import plots
from workbench.views.view import Origin, View


def accuracy(origin: Origin, tables: Mapping[str, pd.DataFrame], num_frames: int) -> View:
    """Accuracy against frames of the network in question, beside others; `tables` of `analysis.accuracy` by title."""
    table = tables[origin.title]
    python = origin.python(
        f"table, divergence = analysis.sweep(model, clips)\n"
        f"figure = plots.accuracy_curves({{{origin.title!r}: table}}, {num_frames}, {origin.title!r})",
        table.num_frames,
    )
    figure = plots.accuracy_curves(tables, num_frames, origin.title)
    return View("accuracy", "Accuracy against frames", figure, table, python)
