"""Train: a small network trained live, and the deviation that appears while it learns."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from ffn import moving_shapes
from workbench import analysis, session, views
from workbench.elements import advance, page, show, watch
from workbench.session import Selection
from workbench.training import METHODS, SHOWN_TO_ONE, Plan, Run, Trainings, read_run
from workbench.words import sentence

COUNTS = (1, 2, 4, 8, 16, 32)
STARTED = "_started"  # the run that this viewer began and that is not listed yet


def plan(chosen: Selection) -> Plan | None:
    """What is to be trained, as the viewer chooses; a sentence where that cannot be."""
    left, right = st.columns(2, gap="large")
    with left:
        method = st.selectbox(
            "Method", list(METHODS), format_func=METHODS.__getitem__, key="method", bind="query-params"
        )
        frames = counts(method)
    with right:
        epochs = st.slider("Epochs", 1, 40, 14, key="epochs", bind="query-params")
        videos = embedded() if chosen.data is None else of_path(chosen.data)
    if videos is None:
        return None
    wanted = Plan(method, frames, epochs, **videos)
    try:
        wanted.experiment()
    except ValueError as error:
        st.info(sentence(error))
        return None
    return wanted


def counts(method: str) -> tuple[int, ...]:
    """The frame counts to train at."""
    if method == "single":
        return (st.selectbox("Frames that are trained", COUNTS, 2, key="trained_count", bind="query-params"),)
    few = method in SHOWN_TO_ONE
    key, start = ("trained_two", [4, 16]) if few else ("trained_counts", [4, 8, 16])
    return tuple(sorted(st.multiselect("Frames that are trained", COUNTS, start, key=key, bind="query-params")))


def embedded() -> dict[str, Any]:
    """How many of the embedded videos are trained on."""
    most = moving_shapes.SPLITS["train"].per_class
    return {
        "per_class": st.slider("Training videos of each class", 10, most, 100, 10, key="per_class", bind="query-params")
    }


def of_path(data: str) -> dict[str, Any] | None:
    """The videos that the sidebar names, and those to validate on; None until both are said."""
    validation = st.text_input("Path of videos to validate on", key="validation", bind="query-params").strip()
    if data and validation:
        return {"data": str(Path(data).expanduser()), "validation": str(Path(validation).expanduser())}
    st.info("Give the path of the videos to train on in the sidebar, and of others to validate on here.")
    return None


def start(room: Trainings, wanted: Plan) -> None:
    """The button that begins."""
    known = room.runs().get(wanted.name)
    if not wanted.data:
        minutes = max(1, round(wanted.seconds(os.cpu_count() or 1) / 60))
        st.caption(f"About {minutes} min on this machine when it is idle, and rendering the videos the first time.")
    if room.running:
        st.info("A training is under way, and there is one at a time for all viewers: it is shown below.")
    elif known and known.finished:
        st.info("This was trained already: choose it below, or other settings.")
    else:
        label = f"Go on after epoch {known.epochs}" if known else "Train"
        if st.button(label, type="primary", icon=":material/play_arrow:", key="train_start"):
            room.start(wanted.name, wanted.prepare)
            st.session_state[STARTED] = wanted.name
            st.rerun()


def under_way(room: Trainings) -> None:
    """Progress of the training under way, until it ends or an epoch more is there."""
    job = room.job
    if job is None:
        return
    if not job.running:
        if job.task and job.task.error:
            st.error(sentence(job.task.error))
        return

    def state() -> list[Any]:
        found = read_run(room.folder / room.name)
        return [job.running, found and found.epochs]

    watch(state, lambda: advance(job.task, job.doing or "Starting", cancel="train_cancel"))
    st.caption("Cancel ends it; the best network so far stays, and the run can go on later.")


def choose_run(room: Trainings) -> Run | None:
    """The run to look at; None while there is none."""
    runs = room.runs()
    if not runs:
        st.caption("Nothing has been trained here yet: choose above what to train, and begin.")
        return None
    if st.session_state.get(STARTED) in runs:
        st.session_state["run"] = st.session_state.pop(STARTED)
    if "run" not in st.session_state and "run" not in st.query_params:
        st.session_state["run"] = next(iter(runs))  # said in the link, which newer runs then do not change
    titles = {name: f"{found.title} ({name})" for name, found in runs.items()}
    name = st.selectbox("Run", titles, None, format_func=titles.__getitem__, key="run", bind="query-params")
    return runs.get(name or "")


def curves(found: Run) -> None:
    """What a run has learnt so far."""
    if not found.rows.is_file():
        st.caption("The first epoch is under way: its numbers come when it ends.")
        return
    st.caption(f"{found.epochs} of {found.experiment.epochs} epochs are done.")
    table = analysis.epochs(found.rows)
    trained = found.experiment.shown
    if said := analysis.deviation(table, trained):
        st.subheader(said, anchor=False)
    if table.validation.notna().any():
        st.markdown("#### The deviation appears")
        st.caption(
            "Top-1 of the validation videos after every epoch: solid at the frame counts that are trained, "
            "dashed at others, which the network never sees in training."
        )
        show(views.validation(found.rows, table, trained))
    st.markdown("#### Loss and accuracy in training")
    show(views.learning(found.rows, table))


def result(room: Trainings, found: Run) -> None:
    """What can be done with a run."""
    with st.container(horizontal=True):
        if found.best.is_file():
            st.button(
                "Choose it in the sidebar, for all pages",
                icon=":material/visibility:",
                key="run_open",
                on_click=partial(select, found.best),
            )
            st.download_button(
                "Download",
                found.best.read_bytes,
                f"{found.name}.safetensors",
                icon=":material/download:",
                on_click="ignore",
                key="run_download",
            )
        if not (found.finished or room.running) and st.button("Go on with this run", key="run_go_on"):
            room.go_on(found)
            st.rerun()


def select(path: Path) -> None:
    """Makes the sidebar choose a network."""
    st.session_state["checkpoint"] = session.LOCAL
    st.session_state["checkpoint_path"] = str(path)


def content(chosen: Selection) -> None:
    room = session.trainings()
    st.markdown("#### Train a small network")
    st.caption(
        "It learns here, on this machine's processor. After every epoch it is tested at six frame counts, "
        "those that it was not trained at too."
    )
    if wanted := plan(chosen):
        start(room, wanted)
    under_way(room)
    st.divider()
    if found := choose_run(room):
        result(room, found)
        curves(found)


page(content)
