"""What pages are made of: tiles, charts with what is behind them, progress."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import streamlit as st

from ffn.card import CheckpointError
from ffn.data import DataError
from ffn.decisions import Decisions
from workbench import plots, session
from workbench.background import SLIDER, Job, Sweep, Task
from workbench.session import Checkpoint, Known, Selection
from workbench.views import Origin, View
from workbench.words import counted, sentence

PAGE = "page"  # what a link calls the page
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
        st.error(sentence(error))


def tile(label: str, value: str, note: str) -> None:
    st.metric(label, value, note, delta_color="off", delta_arrow="off", border=True)


def choose(label: str, options: Sequence[Any], key: str, none: str = "", place: Any = st) -> Any:
    """A select box that stays in the link; `none` is what the option None is called."""
    return place.selectbox(label, options, key=key, bind="query-params", format_func=lambda option: str(option or none))


def choose_measure(key: str) -> str:
    return st.selectbox(
        "Measure",
        list(plots.MEASURES),
        format_func=plots.MEASURES.__getitem__,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )


def choose_reference(chosen: Selection, key: str) -> int:
    """Another frame count to compare with, at first the longest trained one."""
    longest = min(max(chosen.checkpoint.card["frames"]), SLIDER[-1])
    return st.slider(
        "Compared with, frames per clip",
        SLIDER[0],
        SLIDER[-1],
        longest,
        key=key,
        bind="query-params",
        help="Another number of frames, beside the T of the sidebar.",
    )


def answers(now: Known, *frames: int) -> Decisions | None:
    """The answers video by video, where they are known at these frame counts; a sentence where they are not."""
    found = now.tables.decisions
    missing = [t for t in frames if found is None or t not in found.frames]
    if not missing:
        return found
    if now.sweep:
        now.sweep.want(missing[0])
    said = " and ".join(str(t) for t in dict.fromkeys(missing))
    st.info(f"The answers at {said} frames are not computed yet: they come once there are videos and a sweep has run.")
    return None


def compared(chosen: Selection, key: str) -> tuple[Known, int, Decisions | None]:
    """What is known, another count to compare with, and the `answers` at both; progress where there are none yet."""
    now = known(chosen)
    reference = choose_reference(chosen, key)
    found = answers(now, chosen.num_frames, reference)
    follow(now)
    return now, reference, found


def origin_of(chosen: Selection) -> Origin:
    """Where the selection comes from, for the Python of its views."""
    place = place_of(chosen.checkpoint, Path(chosen.data).expanduser() if chosen.data else None)
    return replace(place, policy=chosen.policy)


def place_of(checkpoint: Checkpoint, data: Path | None = None) -> Origin:
    """Where a checkpoint comes from."""
    source = checkpoint.source
    return Origin(checkpoint.title, source.resolve() if isinstance(source, Path) else None, data)


def show(view: View, clicked: Callable[[], None] | None = None) -> None:
    """A chart, and behind it what it is made of, sent only when it is looked at.

    `clicked` is called before the page is drawn anew when bars or points are chosen; `clicks` says which.
    """
    draw(view.figure, view.key, clicked)
    with st.expander("Table, Python, report", key=f"{view.key}_table", on_change="rerun") as opened:
        if opened.open:
            behind(replace(view, link=link()))


def titled(view: View) -> None:
    """`show` under the title of the view."""
    st.markdown(f"##### {view.title}")
    show(view)


def draw(figure: Any, key: str, clicked: Callable[[], None] | None = None) -> None:
    """A chart by itself."""
    st.plotly_chart(
        figure,
        key=f"{key}_chart",
        width="stretch",
        config={"displayModeBar": False},
        alt=plots.alt_text(figure),
        on_select=clicked or "ignore",
        selection_mode="points",
    )


def clicks(key: str) -> list[Any]:
    """The bars or points chosen in the chart of the view `key`, as Plotly tells of them."""
    chart = st.session_state.get(f"{key}_chart")
    return chart.selection.points if chart else []


def behind(view: View) -> None:
    """The table, the Python and the link of a view, and the way into the report."""
    st.dataframe(view.table, hide_index=True, width="stretch")
    kept, name = session.report(), f"{view.link}#{view.key}"
    with st.container(horizontal=True):
        st.download_button(
            "CSV",
            view.table.to_csv(index=False),
            f"{view.key}.csv",
            "text/csv",
            key=f"{view.key}_csv",
            on_click="ignore",
        )
        if st.button("Remove from the report" if name in kept else "Add to the report", key=f"{view.key}_report"):
            kept.pop(name) if name in kept else kept.update({name: view})
            st.rerun()
    st.code(view.python, "python")
    st.code(view.link, None, wrap_lines=True)


def link() -> str:
    """The address of what the viewer sees; uploads stay out of it."""
    here = (st.context.url or "").partition("?")[0]
    page = urlsplit(here).path.rpartition("/")[-1]
    choices: dict[str, Any] = {PAGE: page} if page else {}
    choices |= {name: st.query_params.get_all(name) for name in st.query_params}
    return here.removesuffix(page) + (f"?{urlencode(choices, doseq=True)}" if choices else "")


def advance(task: Task | None, text: str, *, cancel: str = "") -> None:
    """Progress of a task and the time it will take, with a button of the key `cancel` to end it."""
    done, total = (task.done, task.total) if task else (0, 0)
    left = _left(task.remaining) if task else ""
    st.progress(min(1.0, done / total) if total else 0.0, f"{text}: {done} of {total}{left}" if total else text)
    if task and cancel and st.button("Cancel", key=cancel):
        task.cancel()


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f", about {seconds:.0f} s left" if seconds < 90 else f", {seconds / 60:.0f} min left"


def result_of(job: Job, key: str, start: str = "") -> Any:
    """The result of background work; None while its progress, or the button `start`, stands in its place.

    Without a `start` the work begins by itself.
    """
    if job.result is not None:
        return job.result
    if not (start or job.task):
        job.start()
    if job.running:
        waiting = "Waiting for other work to end"
        watch(lambda: job.running, lambda: advance(job.task, job.doing or waiting, cancel=f"{key}_cancel"))
    else:
        if job.task and job.task.error:
            st.error(sentence(job.task.error))
        if st.button(start or "Compute", key=f"{key}_start"):
            job.start()
            st.rerun()
    return None


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
        (st.error if chosen.data else st.info)(sentence(error))
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
        st.error(f"The embedded videos could not be rendered: {sentence(rendering.error)}")
    if sweep and sweep.running:
        sweeping(sweep)
    elif sweep and sweep.stopped and sweep.missing():
        stopped(sweep)


def sweeping(sweep: Sweep, title: str = "") -> None:
    """Progress of a sweep, of the network called `title` where there are several."""
    opening = f"{title}: computing" if title else "Computing"
    counts = ", ".join(map(str, sweep.now))
    text = f"{opening} at {counts} frames, {len(sweep.missing())} to go"
    advance(sweep.task, text, cancel=f"cancel {title}".strip())


def stopped(sweep: Sweep, title: str = "") -> None:
    """A sweep that failed or was cancelled, and the way to go on."""
    if sweep.task and sweep.task.error:
        said = sentence(sweep.task.error)
        st.error(f"{title}: {said}" if title else said)
    of = f" of {title}" if title else ""
    if st.button(f"Compute the rest{of}", key=f"resume {title}".strip()):
        sweep.resume()
        st.rerun()


def unreadable(now: Known) -> None:
    if lines := now.tables.unreadable:
        more = f" and {len(lines) - 5} more" if len(lines) > 5 else ""
        count, verb = counted(len(lines), "video"), "is" if len(lines) == 1 else "are"
        st.warning(f"{count} could not be read and {verb} left out: {'; '.join(lines[:5])}{more}.")
