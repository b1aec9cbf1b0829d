"""Classes: what is taken for what, which classes suffer, and whether the confidence can be trusted."""

from collections.abc import Sequence

import streamlit as st

from ffn.decisions import Decisions
from workbench import analysis, session, views
from workbench.elements import clicks, compared, origin_of, page, show
from workbench.session import Known, Selection
from workbench.words import counted, in_frames

SIDEBAR = ("frames", "checkpoint", "checkpoint_path", "data", "data_path", "policy")  # its keys, which links keep
TRUE, ANSWERED = "true_class", "taken_for"  # the keys of the cell that is looked at


def confusions(chosen: Selection, found: Decisions, reference: int, classes: Sequence[str]) -> None:
    """What is answered to which class, and how that differs from another count."""
    origin, num_frames = origin_of(chosen), chosen.num_frames
    st.markdown(f"#### Answers at {in_frames(num_frames)}")
    st.caption("One row per class; what is off the diagonal is wrong. Click a cell for its videos, or choose it below.")
    show(views.confusion(origin, found, num_frames, classes), clicked=lambda: open_cell("confusion"))
    cell(chosen, found, reference, classes)
    st.markdown(f"#### What changes from {reference} to {in_frames(num_frames)}")
    if num_frames == reference:
        st.info("Both are the same number of frames: choose another one above, or in the sidebar.")
        return
    st.caption("Blue: more videos get this answer. Orange: fewer do.")
    change = views.confusion_change(origin, found, reference, num_frames, classes)
    show(change, clicked=lambda: open_cell("confusion_change"))


def open_cell(key: str) -> None:
    """Looks at the cell that was clicked."""
    if points := clicks(key):
        st.session_state[TRUE], st.session_state[ANSWERED] = points[0]["y"], points[0]["x"]


def cell(chosen: Selection, found: Decisions, reference: int, classes: Sequence[str]) -> None:
    """The way from a cell to its videos."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = st.selectbox("Videos of class", classes, key=TRUE, bind="query-params", width=220)
        answer = st.selectbox("taken for", classes, key=ANSWERED, bind="query-params", width=220)
        table = analysis.confusion(found, chosen.num_frames, classes)
        count = int(table.clips[(table["class"] == label) & (table.predicted == answer)].iloc[0])
        kept = {name: st.query_params.get_all(name) for name in SIDEBAR if name in st.query_params}
        st.page_link(
            "workbench/pages/videos.py",
            label=counted(count, "video"),
            icon=":material/video_library:",
            disabled=not count,
            query_params={**kept, "against": str(reference), "class": label, "answer": answer},
        )


def deviations(chosen: Selection, found: Decisions, reference: int, classes: Sequence[str]) -> None:
    """What single classes lose."""
    st.markdown(f"#### Which classes suffer at {in_frames(chosen.num_frames)}")
    st.caption(f"Points of accuracy against {in_frames(reference)}.")
    show(views.class_deviation(origin_of(chosen), found, reference, chosen.num_frames, classes))


def confidence(chosen: Selection, found: Decisions) -> None:
    """Whether the network knows when it is wrong."""
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(f"#### Can its confidence be trusted at {in_frames(chosen.num_frames)}?")
        st.caption("Of the answers with so much confidence, how many are right. On the dashed line it can.")
        show(views.reliability(origin_of(chosen), found, chosen.num_frames))
    with right:
        st.markdown("#### And at the other counts?")
        st.caption("Expected calibration error: how far confidence and accuracy are apart in the mean. 0 is best.")
        show(views.calibration(origin_of(chosen), found))


def names(chosen: Selection, now: Known) -> Sequence[str]:
    """Names of the classes: the checkpoint's, or those of the data, or numbers."""
    card = chosen.checkpoint.card
    if card.get("classes") or now.source is None:
        return card.get("classes") or [str(k) for k in range(card["num_classes"])]
    return session.clips(chosen.checkpoint, now.source).classes


def content(chosen: Selection) -> None:
    now, reference, found = compared(chosen, "reference")
    if found is None:
        return
    classes = names(chosen, now)
    table = analysis.confusion(found, chosen.num_frames, classes)
    st.subheader(analysis.confused(table, chosen.num_frames), anchor=False)
    confusions(chosen, found, reference, classes)
    deviations(chosen, found, reference, classes)
    confidence(chosen, found)


page(content)
