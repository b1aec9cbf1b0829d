"""Representations: where a network puts the videos at every number of frames, and what that keeps."""

from pathlib import Path

import streamlit as st

from ffn.features import Features
from workbench import jobs, session, views
from workbench.elements import choose, follow, known, origin_of, page, place_of, result_of, show, titled
from workbench.extraction import VIDEOS
from workbench.session import Selection
from workbench.words import in_frames

COMPONENTS, MAPS = "principal components", "t-SNE"


def places(chosen: Selection, source: Path, found: Features, native: int) -> None:
    """The videos on a plane that all counts share."""
    st.markdown("#### Where the videos lie")
    st.caption(
        "Every point is a video, coloured by its class. All frame counts share the axes: play them, and watch whether "
        "the classes stay where the network learned to find them."
    )
    with st.container(horizontal=True):
        layer = st.selectbox("Layer", found.layers, index=len(found.layers) - 1, key="features", bind="query-params")
        way = st.selectbox("Plane", [COMPONENTS, MAPS], key="plane", bind="query-params")
    reference = native if way == MAPS else None
    table = result_of(jobs.embedding(chosen, source, found, layer, reference), "embedding")
    if table is None:
        return
    origin, counts = origin_of(chosen), chosen.num_frames
    show(views.embedding(origin, table, layer, counts, reference))
    if counts != native:
        titled(views.side_by_side(origin, table, layer, counts, native, reference))


def alike(chosen: Selection, source: Path, found: Features, native: int) -> None:
    """CKA between frame counts, layers and networks."""
    st.markdown("#### What is alike")
    st.caption(
        "Linear CKA: 1 where two representations order the videos in the same way, whatever their axes; near 0 where "
        "they have nothing in common."
    )
    table = result_of(jobs.similarity(chosen, source, found), "similarity")
    if table is None:
        return
    origin = origin_of(chosen)
    left, right = st.columns(2, gap="large")
    with left:
        titled(views.similarity_curves(origin, table, native))
        titled(views.similarity_layers(origin, table, chosen.num_frames, native))
    with right:
        titled(views.similarity_frames(origin, table, st.session_state["features"]))
        networks(chosen, source, found)


def networks(chosen: Selection, source: Path, found: Features) -> None:
    """CKA with another network."""
    others = session.others(chosen.checkpoint)
    against = choose("The same layers of another network", [None, *others], "against", "none")
    if against is None:
        return
    other = others[against]
    table = result_of(jobs.similarity(chosen, source, found, other), "against")
    if table is not None:
        titled(views.similarity_networks(origin_of(chosen), table, chosen.num_frames, place_of(other)))


def readable(chosen: Selection, source: Path, found: Features, native: int) -> None:
    """Linear probes."""
    st.markdown("#### What a linear classifier reads from every layer")
    st.caption(
        f"Fitted on one half of the videos and tested on the other, at each count (solid) or at {in_frames(native)} "
        "alone (dashed). Where solid lies above dashed, the classes are still there, but no longer where the network's "
        "own classifier looks for them."
    )
    table = result_of(jobs.probes(chosen, source, found, native), "probes", "Fit the probes")
    if table is not None:
        show(views.probes(origin_of(chosen), table, native))


def content(chosen: Selection) -> None:
    st.markdown("#### What the network makes of the videos")
    st.caption(
        f"Features of up to {VIDEOS} videos at every count: what a layer gives, averaged over positions and frames; "
        '"pooled" is what the classifier sees.'
    )
    now = known(chosen)
    follow(now)
    if now.source is None:
        st.caption("Features can be extracted once there are videos.")
        return
    found = result_of(jobs.features(chosen, now.source), "features_job")
    if found is not None:
        native = chosen.checkpoint.card["frames"][-1]
        places(chosen, now.source, found, native)
        alike(chosen, now.source, found, native)
        readable(chosen, now.source, found, native)


page(content)
