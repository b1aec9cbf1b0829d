"""Lesson: the paper's argument in eight short steps, the last one the viewer's own."""

from dataclasses import replace

import streamlit as st

from workbench import plots, session, views
from workbench.elements import known, origin_of, show
from workbench.lesson import STEPS, Step
from workbench.session import Selection
from workbench.words import counted

LAST = len(STEPS) + 1
LARGE = "<style>:root { font-size: 22px } [data-testid=stMainBlockContainer] { max-width: none }</style>"


def choose_step() -> int:
    """The step, from the row of numbers or the buttons beside it."""
    names = {i: str(i) for i in range(1, LAST + 1)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        step = st.segmented_control(
            "Step", list(names), key="step", default=1, required=True, bind="query-params", label_visibility="collapsed"
        )
        for text, to, key in (("Back", step - 1, "Alt+Left"), ("Next", step + 1, "Alt+Right")):
            st.button(text, key=text.lower(), shortcut=key, on_click=go, args=(to,), disabled=to not in names)
        st.toggle("Presenter", key="presenter", bind="query-params", help="Large type for a projector.")
    return int(step)


def go(step: int) -> None:
    st.session_state["step"] = step


def present(step: Step, *, large: bool) -> None:
    """Claim, control and finding beside the figure."""
    words, picture = st.columns([2, 3], gap="large")
    with words:
        st.markdown(f"**The claim.** {step.claim}")
        st.markdown(f"**The control.** {step.control}")
        st.markdown(f"**What we find.** {step.finding()}")
    with picture:
        view = step.view()
        show(replace(view, figure=plots.enlarged(view.figure)) if large else view)


def break_it(chosen: Selection | None) -> None:
    """A guess at the sidebar's network and count, then the answer."""
    if chosen is None:
        st.info("Choose a checkpoint in the sidebar, then guess how it does.")
        return
    frames = chosen.num_frames
    st.markdown(
        f"Move **T** in the sidebar to where you expect *{chosen.checkpoint.title}* to fail, and take another network "
        "when you have broken this one. Guess first."
    )
    guess = st.slider(f"Your guess: right answers at {frames} frames (%)", 0, 100, 50, key="guess", bind="query-params")
    asked = (chosen.checkpoint.digest, chosen.data, frames, chosen.policy)
    if st.button("Look", key="look", type="primary"):
        st.session_state["_looked"] = asked
    if st.session_state.get("_looked") == asked:
        reveal(chosen, guess)


def reveal(chosen: Selection, guess: int) -> None:
    now = known(chosen)
    found = now.tables.accuracy
    rows = found[found.num_frames == chosen.num_frames]
    if rows.empty:
        st.caption("Computing; the Overview shows how far it is.")
        return
    row = rows.iloc[0]
    away = counted(abs(row.top1 - guess), "point")
    inside = "inside the interval" if row.low <= guess <= row.high else f"{away} away"
    st.markdown(f"**{row.top1:.1f} %** ({row.low:.1f} to {row.high:.1f}). Your guess of {guess} % is {inside}.")
    show(views.accuracy(origin_of(chosen), {chosen.checkpoint.title: found}, chosen.num_frames))


def content() -> None:
    number = choose_step()
    large = bool(st.session_state.get("presenter"))
    if large:
        st.html(LARGE)
    st.subheader(f"{number}. {STEPS[number - 1].title if number < LAST else 'Break it yourself'}", anchor=False)
    if number < LAST:
        present(STEPS[number - 1], large=large)
    else:
        break_it(session.selection())


content()
