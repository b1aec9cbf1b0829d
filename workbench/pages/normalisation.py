"""Normalisation: what the norm layers see at every number of frames, against what they normalise with."""

import streamlit as st

from workbench import analysis, session, views
from workbench.elements import STATELESS, choose_measure, follow, known, origin_of, page, place_of, result_of, show
from workbench.session import Known, Selection


def shifts(chosen: Selection, now: Known) -> None:
    """How far the statistics move, layer by layer and count by count."""
    st.markdown("#### How far the statistics move")
    rows = now.tables.divergence
    if rows.empty:
        st.caption("Not computed yet." if now.tables.accuracy.empty else STATELESS)
        return
    st.caption("What a norm layer sees in clips of so many frames, against the statistics that it normalises with.")
    show(views.shifts(origin_of(chosen), rows, choose_measure("shifts_measure")))


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
    found = result_of(job, "experiment", f"Try it at {chosen.num_frames} frames")
    if found:
        st.markdown(f"**{analysis.recovery(found.curves, chosen.num_frames)}**")
        for column, view in zip(
            st.columns(2, gap="large"), views.experiment(origin_of(chosen), found, chosen.num_frames), strict=True
        ):
            with column:
                show(view)


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
    show(views.norms(origin_of(chosen), rows, *map(place_of, compared)))


def _name(title: str | None) -> str:
    return title or "no other network"


def content(chosen: Selection) -> None:
    now = known(chosen)
    follow(now)
    shifts(chosen, now)
    experiment(chosen, now)
    parameters(chosen)


page(content)
