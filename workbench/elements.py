"""What pages are made of: tiles, charts with the table behind them, progress."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from workbench import plots
from workbench.background import Task


def tile(label: str, value: str, note: str) -> None:
    st.metric(label, value, note, delta_color="off", delta_arrow="off", border=True)


def choose_measure(key: str) -> str:
    names = {label.split(" (")[0]: name for name, label in plots.MEASURES.items()}
    choice = st.segmented_control(
        "Measure", list(names), default=next(iter(names)), key=key, required=True, label_visibility="collapsed"
    )
    return names[choice or next(iter(names))]


def draw(figure: Any, key: str) -> None:
    st.plotly_chart(
        figure, key=f"{key}_chart", width="stretch", config={"displayModeBar": False}, alt=plots.alt_text(figure)
    )


def table(key: str, rows: Callable[[], pd.DataFrame]) -> None:
    """The numbers behind a chart, sent only when they are looked at."""
    with st.expander("As a table", key=f"{key}_table", on_change="rerun") as opened:
        if opened.open:
            st.dataframe(rows(), hide_index=True, width="stretch")


def advance(task: Task | None, text: str) -> None:
    done, total = (task.done, task.total) if task else (0, 0)
    st.progress(min(1.0, done / total) if total else 0.0, f"{text}: {done} of {total} videos" if total else text)


def watch(state: Callable[[], Any], show: Callable[[], None]) -> None:
    """Shows progress twice a second, and draws the page anew when the state changes."""
    before = state()

    @st.fragment(run_every=0.5)
    def look() -> None:
        show()
        if state() != before:
            st.rerun()

    look()
