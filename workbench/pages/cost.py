"""Cost: what a prediction takes at every number of frames, and how accurate it can be for that."""

from math import floor, log10
from typing import Any

import pandas as pd
import streamlit as st

from ffn.costs import stored
from workbench import analysis, budgets, plots, pricing, session, views
from workbench.background import GRID
from workbench.elements import follow, known, origin_of, page, place_of, result_of, show, tile
from workbench.session import Checkpoint, Known, Selection


def tiles(chosen: Selection) -> None:
    """What one clip of the chosen frame count takes."""
    measured = session.profile(chosen.checkpoint).at(chosen.num_frames)
    size = stored(session.model(chosen.checkpoint))
    with st.container(horizontal=True):
        if measured:
            cost, time = measured.cost, measured.latency
            tile("Compute", f"{cost.macs / 1e9:.3g} GMACs", f"{cost.flops / 1e9:.3g} GFLOPs")
            tile("Latency, median", f"{time.p50:.1f} ms" if time else "failed", _slowest(time))
            tile("Peak memory", f"{cost.memory / 1e6:.3g} MB", "tensors of one clip")
        else:
            for label in ("Compute", "Latency, median", "Peak memory"):
                tile(label, "…", "measuring")
        tile("Parameters", f"{size.params / 1e6:.2f} M", f"{size.bytes / 1e6:.1f} MB stored")


def _slowest(time: Any) -> str:
    return f"95 % below {time.p95:.1f} ms, here" if time else "not enough memory"


def trade_off(chosen: Selection, now: Known) -> None:
    """Accuracy of all networks at all frame counts against what they cost, and what a budget buys."""
    st.markdown("#### Accuracy against cost")
    title = chosen.checkpoint.title
    networks = {title: chosen.checkpoint} | {**session.others(chosen.checkpoint), title: chosen.checkpoint}
    known_now = {title: now.tables} | {**now.others, title: now.tables}
    accuracies = {name: tables.accuracy for name, tables in known_now.items() if len(tables.accuracy)}
    if not accuracies:
        st.caption("No accuracy is known yet.")
        return
    left, right = st.columns(2, gap="large")
    with left:
        measure = st.selectbox(
            "Cost", list(analysis.UNITS), format_func=plots.EXPENSES.__getitem__, key="cost", bind="query-params"
        )
    expenses = _expenses(chosen, {name: networks[name] for name in accuracies}, measure)
    if expenses is None:
        return
    table = analysis.trade_offs(accuracies, expenses, measure)
    with right:
        budget = _budget(measure, max(rows[measure].max() for rows in expenses.values()))
    st.markdown(f"**{analysis.affordable(analysis.within_budget(table, measure, budget), measure, budget)}**")
    others = [place_of(networks[other]) for other in accuracies if other != title]
    show(views.trade_off(origin_of(chosen), others, table, measure, chosen.num_frames, budget))


def _budget(measure: str, most: float) -> float:
    """What a clip may cost, chosen from 0 to about the most that any costs."""
    step = 10.0 ** floor(log10(most / 50))
    upper = step * (most // step + 1)
    return st.slider(
        f"At most, {analysis.UNITS[measure]} per clip",
        0.0,
        upper,
        step * round(upper / 4 / step),
        step,
        format="%.3g",
        key=f"budget_{measure}",
        bind="query-params",
    )


def _expenses(chosen: Selection, networks: dict[str, Checkpoint], measure: str) -> dict[str, pd.DataFrame] | None:
    """What the networks cost by frames, once that is counted, or measured where it is time."""
    counted = result_of(pricing.prices(chosen, networks), "prices")
    if measure != "p50":
        return counted and _with_chosen(chosen, networks, counted)
    times = result_of(pricing.latencies(chosen, networks), "latencies", "Measure all networks here")
    if times is None or counted is None:
        return None
    by_network = {str(name): rows.drop(columns="network") for name, rows in times.groupby("network")}
    return {title: rows.merge(by_network[title], on="num_frames") for title, rows in counted.items()}


def _with_chosen(
    chosen: Selection, networks: dict[str, Checkpoint], counted: dict[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """What is counted, and the chosen frame count as soon as it is."""
    if chosen.num_frames in GRID:
        return counted
    here = result_of(pricing.prices(chosen, networks, (chosen.num_frames,)), "here") or {}
    return {name: pd.concat([rows, here.get(name)], ignore_index=True) for name, rows in counted.items()}


def adaptive(chosen: Selection, now: Known) -> None:
    """What looking again only when unsure gives."""
    st.markdown("#### Stopping when sure")
    counts = ", ".join(map(str, budgets.counts(chosen.checkpoint.card["frames"])))
    split = "on the validation videos" if chosen.data is None else "on every second video"
    st.caption(
        "The network looks at few frames first and at more only while it is unsure: up to three of the counts "
        f"{counts} in turn. Which, and how sure is sure enough, is chosen {split}; the accuracies are those on the "
        "others. Every pass that is made counts."
    )
    if now.source is None:
        st.caption("This can start once there are videos.")
        return
    table = result_of(pricing.adaptive(chosen, now.source), "adaptive", "Find out")
    if table is not None:
        st.markdown(f"**{analysis.saving(table)}**")
        show(views.adaptive(origin_of(chosen), table))


def content(chosen: Selection) -> None:
    now = known(chosen)
    profile = session.profile(chosen.checkpoint)
    tiles(chosen)
    follow(now, lambda: profile.at(chosen.num_frames) is not None)
    trade_off(chosen, now)
    adaptive(chosen, now)


page(content)
