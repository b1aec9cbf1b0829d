"""What pages are made of: tiles, charts with the table behind them, progress."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from ffn.card import CheckpointError
from ffn.data import DataError
from workbench import plots, session
from workbench.background import Sweep, Task
from workbench.session import Known, Selection

STATELESS = "No norm of this network keeps statistics, so there is nothing to compare."


def page(show: Callable[[Selection], None]) -> None:
    """A page on the viewer's selection; a sentence where there is none."""
    chosen = session.selection()
    if chosen is None:
        st.info("Choose a checkpoint in the sidebar: a bundled one, a local .safetensors file, or an upload.")
        return
    try:
        show(chosen)
    except CheckpointError as error:
        st.error(session.sentence(error))


def tile(label: str, value: str, note: str) -> None:
    st.metric(label, value, note, delta_color="off", delta_arrow="off", border=True)


def choose_measure(key: str) -> str:
    return st.selectbox(
        "Measure", list(plots.MEASURES), format_func=plots.MEASURES.__getitem__, key=key, label_visibility="collapsed"
    )


def draw(figure: Any, key: str) -> None:
    st.plotly_chart(
        figure, key=f"{key}_chart", width="stretch", config={"displayModeBar": False}, alt=plots.alt_text(figure)
    )


def table(key: str, rows: Callable[[], pd.DataFrame]) -> None:
    """The numbers behind a chart, sent only when they are looked at."""
    with st.expander("As a table", key=f"{key}_table", on_change="rerun") as opened:
        if opened.open:
            st.dataframe(rows(), hide_index=True, width="stretch")


def advance(task: Task | None, text: str, *, cancel: str = "") -> None:
    """Progress of a task, with a button of the key `cancel` to end it."""
    done, total = (task.done, task.total) if task else (0, 0)
    st.progress(min(1.0, done / total) if total else 0.0, f"{text}: {done} of {total} videos" if total else text)
    if task and cancel and st.button("Cancel", key=cancel):
        task.cancel()


def watch(state: Callable[[], Any], show: Callable[[], None]) -> None:
    """Shows progress twice a second, and draws the page anew when the state changes."""
    before = state()

    @st.fragment(run_every=0.5)
    def look() -> None:
        show()
        if state() != before:
            st.rerun()

    look()


def known(chosen: Selection) -> Known:
    """Everything that is known; where the data cannot be used, a sentence says why."""
    try:
        return session.known(chosen)
    except DataError as error:
        (st.error if chosen.data else st.info)(session.sentence(error))
        return session.NOTHING


def follow(now: Known, ready: Callable[[], bool] = lambda: True) -> None:
    """Progress of the background work, until it is done and `ready`; then what could not be read."""

    def state() -> list[Any]:
        busy = [bool(work and work.running) for work in (now.rendering, now.sweep)]
        return [ready(), busy, len(now.sweep.records) if now.sweep else 0]

    if ready() and not any(state()[1]):
        work(now)
    else:
        watch(state, lambda: work(now))
    unreadable(now)


def work(now: Known) -> None:
    """Progress of what runs in the background, and what went wrong there."""
    rendering, sweep = now.rendering, now.sweep
    if rendering and rendering.running:
        advance(rendering, "Rendering the embedded videos")
    elif rendering and rendering.error:
        st.error(f"The embedded videos could not be rendered: {session.sentence(rendering.error)}")
    if sweep and sweep.running:
        text = f"Computing at {', '.join(map(str, sweep.now))} frames, {len(sweep.missing())} to go"
        advance(sweep.task, text, cancel="cancel")
    elif sweep and sweep.stopped and sweep.missing():
        stopped(sweep)


def stopped(sweep: Sweep) -> None:
    if sweep.task and sweep.task.error:
        st.error(session.sentence(sweep.task.error))
    if st.button("Compute the rest", key="resume"):
        sweep.resume()
        st.rerun()


def unreadable(now: Known) -> None:
    if lines := now.tables.unreadable:
        more = f" and {len(lines) - 5} more" if len(lines) > 5 else ""
        count = "1 video" if len(lines) == 1 else f"{len(lines)} videos"
        verb = "is" if len(lines) == 1 else "are"
        st.warning(f"{count} could not be read and {verb} left out: {'; '.join(lines[:5])}{more}.")
