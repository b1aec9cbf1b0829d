"""Normalisation: what the norm layers see at every number of frames, against what they normalise with."""

import streamlit as st

from ffn.layers import nearest
from workbench import analysis, experiments, jobs, session, views
from workbench.background import GRID
from workbench.elements import (
    STATELESS,
    choose,
    choose_measure,
    clicks,
    follow,
    known,
    origin_of,
    page,
    place_of,
    result_of,
    show,
    titled,
)
from workbench.session import Checkpoint, Known, Selection
from workbench.words import in_frames

WHAT = {
    "statistics": ("statistics",),
    "affine parameters": ("affine",),
    "both": ("statistics", "affine"),
}
OWN, NO_OTHER = "this network", "no other network"
NEED_VIDEOS = "This can start once there are videos."


def shifts(chosen: Selection, now: Known) -> None:
    """How far the statistics move, layer by layer and count by count."""
    st.markdown("#### How far the statistics move")
    rows = now.tables.divergence
    if rows.empty:
        st.caption("Not computed yet." if now.tables.accuracy.empty else STATELESS)
        return
    st.caption("What a norm layer sees in clips of so many frames, against the statistics that it normalises with.")
    measure = choose_measure("shifts_measure")
    show(views.shifts(origin_of(chosen), rows, measure))
    if (rows.num_frames == chosen.num_frames).any():
        channels(chosen, now, measure)


def channels(chosen: Selection, now: Known, measure: str) -> None:
    """The layers at the chosen count, and the channels of one of them."""
    rows = now.tables.divergence
    st.markdown(f"#### Layers and their channels at {in_frames(chosen.num_frames)}")
    show(views.divergence(origin_of(chosen), rows, chosen.num_frames, measure), clicked=open_layer)
    layers = rows[rows.num_frames == chosen.num_frames].layer.tolist()
    layer = choose("Channels of a layer: click its bar, or choose it here", [None, *layers], "layer", "none yet")
    if layer is None or now.source is None:
        st.caption(NEED_VIDEOS if layer else "")
        return
    found = result_of(jobs.channels(chosen, now.source), "channels")
    if found is not None:
        st.caption(
            "Every point is a channel. On the diagonal it sees what it normalises with, and gives what it learned to "
            "give: bias as the mean, |weight| as the deviation. Off it, the next layer gets something else."
        )
        policy = chosen.answered_by or "nearest"
        show(views.channels(origin_of(chosen), found, layer, chosen.num_frames, policy))


def open_layer() -> None:
    """Opens the layer whose bar was clicked."""
    if points := clicks("divergence"):
        st.session_state["layer"] = points[0]["x"]


def tell_policy(chosen: Selection) -> None:
    """Says where the sidebar's policy does not count."""
    if chosen.answered_by not in ("", "nearest"):
        st.caption(f"Here the branch trained nearest answers, not {chosen.policy}: the statistics are what is tested.")


def experiment(chosen: Selection, now: Known) -> None:
    """The norms' statistics recomputed and nothing else changed: what that gives, and by which layers."""
    st.markdown("#### Is it the normalisation?")
    st.caption(
        "Means and variances of all norms are recomputed at each number of frames, from clips without their labels; "
        "not one weight changes. What accuracy comes back was lost to the normalisation."
    )
    tell_policy(chosen)
    private = choose_private(chosen)
    if now.source is None:
        st.caption(NEED_VIDEOS)
        return
    separate = trained_alone(chosen)
    every = st.toggle("At every count, which takes five times as long", key="every", bind="query-params")
    counts = GRID if every else experiments.COUNTS
    job = jobs.experiment(chosen, now.source, private, separate, counts)
    found = result_of(job, "experiment", f"Try it at {in_frames(chosen.num_frames)}")
    if not found:
        return
    st.markdown(f"**{analysis.recovery(found.curves, chosen.num_frames)}**")
    if found.gap is not None:
        st.markdown(f"**{analysis.explained(found.gap)}**")
    else:
        st.caption(f"How much of the gap that is takes a network trained at {in_frames(chosen.num_frames)} alone.")
    others = [place_of(other) if other else None for other in (private, separate)]
    shown = views.experiment(origin_of(chosen), found, chosen.num_frames, *others)
    for column, view in zip(st.columns(2, gap="large") * 2, shown, strict=False):
        with column:
            titled(view)


def choose_private(chosen: Selection) -> Checkpoint | None:
    """A network with private norms whose curve is drawn beside; by default one, unless the chosen one has them."""
    several = {
        title: other for title, other in session.alike(chosen.checkpoint).items() if len(other.card["frames"]) > 1
    }
    title = st.selectbox(
        "Beside it, private norms of",
        [None, *several],
        index=int(len(chosen.checkpoint.card["frames"]) == 1 and bool(several)),
        key="private",
        bind="query-params",
        format_func=lambda title: title or NO_OTHER,
    )
    return several[title] if title else None


def trained_alone(chosen: Selection) -> Checkpoint | None:
    """A network that was trained at the chosen count alone."""
    alone = [
        other for other in session.alike(chosen.checkpoint).values() if other.card["frames"] == [chosen.num_frames]
    ]
    return alone[0] if alone else None


def transplant(chosen: Selection, now: Known) -> None:
    """Norms of another branch or network put into this one."""
    st.markdown("#### Transplant norms")
    st.caption(
        "Statistics (mean and variance) or affine parameters (weight and bias) of the norms are taken from elsewhere; "
        "everything else stays. They fit where both networks come from the same weights, such as branches do."
    )
    tell_policy(chosen)
    several = len(chosen.checkpoint.card["frames"]) > 1
    donors = ({OWN: chosen.checkpoint} if several else {}) | session.alike(chosen.checkpoint)
    held = session.norm_parameters(chosen.checkpoint)
    if not donors or held.empty:
        st.caption("This takes a network of several branches, or another one of the same architecture.")
        return
    with st.container(horizontal=True):
        donor = donors[choose("From", list(donors), "donor")]
        branches = donor.card["frames"]
        branch = choose("Branch", [None, *branches], "donor_branch", "the nearest")
        layers = choose("Norms", [None, *dict.fromkeys([*held.stage, *held.layer])], "norms", "all")
        what = choose("What", list(WHAT), "what")
    if now.source is None:
        st.caption(NEED_VIDEOS)
        return
    branch = branch or nearest(chosen.num_frames, tuple(branches))
    job = jobs.transplantation(chosen, now.source, donor, branch, layers, WHAT[what])
    found = result_of(job, "transplant", f"Transplant and test at {in_frames(chosen.num_frames)}")
    if found is not None:
        st.markdown(f"**{analysis.transplanted(found)}**")
        show(views.transplant(origin_of(chosen), found, chosen.num_frames, place_of(donor), branch, layers, WHAT[what]))


def parameters(chosen: Selection) -> None:
    """What the norms hold, beside those of another network."""
    st.markdown("#### What the norms hold")
    others = session.others(chosen.checkpoint)
    beside = choose("Beside", [None, *others], "beside", NO_OTHER)
    compared = [others[beside]] if beside else []
    rows = session.norm_parameters(chosen.checkpoint, *compared)
    if rows.empty:
        st.caption(STATELESS)
        return
    st.caption(
        "Channel means of running mean, running variance, weight and bias (paper figures 3, 10 and 11): "
        "read from the file, without data."
    )
    show(views.norms(origin_of(chosen), rows, *map(place_of, compared)))
    if beside in session.alike(chosen.checkpoint):
        between(chosen, others[beside])


def between(chosen: Selection, other: Checkpoint) -> None:
    """How far the statistics of two networks are apart."""
    st.markdown(f"#### From here to {other.title}")
    st.caption(
        "Running statistics of each branch against those of the other network's nearest. Channels are compared by "
        "number, which says little of networks that were not trained from the same weights."
    )
    rows = analysis.network_divergence(session.model(chosen.checkpoint), session.model(other))
    if rows.empty:
        st.caption(STATELESS)
        return
    measure = choose_measure("between_measure")
    show(views.networks(origin_of(chosen), rows, measure, place_of(other)))


def content(chosen: Selection) -> None:
    now = known(chosen)
    follow(now)
    shifts(chosen, now)
    experiment(chosen, now)
    transplant(chosen, now)
    parameters(chosen)


page(content)
