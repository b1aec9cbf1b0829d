"""Normalisation: what the norm layers see at every number of frames, against what they normalise with."""

import streamlit as st

from workbench import plots, session
from workbench.elements import STATELESS, choose_measure, draw, follow, known, page, table
from workbench.session import Known, Selection


def shifts(now: Known) -> None:
    """How far the statistics move, layer by layer and count by count."""
    st.markdown("#### How far the statistics move")
    rows = now.tables.divergence
    if rows.empty:
        st.caption("Not computed yet." if now.tables.accuracy.empty else STATELESS)
        return
    st.caption(
        "What a norm layer sees in clips of so many frames, against the statistics that it normalises with."
    )
    draw(plots.divergence_heatmap(rows, choose_measure("shifts_measure")), "shifts")
    table("shifts", lambda: rows)


def parameters(chosen: Selection) -> None:
    """What the norms hold, beside those of another network."""
    st.markdown("#### What the norms hold")
    others = [title for title in session.bundled() if title != chosen.checkpoint.title]
    beside = st.selectbox("Beside", [None, *others], key="beside", bind="query-params", format_func=_name)
    paths = [session.bundled()[beside]] if beside else []
    rows = session.norm_parameters(chosen.checkpoint, *map(session.open_path, paths))
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
    parameters(chosen)


page(show)
