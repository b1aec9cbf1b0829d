"""Differences between networks as figures."""

import pandas as pd
import plotly.graph_objects as go

from workbench.plots.parts import SEVERAL, WAYS, error_bars, frames_axis, new_figure


def difference_curves(table: pd.DataFrame, level: float = 0.05) -> go.Figure:
    """Points of top-1 against the reference by frames, with 95 % intervals (table of `analysis.differences`).

    Full marks are differences whose corrected p-value is below `level`.
    """
    reference = str(table.reference.iloc[0]) if len(table) else "the reference"
    figure = new_figure(_differences_alt(table, reference, level), height=440, hovermode="x unified")
    for (name, rows), colour in zip(table.groupby("network", sort=False), (*SEVERAL, *WAYS) * len(table), strict=False):
        bounds = rows.rename(columns={"low": "difference_low", "high": "difference_high"})
        figure.add_scatter(
            x=rows.num_frames,
            y=rows.difference,
            name=str(name),
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"size": 9, "symbol": ["circle" if p < level else "circle-open" for p in rows.holm]},
            error_y=error_bars(bounds, "difference"),
            customdata=rows[["low", "high", "holm"]],
            hovertemplate="%{y:+.1f} (%{customdata[0]:+.1f} to %{customdata[1]:+.1f}), p %{customdata[2]:.2g}",
        )
    figure.add_hline(y=0, line_color="#808a96", line_width=1)
    figure.update_xaxes(frames_axis([table]))
    return figure.update_yaxes(title=f"points of top-1 against<br>{reference}")


def _differences_alt(table: pd.DataFrame, reference: str, level: float) -> str:
    said = [
        f"{name} from {rows.difference.min():+.1f} to {rows.difference.max():+.1f} points, "
        f"sure at {(rows.holm < level).sum()} of {len(rows)} frame counts"
        for name, rows in table.groupby("network", sort=False)
    ]
    return f"Points of top-1 against {reference} by frames per clip. {'; '.join(said)}."
