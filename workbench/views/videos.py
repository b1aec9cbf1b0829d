"""Views of answers, video by video."""

from ffn.data import Clips
from ffn.decisions import Decisions
from workbench import analysis, plots
from workbench.views.view import Origin, View
from workbench.words import in_frames


def stability(origin: Origin, found: Decisions, clips: Clips) -> View:
    """From which frame count on the answers stay."""
    table = analysis.stability(found, clips)
    python = origin.answers(
        "table = analysis.stability(found, clips)\nfigure = plots.stability_bars(table)", found.frames
    )
    return View("stability", "From which count the answer stays", plots.stability_bars(table), table, python)


def flips(origin: Origin, found: Decisions, reference: int) -> View:
    """Answers that turn wrong, and right, against those at another frame count."""
    table = analysis.flip_counts(found, reference)
    python = origin.answers(
        f"table = analysis.flip_counts(found, {reference})\nfigure = plots.flip_bars(table)", found.frames
    )
    return View("flips", f"Answers that flip against {in_frames(reference)}", plots.flip_bars(table), table, python)


def ranking(origin: Origin, found: Decisions, index: int, clips: Clips, *, num_frames: int, other: int) -> View:
    """The five best answers to one video, by its position in the data, at every frame count."""
    table, label = analysis.ranking(found, index, clips.classes), clips.classes[clips.labels[index]]
    python = origin.answers(
        f"table = analysis.ranking(found, {index}, clips.classes)\n"
        f"figure = plots.ranking_curves(table, {num_frames}, {other}, {label!r})",
        found.frames,
    )
    figure = plots.ranking_curves(table, num_frames, other, label)
    return View("ranking", f"Best answers to video {index}", figure, table, python)
