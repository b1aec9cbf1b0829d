"""Features as figures."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from workbench.plots.parts import CLASSES, DASHES, LEGEND_BELOW, figure_layout, frames_axis, new_figure
from workbench.words import in_frames


def similarity_heatmap(table: pd.DataFrame, by: str = "num_frames", titles: Sequence[str] = ()) -> go.Figure:
    """CKA of rows of `analysis.similarity`, one per pair of frame counts of a layer, or with `by="layer"` of layers.

    `titles` are what the rows and the columns are, where that is not plain.
    """
    others = "other_frames" if by == "num_frames" else "other_layer"
    grid = table.pivot_table(index=by, columns=others, values="cka", sort=False)
    figure = new_figure(_similarity_alt(table, by, others), height=140 + 40 * len(grid))
    figure.add_heatmap(
        x=[str(name) for name in grid.columns],
        y=[str(name) for name in grid.index],
        z=grid.to_numpy(),
        zmin=0,
        zmax=1,
        texttemplate="%{z:.2f}",
        colorscale="Cividis",
        colorbar={"title": {"text": "linear CKA (0 to 1)", "side": "right"}},
        hovertemplate="%{y} and %{x}<br>CKA %{z:.3f}<extra></extra>",
    )
    rows, columns = titles or ["frames per clip" if by == "num_frames" else "layer"] * 2
    figure.update_xaxes(title=columns, type="category")
    return figure.update_yaxes(title=rows, type="category", autorange="reversed")


def similarity_curves(table: pd.DataFrame, reference: int) -> go.Figure:
    """CKA of every layer with the same layer at `reference` frames, against frames (table of `analysis.similarity`)."""
    rows = table[(table.layer == table.other_layer) & (table.other_frames == reference)]
    figure = new_figure(_similarity_curves_alt(rows, reference), height=420)
    for (layer, colour), (_, line) in zip(_layer_colours(rows).items(), rows.groupby("order"), strict=True):
        figure.add_scatter(
            x=line.num_frames,
            y=line.cka,
            name=layer,
            mode="lines+markers",
            line_color=colour,
            hovertemplate=f"{layer}<br>%{{y:.3f}}<extra></extra>",
        )
    figure.update_xaxes(frames_axis([rows]))
    title = f"linear CKA with {in_frames(reference)} (0 to 1)"
    return figure.update_yaxes(title=title, range=[min(0, rows.cka.min()), 1.02])


def probe_curves(table: pd.DataFrame, native: int) -> go.Figure:
    """Top-1 of linear probes against frames, one colour per layer (table of `analysis.probes`).

    Solid: fitted at the count that it is tested at; dashed: fitted at the `native` count.
    """
    figure = new_figure(_probes_alt(table, native), height=460)
    for layer, colour in _layer_colours(table).items():
        rows = table[table.layer == layer]
        ways = {"fitted there": rows.trained_at == rows.num_frames, f"fitted at {native}": rows.trained_at == native}
        for (way, kept), dash in zip(ways.items(), DASHES, strict=False):
            line = rows[kept]
            figure.add_scatter(
                x=line.num_frames,
                y=line.top1,
                name=f"{layer}, {way}",
                legendgroup=layer,
                mode="lines+markers",
                line={"color": colour, "dash": dash},
                hovertemplate=f"{layer}, {way}<br>%{{y:.1f}} %<extra></extra>",
            )
    figure.update_xaxes(frames_axis([table]))
    return figure.update_yaxes(title="top-1 of the probe (%)", range=[0, 100])


def embedding(table: pd.DataFrame) -> go.Figure:
    """Videos in the plane of `analysis.components` or `analysis.maps`, a chart per frame count on the same axes."""
    counts = sorted(table.num_frames.unique())
    figure = make_subplots(
        1, len(counts), shared_xaxes="all", shared_yaxes="all", subplot_titles=[in_frames(t) for t in counts]
    )
    for column, count in enumerate(counts, start=1):
        traces = _clouds(table, count)
        figure.add_traces(traces, rows=[1] * len(traces), cols=[column] * len(traces))
        figure.update_traces(showlegend=column == 1, col=column)
    named = _plane_axes(table)
    figure.update_xaxes(showticklabels=False).update_xaxes(title=named["x"], col=1)
    figure.update_yaxes(title=named["y"], showticklabels=False, col=1)
    return figure.update_layout(figure_layout(_embedding_alt(table), height=440))


def embedding_over_frames(table: pd.DataFrame, num_frames: int) -> go.Figure:
    """The same one count after another, in one chart that begins at `num_frames`, with a slider and a button to play.

    Every video keeps its point, so that one can see it move.
    """
    counts = sorted(table.num_frames.unique())
    figure = new_figure(_embedding_alt(table), height=620)
    figure.add_traces(_clouds(table, num_frames))
    figure.frames = [go.Frame(name=str(t), data=_clouds(table, t)) for t in counts]
    named = _plane_axes(table)
    for axis in ("x", "y"):
        ends = table[axis].min(), table[axis].max()
        margin = 0.05 * (ends[1] - ends[0])
        about = {"title": named[axis], "range": [ends[0] - margin, ends[1] + margin], "showticklabels": False}
        figure.update_layout({f"{axis}axis": about})
    return figure.update_layout(_player(counts, num_frames))


def _clouds(table: pd.DataFrame, count: int) -> list[go.Scatter]:
    """The videos at one frame count, a trace per class, videos in the same order at every count."""
    names = table["class"].unique()
    rows = table[table.num_frames == count]
    return [
        go.Scatter(
            x=rows.x[kept],
            y=rows.y[kept],
            mode="markers",
            name=str(name),
            legendgroup=str(name),
            marker={"color": CLASSES[place % len(CLASSES)], "size": 6, "opacity": 0.75},
            customdata=rows.loc[kept, ["path"]],
            hovertemplate=f"{name}<br>%{{customdata[0]}}<extra></extra>",
        )
        for place, (name, kept) in enumerate((name, rows["class"] == name) for name in names)
    ]


def _player(counts: Sequence[int], start: int) -> dict[str, Any]:
    """The slider over frame counts, and the button that plays them."""
    moving = {"frame": {"duration": 900, "redraw": False}, "transition": {"duration": 600}, "mode": "immediate"}
    steps = [{"label": str(t), "method": "animate", "args": [[str(t)], moving]} for t in counts]
    slider = {"steps": steps, "active": list(counts).index(start), "currentvalue": {"prefix": "frames per clip: "}}
    play = {"label": "Play", "method": "animate", "args": [None, moving | {"fromcurrent": False}]}
    button = {"type": "buttons", "buttons": [play], "x": 0, "y": -0.12, "xanchor": "left", "yanchor": "top"}
    return {
        "sliders": [slider | {"x": 0.14, "len": 0.86, "y": -0.06, "pad": {"t": 12}}],
        "updatemenus": [button | {"pad": {"t": 12}, "showactive": False}],
        "legend": LEGEND_BELOW | {"y": -0.36},
    }


def _layer_colours(table: pd.DataFrame) -> dict[str, str]:
    """Layers in network order, from darker to lighter, all to be seen on white and on dark."""
    layers = table.drop_duplicates("order").sort_values("order")
    shades = [0.3 + 0.5 * order / max(1, table.order.max()) for order in layers.order]
    return dict(zip(layers.layer, sample_colorscale("Viridis", shades), strict=True))


def _plane_axes(table: pd.DataFrame) -> dict[str, str]:
    if "disparity" in table:
        return {"x": "t-SNE, aligned", "y": "t-SNE, aligned"}
    first = table.iloc[0]
    return {
        "x": f"component 1 ({first.x_share:.0f} % of the variance)",
        "y": f"component 2 ({first.y_share:.0f} % of the variance)",
    }


def _similarity_alt(table: pd.DataFrame, by: str, others: str) -> str:
    least = table.iloc[int(table.cka.argmin())]
    what = "frame counts" if by == "num_frames" else "layers"
    return (
        f"Linear CKA between {table[by].nunique()} and {table[others].nunique()} {what}. "
        f"Least alike: {least[by]} and {least[others]}, {least.cka:.2f}; median {table.cka.median():.2f}."
    )


def _similarity_curves_alt(rows: pd.DataFrame, reference: int) -> str:
    least = rows.iloc[int(rows.cka.argmin())]
    return (
        f"Linear CKA of {rows.layer.nunique()} layers with themselves at {in_frames(reference)}. "
        f"Least alike: {least.layer} at {in_frames(least.num_frames)}, {least.cka:.2f}."
    )


def _probes_alt(table: pd.DataFrame, native: int) -> str:
    shortest = table[table.num_frames == table.num_frames.min()]
    last = shortest[shortest.order == shortest.order.max()].set_index("trained_at").top1
    count = int(table.num_frames.min())
    return (
        f"Top-1 of linear probes of {table.layer.nunique()} layers against frames per clip. At {in_frames(count)}, in "
        f"{shortest.layer.iloc[-1]}: {last[count]:.1f} % fitted there, {last[native]:.1f} % fitted at {native}."
    )


def _embedding_alt(table: pd.DataFrame) -> str:
    what = "t-SNE maps, aligned," if "disparity" in table else "Two principal components"
    counts = ", ".join(map(str, sorted(table.num_frames.unique())))
    return (
        f"{what} of {table['index'].nunique()} videos of {table['class'].nunique()} classes at {counts} frames, "
        "on the same axes."
    )
