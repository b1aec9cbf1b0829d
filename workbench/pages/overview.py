"""Overview: what is wrong with a checkpoint at the chosen number of frames, what it costs, and what helps."""

import pandas as pd
import streamlit as st

from ffn.layers import nearest
from workbench import analysis, session, views
from workbench.background import Sweep
from workbench.elements import STATELESS, advance, choose_measure, follow, known, origin_of, page, show, tile, watch
from workbench.records import Tables
from workbench.session import Known, Selection
from workbench.words import in_frames, sentence


def say(chosen: Selection, now: Known) -> None:
    """The sentences at the top."""
    others = {title: other.accuracy for title, other in now.others.items()}
    frames = chosen.checkpoint.card["frames"]
    tables = now.tables.accuracy, now.tables.divergence
    accuracy, *reasons = analysis.diagnosis(frames, chosen.num_frames, *tables, others, chosen.policy)
    st.subheader(accuracy, anchor=False)
    st.markdown("  \n".join(reasons))


def tiles(chosen: Selection, now: Known) -> None:
    """The numbers of the chosen frame count."""
    measured = session.profile(chosen.checkpoint).at(chosen.num_frames)
    frames = chosen.checkpoint.card["frames"]
    branch = nearest(chosen.num_frames, tuple(frames))
    counts = " · ".join(map(str, frames))
    with st.container(horizontal=True):
        tile("Top-1, 95 % interval", *accuracy_tile(now.tables.accuracy, chosen.num_frames))
        if measured:
            cost, time = measured.cost, measured.latency
            tile("Compute", f"{cost.macs / 1e9:.3g} GMACs", f"{cost.flops / 1e9:.3g} GFLOPs")
            tile("Parameters", f"{cost.params / 1e6:.2f} M", f"trained at {counts}")
            tile("Latency", f"{time.p50:.1f} ms" if time else "failed", "median of one clip, here")
        else:
            for label in ("Compute", "Parameters", "Latency"):
                tile(label, "…", "measuring")
        if chosen.answered_by in ("", "nearest"):
            tile("Branch", f"{branch} frames", "the only one" if len(frames) == 1 else f"nearest of {counts}")
        else:
            tile("Branch", chosen.answered_by, f"from {counts}")


def accuracy_tile(table: pd.DataFrame, num_frames: int) -> tuple[str, str]:
    """Top-1 with its 95 % interval and number of clips."""
    rows = table[table.num_frames == num_frames]
    if rows.empty:
        return "…", "not computed yet"
    row = rows.iloc[0]
    return f"{row.top1:.1f} %", f"{row.low:.1f} to {row.high:.1f}, {row.clips:.0f} clips"


def origin(chosen: Selection, now: Known) -> None:
    """Where the numbers come from, and the way to check them."""
    if not now.recorded:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge("recorded", icon=":material/inventory_2:", color="blue")
        st.caption(
            "with this checkpoint on this data, same hashes."
            if now.checked
            else "with this checkpoint; whether the videos here are the same is checked once they are rendered."
        )
        verify = st.button("Recompute", icon=":material/refresh:", disabled=now.source is None, key="recompute")
    if now.source:
        compare(chosen, now, session.verification(chosen.checkpoint, now.source, chosen.num_frames), verify)


def compare(chosen: Selection, now: Known, found: Sweep, start: bool) -> None:
    """The recorded results at this frame count against those computed here."""
    if start:
        found.want(chosen.num_frames)
    if found.running:
        watch(lambda: [found.running], lambda: advance(found.task, f"Recomputing at {in_frames(chosen.num_frames)}"))
    elif found.stopped and found.task and found.task.error:
        st.error(sentence(found.task.error))
    elif chosen.num_frames in found.records:
        same, text = analysis.comparison(now.tables, found.tables(), chosen.num_frames)
        (st.success if same else st.warning)(text)


def charts(chosen: Selection, now: Known) -> None:
    """Accuracy against frames beside the divergence at the chosen count."""
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("#### Accuracy against frames")
        title = chosen.checkpoint.title
        curves = {title: now.tables.accuracy} | {name: other.accuracy for name, other in now.others.items()}
        if any(map(len, curves.values())):
            show(views.accuracy(origin_of(chosen), curves, chosen.num_frames))
    with right:
        st.markdown(f"#### Norm statistics at {in_frames(chosen.num_frames)}")
        divergences(chosen, now.tables)


def divergences(chosen: Selection, found: Tables) -> None:
    """What the norms see at this frame count against what they normalise with."""
    measure = choose_measure("measure")
    if (found.divergence.num_frames == chosen.num_frames).any():
        show(views.divergence(origin_of(chosen), found.divergence, chosen.num_frames, measure))
    else:
        st.caption(STATELESS if found.knows(chosen.num_frames) else "Not computed yet.")


def branches(chosen: Selection) -> None:
    """How far the private norms are apart; needs no data."""
    if len(chosen.checkpoint.card["frames"]) == 1:
        return
    st.markdown("#### Between the branches")
    rows = session.branch_divergence(chosen.checkpoint)
    if rows.empty:
        shared = not chosen.checkpoint.card.get("private_norms", True)
        st.caption("The branches share their norms." if shared else STATELESS)
        return
    st.caption("Running statistics of each branch against those of the longest: read from the file, without data.")
    show(views.branches(origin_of(chosen), rows, choose_measure("branch_measure")))


def card(chosen: Selection) -> None:
    """Everything that the checkpoint says of itself."""
    with st.expander("The checkpoint's card", key="card", on_change="rerun") as opened:
        if opened.open:
            rows = pd.json_normalize(chosen.checkpoint.card, sep=" · ").T.reset_index()
            rows.columns = ["entry", "value"]
            st.dataframe(rows.astype(str), hide_index=True, width="stretch")
            st.caption(f"Hash of the file: {chosen.checkpoint.digest}")


def content(chosen: Selection) -> None:
    now = known(chosen)
    profile = session.profile(chosen.checkpoint)
    say(chosen, now)
    tiles(chosen, now)
    origin(chosen, now)
    follow(now, lambda: profile.at(chosen.num_frames) is not None)
    charts(chosen, now)
    branches(chosen)
    card(chosen)


page(content)
