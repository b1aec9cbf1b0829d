"""Answers as figures, video by video."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from workbench.plots.parts import (
    CHANGES,
    COLOURS,
    DASHES,
    LEGEND_ABOVE,
    RIGHT,
    SEVERAL,
    WRONG,
    colour_bar,
    error_bars,
    frames_axis,
    new_figure,
)
from workbench.words import counted, in_frames

ANSWERS = (WRONG, "#2f86cf", "#cc79a7", "#a6761d", "#8a5fbf", "#5ec8e5")  # wrong ones, the likeliest first
LEAST, MOST = 5, 7  # percent that a class must reach once, and how many classes are drawn


def stability_bars(table: pd.DataFrame) -> go.Figure:
    """How many videos have their last answer from which frame count on (table of `analysis.stability`)."""
    counts = table.groupby(["stable_from", "correct"]).size().unstack(fill_value=0)
    figure = new_figure(_stability_alt(table), height=380, barmode="stack", legend=LEGEND_ABOVE)
    for correct, colour in ((True, RIGHT), (False, WRONG)):
        videos = 100 * counts.get(correct, 0 * counts.sum(axis=1)) / len(table)
        figure.add_bar(
            x=[str(t) for t in counts.index],
            y=videos,
            name=f"{'right' if correct else 'wrong'} in the end",
            marker_color=colour,
            hovertemplate="%{y:.1f} % of the videos",
        )
    figure.update_xaxes(title="frames per clip from which the answer stays", type="category")
    return figure.update_yaxes(title="videos (%)")


def flip_bars(table: pd.DataFrame) -> go.Figure:
    """Answers gained (up) and lost (down) at every frame count (table of `analysis.flip_counts`)."""
    figure = new_figure(_flips_alt(table), height=380, barmode="relative", legend=LEGEND_ABOVE)
    for name, videos, colour in (("wrong to right", table.gained, RIGHT), ("right to wrong", -table.lost, WRONG)):
        figure.add_bar(
            x=[str(t) for t in table.num_frames],
            y=videos,
            name=name,
            marker_color=colour,
            customdata=videos.abs(),
            hovertemplate="%{customdata} videos",
        )
    figure.update_xaxes(title="frames per clip", type="category")
    return figure.update_yaxes(title=f"videos that flip against {in_frames(table.reference.iloc[0])}")


def confusion_heatmap(table: pd.DataFrame) -> go.Figure:
    """Answers by class (table of `analysis.confusion`), or what changes (of `analysis.confusion_difference`)."""
    value = "difference" if "difference" in table else "clips"
    grid = table.pivot_table(index="class", columns="predicted", values=value, sort=False)
    end = max(1, int(table[value].abs().max()))
    span = {"zmin": -end, "zmax": end, "colorscale": CHANGES} if value == "difference" else {"colorscale": "Cividis"}
    figure = new_figure(_confusion_alt(table, value), height=180 + 22 * len(grid))
    figure.add_heatmap(
        x=list(grid.columns),
        y=list(grid.index),
        z=grid.to_numpy(),
        **span,
        colorbar=colour_bar("videos" if value == "clips" else "videos more"),
        hoverinfo="skip",
    )
    figure.add_scatter(  # what can be pointed at and clicked: heatmaps cannot
        x=table.predicted,
        y=table["class"],
        mode="markers",
        marker={"symbol": "square", "size": 18, "color": "rgba(0, 0, 0, 0)"},
        customdata=table[value],
        hovertemplate="class %{y}<br>answer %{x}<br>videos: %{customdata}<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(title="answer", type="category", tickangle=-90, range=[-0.5, len(grid.columns) - 0.5])
    return figure.update_yaxes(title="class", type="category", range=[len(grid) - 0.5, -0.5], dtick=1)


def class_deviation_bars(table: pd.DataFrame, num_frames: int) -> go.Figure:
    """Points of top-1 that each class gains or loses at a frame count (table of `analysis.class_accuracy`)."""
    rows = table[table.num_frames == num_frames].sort_values("deviation")
    figure = new_figure(_class_deviation_alt(rows, num_frames), height=400)
    figure.add_bar(
        x=rows["class"],
        y=rows.deviation,
        marker_color=[WRONG if points < 0 else RIGHT for points in rows.deviation],
        customdata=rows[["top1", "clips"]],
        hovertemplate="%{x}<br>%{y:+.1f} points, to %{customdata[0]:.1f} % of %{customdata[1]} videos<extra></extra>",
    )
    figure.update_xaxes(type="category", tickangle=-45)
    return figure.update_yaxes(title=f"top-1 at {in_frames(num_frames)} against the reference (points)")


def reliability_diagram(table: pd.DataFrame) -> go.Figure:
    """Accuracy against confidence in bins, with 95 % intervals (table of `analysis.reliability`)."""
    figure = new_figure(_reliability_alt(table), height=420, showlegend=False)
    ideal = {"x": [0, 100], "y": [0, 100], "mode": "lines", "line": {"color": "#808a96", "dash": "dash"}}
    figure.add_scatter(**ideal, hoverinfo="skip")
    figure.add_bar(
        x=(table.above + table.up_to) / 2,
        y=table.top1,
        width=table.up_to - table.above,
        marker={"color": COLOURS[16], "opacity": 0.75},
        error_y=error_bars(table.rename(columns={"low": "top1_low", "high": "top1_high"}), "top1"),
        customdata=table[["clips", "confidence"]],
        hovertemplate="%{customdata[0]} videos, confidence %{customdata[1]:.1f} %<br>right: %{y:.1f} %<extra></extra>",
    )
    figure.update_xaxes(title="confidence (%)", range=[0, 100])
    return figure.update_yaxes(title="top-1 (%)", range=[0, 100])


def calibration_curves(tables: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Expected calibration error against frames, one curve per network (tables of `analysis.calibration`)."""
    figure = new_figure(_calibration_alt(tables), height=400, hovermode="x unified")
    colours = ("#2f86cf", *SEVERAL) * len(tables)
    for place, ((name, table), colour) in enumerate(zip(tables.items(), colours, strict=False)):
        figure.add_scatter(
            x=table.num_frames,
            y=table.ece,
            name=name,
            mode="lines+markers",
            line={"color": colour, "dash": DASHES[place % len(DASHES)]},
            hovertemplate="%{y:.1f} %",
        )
    figure.update_xaxes(frames_axis(tables.values()))
    return figure.update_yaxes(title="expected calibration error (%)", rangemode="tozero")


def ranking_curves(table: pd.DataFrame, num_frames: int, other: int, label: str) -> go.Figure:
    """Probabilities of the best answers to one video at every frame count (table of `analysis.ranking`).

    The right class `label` is drawn thick, two frame counts are marked, and classes that never matter are left out.
    """
    figure = new_figure(_ranking_alt(table, num_frames, other, label), height=380, hovermode="x unified")
    best = table.groupby("predicted").probability.max().sort_values(ascending=False)
    shown = [name for name in best.index if name == label or best[name] >= LEAST][:MOST]
    colours = iter(ANSWERS)
    for name in sorted(shown, key=lambda name: name != label):
        rows, right = table[table.predicted == name], name == label
        known = rows.set_index("num_frames").probability.reindex(table.num_frames.unique())  # no line across a gap
        figure.add_scatter(
            x=known.index,
            y=known,
            name=f"{name} (right)" if right else name,
            mode="lines+markers",
            line={"color": RIGHT if right else next(colours), "width": 4 if right else 2},
            hovertemplate="%{y:.1f} %",
        )
    for count, dash in ((num_frames, "solid"), (other, "dot")):
        figure.add_vline(count, line={"color": "#808a96", "width": 1.5, "dash": dash})
    figure.update_xaxes(frames_axis([table]))
    return figure.update_yaxes(title="probability (%)", range=[-2, 104])


def _ranking_alt(table: pd.DataFrame, num_frames: int, other: int, label: str) -> str:
    first = table[table["rank"] == 1].set_index("num_frames")
    said = [
        f"at {in_frames(t)} {first.predicted[t]}, {first.probability[t]:.0f} %"
        for t in dict.fromkeys((num_frames, other))
    ]
    right = first.index[first.correct].tolist()
    return (
        f"Probabilities of the best answers to one video against frames per clip: {'; '.join(said)}. The right class, "
        f"{label}, is the answer at {len(right)} of {len(first)} frame counts."
    )


def _stability_alt(table: pd.DataFrame) -> str:
    first, last = table.stable_from.min(), table.stable_from.max()
    early, late = (100 * (table.stable_from == t).mean() for t in (first, last))
    return (
        f"From which frame count the answer to {len(table)} videos stays: {early:.0f} % from {first}, "
        f"{late:.0f} % only at {last}; {100 * table.correct.mean():.0f} % are right in the end."
    )


def _flips_alt(table: pd.DataFrame) -> str:
    worst = table.iloc[int(table.lost.argmax())]
    return (
        f"Answers that flip against {in_frames(worst.reference)}. Most turn wrong at {in_frames(worst.num_frames)}: "
        f"{counted(worst.lost, 'video')}, while {worst.gained} turn right."
    )


def _confusion_alt(table: pd.DataFrame, value: str) -> str:
    off = table[table["class"] != table.predicted]
    most = off.iloc[int(off[value].argmax())]
    if value == "clips":
        right = table[table["class"] == table.predicted].clips.sum()
        return (
            f"{right} of {table.clips.sum()} videos are answered rightly. "
            f"Most often confused: {most['class']} answered {most.predicted}, {counted(most.clips, 'video')}."
        )
    more = counted(most.difference, "video")
    return f"Changes of answers by class. What grows most: {most['class']} answered {most.predicted}, {more} more."


def _class_deviation_alt(rows: pd.DataFrame, num_frames: int) -> str:
    low, high = rows.iloc[0], rows.iloc[-1]
    return (
        f"Change of top-1 at {in_frames(num_frames)} by class, from {low.deviation:+.1f} points ({low['class']}) "
        f"to {high.deviation:+.1f} ({high['class']})."
    )


def _reliability_alt(table: pd.DataFrame) -> str:
    clips = table.clips.sum()
    confidence = (table.confidence * table.clips).sum() / clips
    return (
        f"Accuracy against confidence of {clips} answers: confidence {confidence:.1f} % in the mean, "
        f"{100 * table.correct.sum() / clips:.1f} % right."
    )


def _calibration_alt(tables: Mapping[str, pd.DataFrame]) -> str:
    worst = {name: table.iloc[int(table.ece.argmax())] for name, table in tables.items()}
    ranges = [
        f"{name} from {tables[name].ece.min():.1f} % to {row.ece:.1f} %, at {row.num_frames:.0f} frames"
        for name, row in worst.items()
    ]
    return f"Expected calibration error against frames per clip. {'; '.join(ranges)}."
