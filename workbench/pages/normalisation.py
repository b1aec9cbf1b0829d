"""Normalisation: what the norm layers see at every number of frames, against what they normalise with."""

import streamlit as st

from workbench import analysis, plots, session
from workbench.elements import STATELESS, advance, choose_measure, draw, follow, known, page, table, watch
from workbench.experiments import Experiment
from workbench.session import Known, Selection


def shifts(now: Known) -> None:
    """How far the statistics move, layer by layer and count by count."""
    st.markdown("#### How far the statistics move")
    rows = now.tables.divergence
    if rows.empty:
        st.caption("Not computed yet." if now.tables.accuracy.empty else STATELESS)
        return
    st.caption("What a norm layer sees in clips of so many frames, against the statistics that it normalises with.")
    draw(plots.divergence_heatmap(rows, choose_measure("shifts_measure")), "shifts")
    table("shifts", lambda: rows)


def experiment(chosen: Selection, now: Known) -> None:
    """The norms' statistics recomputed and nothing else changed: what that gives, and by which layers."""
    st.markdown("#### Is it the normalisation?")
    st.caption(
        "Means and variances of all norms are recomputed at each number of frames, from clips without their labels; "
        "not one weight changes. What accuracy comes back was lost to the normalisation."
    )
    if now.source is None:
        st.caption("The experiment can start once there are videos.")
        return
    job = session.experiment(chosen, now.source)
    if job.running:
        watch(lambda: job.running, lambda: advance(job.task, job.doing, cancel="cancel_experiment"))
    elif job.result:
        outcome(chosen.num_frames, job.result)
    else:
        if job.task and job.task.error:
            st.error(session.sentence(job.task.error))
        if st.button(f"Try it at {chosen.num_frames} frames", key="experiment"):
            job.start()
            st.rerun()


def outcome(num_frames: int, found: Experiment) -> None:
    """Curves over the frame counts beside the layers at the chosen one."""
    st.markdown(f"**{analysis.recovery(found.curves, num_frames)}**")
    left, right = st.columns(2, gap="large")
    with left:
        curves = {str(name): rows for name, rows in found.curves.groupby("network", sort=False)}
        draw(plots.accuracy_curves(curves, num_frames, "recalibrated"), "curves")
        table("curves", lambda: found.curves)
    with right:
        draw(plots.attribution_bars(found.attribution), "attribution")
        table("attribution", lambda: found.attribution)


def parameters(chosen: Selection) -> None:
    """What the norms hold, beside those of another network."""
    st.markdown("#### What the norms hold")
    others = {title: path for title, path in session.bundled().items() if title != chosen.checkpoint.title}
    beside = st.selectbox("Beside", [None, *others], key="beside", bind="query-params", format_func=_name)
    compared = [session.open_path(others[beside])] if beside else []
    rows = session.norm_parameters(chosen.checkpoint, *compared)
    if rows.empty:
        st.caption(STATELESS)
        return
    st.caption(
        "Channel means of running mean, running variance, weight and bias (paper figures 3, 10 and 11): "
        "read from the file, without data."
    )
    draw(plots.norm_parameters(rows), "parameters")
    table("parameters", lambda: rows)


def _name(title: str | None) -> str:
    return title or "no other network"


def show(chosen: Selection) -> None:
    now = known(chosen)
    follow(now)
    shifts(now)
    experiment(chosen, now)
    parameters(chosen)


page(show)
