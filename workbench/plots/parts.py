"""What figures are made of: colours, axes, legends, and the words for those who cannot see them.

Colours stand for trained frame counts and are told apart by colour-blind readers (Okabe and Ito 2008).
"""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd
import plotly.graph_objects as go

MEASURES = {
    "mean_shift": "mean shift (standard deviations)",
    "log_variance_ratio": "log variance ratio",
    "symmetric_kl": "symmetric KL (nats)",
    "wasserstein": "Wasserstein distance (standard deviations)",
}
PARAMETERS = {"mean": "running mean", "variance": "running variance", "weight": "weight", "bias": "bias"}
COLOURS = {1: "#8c8c8c", 2: "#5ec8e5", 4: "#d98c00", 8: "#009e73", 16: "#2f86cf", 32: "#8a5fbf"}
SEVERAL = ("#d55e00", "#cc79a7", "#a6761d")  # networks with several trained counts, in order of appearance
WAYS = ("#8c8c8c", "#5ec8e5", "#d98c00", "#2f86cf", "#009e73")  # as trained, and what helps
RIGHT, WRONG = "#009e73", "#d55e00"
CHANGES = [[0.0, WRONG], [0.5, "#f2f2f2"], [1.0, "#2f86cf"]]  # fewer, none, more
CLASSES = (  # of videos, in order of appearance; all can be seen on white and on dark
    *("#2f86cf", "#d55e00", "#009e73", "#8a5fbf", "#f5007a", "#869900", "#c78a8a", "#8a14ff", "#1f6f7a", "#f5003d"),
    *("#676732", "#005cf5", "#ff14e2", "#0eaa35", "#ab3b2b", "#dc74b5", "#c48d31", "#b8008a", "#417a1f", "#be52ff"),
)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
TICKS = [1, 2, 4, 8, 16, 32]
LEGEND_ABOVE = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0}
LEGEND_BELOW = {"orientation": "h", "yanchor": "top", "y": -0.24, "x": 0}


def frame_colour(num_frames: int) -> str:
    """The colour of a trained frame count; of the nearest that has one, for the others."""
    return COLOURS[min(COLOURS, key=lambda known: abs(known / num_frames - 1))]


def alt_text(figure: go.Figure) -> str:
    """What a figure of this module shows, in a sentence or two, for those who cannot see it."""
    return figure.layout.meta["alt"]


def figure_layout(alt: str, **layout: Any) -> dict[str, Any]:
    margin = {"l": 8, "r": 8, "t": 28, "b": 8}
    return {"meta": {"alt": alt}, "margin": margin, "legend": LEGEND_BELOW, **layout}


def new_figure(alt: str, **layout: Any) -> go.Figure:
    return go.Figure(layout=figure_layout(alt, **layout))


def enlarged(figure: go.Figure) -> go.Figure:
    """The same figure to be read from the back of a room."""
    larger = go.Figure(figure)
    height = figure.layout.height or 450
    return larger.update_layout(font_size=20, legend_font_size=20, height=1.25 * height).update_traces(
        marker_size=12, line_width=4, selector={"type": "scatter"}
    )


def frames_axis(tables: Iterable[pd.DataFrame]) -> dict[str, Any]:
    # Always the same span, so that nothing jumps while results come in.
    longest = max([TICKS[-1], *(int(count) for table in tables for count in table.num_frames)])
    ticks = [*TICKS, *([longest] if longest > TICKS[-1] else [])]
    ends = [math.log10(0.92 * ticks[0]), math.log10(1.08 * ticks[-1])]
    labels = [str(t) for t in ticks]
    return {
        "title": {"text": "frames per clip", "standoff": 16},
        "type": "log",
        "range": ends,
        "tickvals": ticks,
        "ticktext": labels,
    }


def colour_bar(title: str) -> dict[str, Any]:
    """Above a heatmap, which takes the whole width, on a phone too."""
    return {"title": {"text": title, "side": "top"}, "orientation": "h", "y": 1, "yanchor": "bottom", "thickness": 12}


def epoch_axis(table: pd.DataFrame) -> dict[str, Any]:
    """Whole epochs, from the start of training to the last."""
    last = int(table.epoch.max())
    return {"title": "epoch", "range": [0, last + 0.5], "dtick": max(1, last // 8)}


def error_bars(table: pd.DataFrame, name: str) -> dict[str, Any]:
    above, below = table[f"{name}_high"] - table[name], table[name] - table[f"{name}_low"]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.2}
