"""Views of normalisation."""

import pandas as pd

from workbench import plots
from workbench.experiments import Experiment
from workbench.views.view import Origin, View


def divergence(origin: Origin, table: pd.DataFrame, num_frames: int, measure: str) -> View:
    """What the norms see at one frame count against what they normalise with; `table` of `analysis.divergence`."""
    rows, upper = table[table.num_frames == num_frames], table[measure].max()
    python = origin.python(
        f"accuracy, everything = analysis.sweep(model, clips)\n"
        f"table = everything[everything.num_frames == {num_frames}]\n"
        f"figure = plots.divergence_bars(table, {measure!r}, upper=everything[{measure!r}].max())",
        table.num_frames,
    )
    figure = plots.divergence_bars(rows, measure, upper=upper)
    return View("divergence", f"Norm statistics at {num_frames} frames", figure, rows, python)


def shifts(origin: Origin, table: pd.DataFrame, measure: str) -> View:
    """The same at every frame count, layer by layer."""
    python = origin.python(
        f"accuracy, table = analysis.sweep(model, clips)\nfigure = plots.divergence_heatmap(table, {measure!r})",
        table.num_frames,
    )
    return View("shifts", "How far the statistics move", plots.divergence_heatmap(table, measure), table, python)


def branches(origin: Origin, table: pd.DataFrame, measure: str) -> View:
    """How far the branches' statistics are apart; `table` of `analysis.branch_divergence`."""
    python = origin.python(
        f"table = analysis.branch_divergence(model)\nfigure = plots.branch_divergence_lines(table, {measure!r})"
    )
    return View("branches", "Between the branches", plots.branch_divergence_lines(table, measure), table, python)


def norms(origin: Origin, table: pd.DataFrame, beside: Origin | None = None) -> View:
    """What the norms hold, beside those of another network; `table` of `analysis.norm_parameters`."""
    others = {"other": beside} if beside else {}
    names = f"{{{origin.title!r}: model" + (f", {beside.title!r}: other}}" if beside else "}")
    python = origin.python(
        f"table = analysis.norm_parameters({names})\nfigure = plots.norm_parameters(table)", others=others
    )
    return View("norms", "What the norms hold", plots.norm_parameters(table), table, python)


def experiment(origin: Origin, found: Experiment, num_frames: int) -> tuple[View, View]:
    """Accuracy with statistics of each frame count, and what every layer's statistics give at `num_frames`."""
    running = (
        f"found = experiments.recalibration(model, unlabelled, data, {num_frames})\n"
        "table = found.{table}\nfigure = plots.{plot}"
    )
    ways = {str(name): rows for name, rows in found.curves.groupby("network", sort=False)}
    curves = View(
        "curves",
        "With statistics of each frame count",
        plots.accuracy_curves(ways, num_frames, "recalibrated"),
        found.curves,
        origin.python(
            running.format(
                table="curves",
                plot=f"accuracy_curves(dict(list(table.groupby('network', sort=False))), {num_frames}, 'recalibrated')",
            )
        ),
    )
    layers = View(
        "layers",
        f"Layer by layer at {num_frames} frames",
        plots.attribution_bars(found.attribution),
        found.attribution,
        origin.python(running.format(table="attribution", plot="attribution_bars(table)")),
    )
    return curves, layers
