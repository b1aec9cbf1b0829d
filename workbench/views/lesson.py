"""The figures of the lesson: from what is recorded in the repository, so they are there at once."""

from collections.abc import Mapping

import pandas as pd

from ffn.files import read_csv
from ffn.normalisation_gap import GAPS
from workbench import analysis, plots
from workbench.views.view import View, imports


def recorded_curves(networks: Mapping[str, str], num_frames: int | None = None, highlight: str | None = None) -> View:
    """Accuracy against frames of bundled checkpoints, by what the legend calls them."""
    tables = {title: analysis.bundled_accuracy(name) for title, name in networks.items()}
    figure = plots.accuracy_curves(tables, num_frames, highlight)
    python = (
        f"networks = {dict(networks)!r}\n"
        "tables = {title: analysis.bundled_accuracy(name) for title, name in networks.items()}\n"
        'table = pd.concat(tables, names=["network"]).reset_index("network")\n'
        f"figure = plots.accuracy_curves(tables, {num_frames}, {highlight!r})"
    )
    table = pd.concat(tables, names=["network"]).reset_index("network")
    return View("recorded_curves", "Accuracy against frames", figure, table, script(python))


def recorded_matrix(networks: Mapping[int, str]) -> View:
    """Trained against tested frame counts, of bundled checkpoints by what they were trained at."""
    cells = [analysis.bundled_accuracy(name).assign(trained=t) for t, name in networks.items()]
    everything = pd.concat(cells, ignore_index=True)
    table = everything[everything.num_frames.isin(list(networks))]
    python = (
        f"networks = {dict(networks)!r}\n"
        "cells = [analysis.bundled_accuracy(name).assign(trained=t) for t, name in networks.items()]\n"
        "everything = pd.concat(cells, ignore_index=True)\n"
        "table = everything[everything.num_frames.isin(list(networks))]\n"
        "figure = plots.train_test_matrix(table)"
    )
    return View("recorded_matrix", "Trained against tested", plots.train_test_matrix(table), table, script(python))


def recorded_shifts(name: str) -> View:
    """How far the statistics of a bundled checkpoint move with the frame count."""
    table = analysis.bundled_divergence(name)
    python = f"table = analysis.bundled_divergence({name!r})\nfigure = plots.divergence_heatmap(table)"
    title = "How far the statistics move"
    return View("recorded_shifts", title, plots.divergence_heatmap(table), table, script(python))


def recorded_gap() -> View:
    """What recomputed statistics give back, as `ffn reproduce normalisation` recorded it."""
    table = analysis.gap(read_csv(GAPS))
    python = "table = analysis.gap(read_csv(GAPS))\nfigure = plots.gap_bars(table)"
    return View("recorded_gap", "Statistics recomputed", plots.gap_bars(table), table, script(python))


def methods(table: str) -> View:
    """A table of the paper on `moving_shapes`, as `ffn reproduce tables` recorded it."""
    rows = analysis.reproduced(table)
    python = f"table = analysis.reproduced({table!r})\nfigure = plots.method_dots(table)"
    return View("methods", f"Table {table} of the paper, on our videos", plots.method_dots(rows), rows, script(python))


def script(lines: str) -> str:
    """`lines` after the imports that they use."""
    return "\n".join([*imports(lines), "", lines, ""])
