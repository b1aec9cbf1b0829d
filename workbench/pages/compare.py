"""Compare: the chosen network against others, on the same videos and in what has to be stored."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import streamlit as st

from ffn.card import CheckpointError
from workbench import analysis, pricing, session, views
from workbench.elements import advance, known, origin_of, page, place_of, result_of, show, stopped, sweeping, watch
from workbench.session import Checkpoint, Known, Selection
from workbench.views import Origin
from workbench.words import sentence


def choose(chosen: Selection) -> dict[str, Checkpoint]:
    """The networks by title, that of the sidebar first."""
    networks = {chosen.checkpoint.title: chosen.checkpoint}
    others = session.others(chosen.checkpoint)
    flexible = [title for title in session.bundled() if title in others and len(others[title].card["frames"]) > 1]
    left, right = st.columns(2, gap="large")
    with left:
        titles = st.multiselect(
            f"{chosen.checkpoint.title}, against",
            list(others),
            (flexible or list(others))[-1:],
            key="against",
            bind="query-params",
        )
    with right:
        path = st.text_input(
            "and against one of your own",
            key="against_path",
            bind="query-params",
            placeholder="path of a .safetensors file on this machine",
        )
    networks |= {title: others[title] for title in titles}
    if path.strip():
        add(networks, Path(path.strip().strip("\"'")))
    return networks


def add(networks: dict[str, Checkpoint], path: Path) -> None:
    """The network at a path, by a title that no other has; where it cannot be used, a sentence says why."""
    try:
        other = session.open_path(path)
    except CheckpointError as error:
        st.error(sentence(error))
        return
    title = f"{other.title} ({path.name})" if other.title in networks else other.title
    networks[title] = replace(other, title=title)


def follow(now: Mapping[str, Known]) -> None:
    """Progress of what is still computed, network by network."""
    sweeps = {title: found.sweep for title, found in now.items() if found.sweep}
    rendering = next((found.rendering for found in now.values() if found.rendering), None)

    def busy() -> list[tuple[bool, int]]:
        working = [(sweep.running, len(sweep.records)) for sweep in sweeps.values()]
        return [*working, (bool(rendering and rendering.running), 0)]

    def progress() -> None:
        if rendering and rendering.running:
            advance(rendering, "Rendering the embedded videos")
        for title, sweep in sweeps.items():
            if sweep.running:
                sweeping(sweep, title)

    if any(running for running, _ in busy()):
        watch(busy, progress)
    for title, sweep in sweeps.items():
        if sweep.stopped and sweep.missing():
            stopped(sweep, title)


def places(networks: Mapping[str, Checkpoint], titles: Mapping[str, object], but: str) -> list[Origin]:
    """Where the networks of these titles come from."""
    return [place_of(networks[title]) for title in titles if title != but]


def accuracies(chosen: Selection, networks: Mapping[str, Checkpoint], now: Mapping[str, Known]) -> None:
    """All curves in one chart."""
    st.markdown("#### Accuracy against frames")
    tables = {title: found.tables.accuracy for title, found in now.items() if len(found.tables.accuracy)}
    if chosen.checkpoint.title not in tables:
        st.caption("Not computed yet.")
        return
    others = places(networks, tables, chosen.checkpoint.title)
    show(views.compared(origin_of(chosen), others, tables, chosen.num_frames))


def differences(chosen: Selection, networks: Mapping[str, Checkpoint], now: Mapping[str, Known]) -> None:
    """How the answers to the same videos differ, and whether that may be chance."""
    st.markdown("#### Differences on the same videos")
    reference = chosen.checkpoint.title
    found = {title: known.tables.decisions for title, known in now.items() if known.tables.decisions}
    if len(found) < 2 or reference not in found:
        st.caption("It takes the answers of two networks to the same videos, which are not known yet.")
        return
    table = result_of(pricing.differences(found, reference), "differences")
    if table is None:
        return
    for title in found:
        if title != reference:
            st.markdown(f"**{analysis.difference_in_words(table, title, chosen.num_frames)}**")
    show(views.differences(origin_of(chosen), places(networks, found, reference), table))
    st.caption(
        "Bars are 95 % intervals of a bootstrap that draws the same videos for both networks. The test is McNemar's, "
        "exact, on the videos that only one of the two gets right. Of many comparisons some would look like "
        f"differences by chance, so p-values are corrected for their number, {len(table)} (Holm): full marks have "
        "p < 0.05."
    )


def storage(chosen: Selection, networks: Mapping[str, Checkpoint]) -> None:
    """One network for all frame counts, or one for each."""
    st.markdown("#### What has to be stored")
    table = result_of(pricing.storage(networks), "storage")
    if table is None:
        return
    st.markdown("\n".join(f"- {analysis.stored_in_words(table, title)}" for title in networks))
    show(views.storage(origin_of(chosen), places(networks, networks, chosen.checkpoint.title), table))


def content(chosen: Selection) -> None:
    networks = choose(chosen)
    now = {title: known(replace(chosen, checkpoint=network)) for title, network in networks.items()}
    follow(now)
    if len(networks) < 2:
        st.info("Choose at least one network to compare with: a bundled one, or one of your own by its path.")
    accuracies(chosen, networks, now)
    if len(networks) > 1:
        differences(chosen, networks, now)
    storage(chosen, networks)


page(content)
