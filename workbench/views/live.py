"""Views of one video and of one training."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from workbench import experiments, plots
from workbench.views.view import Origin, View, imports


def answers(
    origin: Origin, video: str, table: pd.DataFrame, num_frames: int, label: str = "", policy: str = "nearest"
) -> View:
    """What the network says of one video at every frame count; `table` of `analysis.answers`."""
    counts = f"range({table.num_frames.min()}, {table.num_frames.max() + 1})"
    lines = [f"video = {video!r}", *_answering(policy, counts), f"table = analysis.answers(model, video, {counts})"]
    python = origin.python("\n".join([*lines, f"figure = plots.answer_curves(table, {num_frames}, {label!r})"]))
    figure = plots.answer_curves(table, num_frames, label)
    return View("answers", "One video at every number of frames", figure, table, python)


def arrivals(origin: Origin, video: str, table: pd.DataFrame, label: str = "") -> View:
    """What the network says of one video while its frames come in; `table` of `analysis.arrivals`."""
    python = origin.python(
        f"video = {video!r}\ntable = analysis.arrivals(model, video)\nfigure = plots.arrival_curves(table, {label!r})"
    )
    return View("arrivals", "While frames come in", plots.arrival_curves(table, label), table, python)


def passes(origin: Origin, video: str, table: pd.DataFrame, threshold: float) -> View:
    """An adaptive budget on one video; `table` of `analysis.passes`, `threshold` in percent."""
    python = origin.python(
        f"video = {video!r}\ntable = analysis.passes(model, video, {table.num_frames.tolist()})\n"
        f"figure = plots.pass_bars(table, {threshold})"
    )
    return View("passes", "As many frames as it takes", plots.pass_bars(table, threshold), table, python)


def learning(rows_csv: Path, table: pd.DataFrame) -> View:
    """Loss and accuracy of training; `table` of `analysis.epochs`."""
    rows = table[table.loss.notna()]
    lines = f"everything = {_epochs(rows_csv)}\ntable = everything[everything.loss.notna()]\n"
    python = _python(f"{lines}figure = plots.training_curves(table)")
    return View("learning", "Loss and accuracy in training", plots.training_curves(rows), rows, python)


def validation(rows_csv: Path, table: pd.DataFrame, trained: Sequence[int]) -> View:
    """Validation accuracy by frame count; `table` of `analysis.epochs`."""
    rows = table[table.validation.notna()]
    lines = f"everything = {_epochs(rows_csv)}\ntable = everything[everything.validation.notna()]\n"
    python = _python(f"{lines}figure = plots.validation_curves(table, {list(trained)})")
    return View("validation", "The deviation appears", plots.validation_curves(rows, trained), rows, python)


def _answering(policy: str, counts: str) -> list[str]:
    """The lines that make the model answer by a policy."""
    if policy == "nearest":
        return []
    clips = (
        f", clips_for(model.card, unlabelled, {counts}), limit={experiments.CALIBRATION}"
        if policy == "recalibrate"
        else ""
    )
    return [f"model = ffn.any_frame(model, {counts}, {policy!r}{clips})"]


def _epochs(rows_csv: Path) -> str:
    return f"analysis.epochs({str(rows_csv)!r})"


def _python(lines: str) -> str:
    return "\n".join([*imports(lines), "", lines, ""])
