"""Views of answers, class by class."""

from collections.abc import Sequence

from ffn.decisions import Decisions
from workbench import analysis, plots
from workbench.views.view import Origin, View
from workbench.words import in_frames


def confusion(origin: Origin, found: Decisions, num_frames: int, classes: Sequence[str]) -> View:
    """How many videos of each class get each answer at a frame count."""
    table = analysis.confusion(found, num_frames, classes)
    python = origin.answers(
        f"table = analysis.confusion(found, {num_frames}, clips.classes)\nfigure = plots.confusion_heatmap(table)",
        found.frames,
    )
    return View("confusion", f"Answers at {in_frames(num_frames)}", plots.confusion_heatmap(table), table, python)


def confusion_change(origin: Origin, found: Decisions, before: int, after: int, classes: Sequence[str]) -> View:
    """How many videos more get each answer than at another frame count."""
    table = analysis.confusion_difference(found, before, after, classes)
    python = origin.answers(
        f"table = analysis.confusion_difference(found, {before}, {after}, clips.classes)\n"
        "figure = plots.confusion_heatmap(table)",
        found.frames,
    )
    title = f"What changes from {before} to {in_frames(after)}"
    return View("confusion_change", title, plots.confusion_heatmap(table), table, python)


def class_deviation(origin: Origin, found: Decisions, reference: int, num_frames: int, classes: Sequence[str]) -> View:
    """What each class loses or gains at a frame count against another."""
    table = analysis.class_accuracy(found, reference, classes)
    python = origin.answers(
        f"table = analysis.class_accuracy(found, {reference}, clips.classes)\n"
        f"figure = plots.class_deviation_bars(table, {num_frames})",
        found.frames,
    )
    title = f"Classes at {num_frames} against {in_frames(reference)}"
    return View("class_deviation", title, plots.class_deviation_bars(table, num_frames), table, python)


def reliability(origin: Origin, found: Decisions, num_frames: int) -> View:
    """How often the network is right when it is so confident."""
    table = analysis.reliability(found, num_frames)
    python = origin.answers(
        f"table = analysis.reliability(found, {num_frames})\nfigure = plots.reliability_diagram(table)", found.frames
    )
    return View(
        "reliability", f"Confidence at {in_frames(num_frames)}", plots.reliability_diagram(table), table, python
    )


def calibration(origin: Origin, found: Decisions) -> View:
    """How far confidence and accuracy are apart at every frame count."""
    table = analysis.calibration(found)
    figure = plots.calibration_curves({origin.title: table})
    python = origin.answers(
        f"table = analysis.calibration(found)\nfigure = plots.calibration_curves({{{origin.title!r}: table}})",
        found.frames,
    )
    return View("calibration", "Calibration against frames", figure, table, python)
