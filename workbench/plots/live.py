"""One video and one training as figures."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from workbench.plots.parts import (
    CLASSES,
    DASHES,
    LEGEND_ABOVE,
    RIGHT,
    epoch_axis,
    frame_colour,
    frames_axis,
    new_figure,
)
from workbench.words import in_frames


def answer_curves(table: pd.DataFrame, num_frames: int, label: str = "") -> go.Figure:
    """Probabilities of the likeliest classes against frames (table of `analysis.answers`), the chosen count marked."""
    figure = new_figure(_answers_alt(table, num_frames), height=400, hovermode="x unified", legend=LEGEND_ABOVE)
    _class_lines(figure, table, "num_frames", label)
    figure.add_vline(num_frames, line={"color": "#808a96", "dash": "dot"})
    figure.update_xaxes(frames_axis([table]))
    return figure.update_yaxes(title="probability (%)", range=[0, 101])


def arrival_curves(table: pd.DataFrame, label: str = "") -> go.Figure:
    """Probabilities of the likeliest classes while frames come in (table of `analysis.arrivals`)."""
    figure = new_figure(_arrivals_alt(table), height=400, hovermode="x unified", legend=LEGEND_ABOVE)
    _class_lines(figure, table, "frame", label)
    figure.update_xaxes(title="frames that have come in", rangemode="tozero")
    return figure.update_yaxes(title="probability (%)", range=[0, 101])


def pass_bars(table: pd.DataFrame, threshold: float) -> go.Figure:
    """Confidence after every pass of an adaptive budget (table of `analysis.passes`), up to where it is enough."""
    stop = stops_at(table, threshold)
    figure = new_figure(_passes_alt(table, threshold), height=340, showlegend=False)
    figure.add_bar(
        x=[f"{'then ' if place else ''}{in_frames(t)}" for place, t in enumerate(table.num_frames)],
        y=table.confidence,
        text=table.answer,
        marker_color=[frame_colour(t) for t in table.num_frames],
        marker_opacity=[1.0 if place <= stop else 0.25 for place in range(len(table))],
        customdata=table[["gmacs", "decoded"]],
        hovertemplate="%{text}, %{y:.1f} %<br>%{customdata[0]:.3g} GMACs, %{customdata[1]} frames<extra></extra>",
    )
    figure.add_hline(threshold, line={"color": RIGHT, "dash": "dash"}, annotation_text="enough")
    figure.update_xaxes(title="passes, in turn", type="category")
    return figure.update_yaxes(title="confidence (%)", range=[0, 104])


def stops_at(table: pd.DataFrame, threshold: float) -> int:
    """The place of the pass (table of `analysis.passes`) whose confidence in percent is enough; else the last."""
    enough = (table.confidence >= threshold).tolist()
    return enough.index(True) if True in enough else len(table) - 1


def validation_curves(table: pd.DataFrame, trained: Sequence[int]) -> go.Figure:
    """Validation top-1 against epochs, one line per frame count (table of `analysis.epochs`); untrained ones dashed."""
    figure = new_figure(_validation_alt(table, trained), height=400, hovermode="x unified", legend=LEGEND_ABOVE)
    for num_frames, rows in table.groupby("num_frames"):
        count = int(str(num_frames))
        own = count in trained
        figure.add_scatter(
            x=rows.epoch,
            y=rows.validation,
            name=f"{in_frames(count)}{', trained' if own else ''}",
            mode="lines+markers",
            line={"color": frame_colour(count), "width": 3 if own else 2, "dash": "solid" if own else "dash"},
            hovertemplate="%{y:.1f} %",
        )
    figure.update_xaxes(epoch_axis(table))
    return figure.update_yaxes(title="top-1 of validation videos (%)", range=[0, 101])


def _class_lines(figure: go.Figure, table: pd.DataFrame, moment: str, label: str) -> None:
    for place, (name, rows) in enumerate(table.groupby("class", sort=False)):
        own = name == label
        figure.add_scatter(
            x=rows[moment],
            y=rows.probability,
            name=f"{name} (true)" if own else str(name),
            mode="lines+markers",
            line={
                "color": CLASSES[place % len(CLASSES)],
                "dash": DASHES[place % len(DASHES)],
                "width": 4 if own else 2,
            },
            hovertemplate="%{y:.1f} %",
        )


def _answers_alt(table: pd.DataFrame, num_frames: int) -> str:
    said = table[table.answer].set_index("num_frames")
    now = f"At {in_frames(num_frames)} {said['class'][num_frames]}, {said.probability[num_frames]:.0f} %. "
    turns = said["class"][said["class"] != said["class"].shift()]
    return f"Probabilities of the likeliest classes against frames per clip. {now}Answers: " + ", ".join(
        f"{name} from {t}" for t, name in turns.items()
    )


def _arrivals_alt(table: pd.DataFrame) -> str:
    last = table[table.answer].iloc[-1]
    return (
        "Probabilities of the likeliest classes while frames come in. "
        f"After {in_frames(last.frame)} {last['class']}, {last.probability:.0f} %."
    )


def _passes_alt(table: pd.DataFrame, threshold: float) -> str:
    row = table.iloc[stops_at(table, threshold)]
    return (
        f"Confidence after each pass. {threshold:.0f} % is enough: it stops after the pass of "
        f"{in_frames(row.num_frames)} with {row.answer}, {row.confidence:.0f} %, {row.gmacs:.3g} GMACs in all."
    )


def _validation_alt(table: pd.DataFrame, trained: Sequence[int]) -> str:
    last = table[table.epoch == table.epoch.max()]
    ends = ", ".join(f"{row.validation:.0f} % at {in_frames(row.num_frames)}" for row in last.itertuples())
    return (
        f"Validation top-1 over {table.epoch.nunique()} epochs of training at {', '.join(map(str, trained))} frames. "
        f"At the end {ends}."
    )
