"""Views as one HTML file that needs nothing else: figures, tables, and the Python that makes them.

`ffn report` writes one of a checkpoint; in the dashboard it holds whatever was selected.
"""

import base64
from collections.abc import Iterator, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import plotly.io
from plotly.offline import get_plotlyjs

from ffn import moving_shapes
from ffn.checkpoint import load
from ffn.data import clips_for
from ffn.progress import Report
from workbench import analysis, plots, views
from workbench.views import Origin, View
from workbench.words import in_frames

ROWS = 200  # of a table that are shown; its file has all
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem }
section { margin: 2.5rem 0 } pre { background: #f4f6f8; padding: 1rem; overflow-x: auto }
table { border-collapse: collapse; font-size: 0.85rem } td, th { padding: 0.2rem 0.6rem; text-align: right }
.table { overflow-x: auto } summary { cursor: pointer; margin: 0.4rem 0 }
"""


def html(shown: Sequence[View], title: str, note: str = "") -> str:
    """One page with all the views, which asks for nothing outside itself; under its title a note, if there is one."""
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style>",
            f"<script>{get_plotlyjs()}</script></head><body><main><h1>{escape(title)}</h1>",
            *([f"<p>{escape(note)}</p>"] if note else []),
            *(_section(view) for view in shown),
            "</main></body></html>",
        ]
    )


def of_checkpoint(path: Path, data: Path | None, frames: Sequence[int], num_frames: int, *, report: Report) -> str:
    """The page of a checkpoint on videos, at the counts of `frames` and looked at closely at `num_frames`.

    Args:
        data: a folder, manifest or list; None for the test split of the embedded videos.
    """
    model = load(path)
    origin = Origin(str(model.card.get("title") or path.stem), path.absolute(), data and data.absolute())
    videos = data or moving_shapes.prepare("test", progress=partial(report, "rendering"))
    clips = clips_for(model.card, videos, sorted({*frames, num_frames}))
    accuracy, divergence = analysis.sweep(model, clips, progress=partial(report, "computing"))
    shown = list(_views(origin, model, accuracy, divergence, num_frames))
    read = int(accuracy.clips.min())
    note = f"Of {len(clips)} videos {len(clips) - read} could not be read; ffn data check names them."
    return html(shown, f"{origin.title} at {in_frames(num_frames)}", note if read < len(clips) else "")


def _views(origin: Origin, model: Any, accuracy: Any, divergence: Any, num_frames: int) -> Iterator[View]:
    measure = next(iter(plots.MEASURES))
    yield views.accuracy(origin, {origin.title: accuracy}, num_frames)
    if (divergence.num_frames == num_frames).any():
        yield views.divergence(origin, divergence, num_frames, measure)
        yield views.shifts(origin, divergence, measure)
    if len(between := analysis.branch_divergence(model)):
        yield views.branches(origin, between, measure)
    if len(held := analysis.norm_parameters({origin.title: model})):
        yield views.norms(origin, held)


def _section(view: View) -> str:
    figure = plotly.io.to_html(view.figure, include_plotlyjs=False, full_html=False, config={"displayModeBar": False})
    shown, rows = view.table.head(ROWS), len(view.table)
    csv = base64.b64encode(view.table.to_csv(index=False).encode()).decode()
    note = f", the first {ROWS} of {rows} rows" if rows > ROWS else ""
    link = f'<p><a href="{escape(view.link)}">In the dashboard</a></p>' if view.link else ""
    return (
        f'<section><h2>{escape(view.title)}</h2><div role="img" aria-label="{escape(plots.alt_text(view.figure))}">'
        f"{figure}</div><details><summary>Table{note}</summary>"
        f'<p><a download="{escape(view.key)}.csv" href="data:text/csv;base64,{csv}">CSV</a></p>'
        f'<div class="table">{shown.to_html(index=False, border=0)}</div></details>'
        f"<details><summary>Python</summary><pre>{escape(view.python)}</pre></details>{link}</section>"
    )
