"""Videos: which answers change with the number of frames, and what the network was shown of each video."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from ffn.data import Clips
from ffn.decisions import Decisions
from ffn.progress import Report
from workbench import analysis, pictures, session, views
from workbench.background import SLIDER, Job
from workbench.elements import choose, compared, origin_of, page, result_of, show
from workbench.pictures import Sampled
from workbench.session import Selection
from workbench.words import in_frames

SHELF = 12  # thumbnails at a time
THUMBNAIL = 112  # pixels wide: three fit on a phone
BREAK = "\u200b"  # where a long name may be broken
VIDEO = "video"  # the key of what is looked at, by its position in the data


def charts(chosen: Selection, found: Decisions, clips: Clips | None, reference: int) -> None:
    """What flips, and what share of the videos needs how many frames."""
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("#### Answers that flip")
        st.caption(f"How many turn right (up) and wrong (down) at each count, against {in_frames(reference)}.")
        show(views.flips(origin_of(chosen), found, reference))
    with right:
        st.markdown("#### How many frames an answer needs")
        st.caption("The count from which on a video's answer stays what it is at the largest.")
        if clips is None:
            st.caption("This can be drawn once there are videos.")
        else:
            show(views.stability(origin_of(chosen), found, clips))


def wanted(table: pd.DataFrame, classes: Sequence[str], num_frames: int, reference: int) -> pd.DataFrame:
    """The rows of the videos that the viewer looks for."""
    turns = f"Right to wrong: right at {in_frames(reference)} and wrong at {num_frames}."
    first, second, third = st.columns(3)
    which = first.selectbox("Show", analysis.SELECTIONS, key="show", bind="query-params", help=turns)
    label = choose("Class", [None, *classes], "class", "any", second)
    answer = choose(f"Answer at {in_frames(num_frames)}", [None, *classes], "answer", "any", third)
    left, right = st.columns(2, gap="large")
    sure = f"Confidence at {in_frames(num_frames)} (%)"
    confidence = left.slider(sure, 0, 100, (0, 100), key="confidence", bind="query-params")
    ends = SLIDER[0], SLIDER[-1]
    stable = right.slider("Answer stays from, frames per clip", *ends, ends, key="stable", bind="query-params")
    return analysis.select(table, which, label=label, answer=answer, confidence=confidence, stable_from=stable)


def look(index: int) -> None:
    """Opens a video."""
    st.session_state[VIDEO] = index


def step(label: str, rows: pd.DataFrame, place: int, **about: Any) -> None:
    """A button that opens the video at a place among those that are looked for."""
    there = 0 <= place < len(rows)
    target = int(rows["index"].iloc[place]) if there else 0
    st.button(label, on_click=look, args=(target,), disabled=not there, **about)


def gallery(clips: Clips, rows: pd.DataFrame, place: int, current: int) -> None:
    """Thumbnails of the videos that are looked for, a shelf at a time: that of the current video."""
    start = place // SHELF * SHELF
    shelf = rows.iloc[start : start + SHELF]
    images = result_of(_thumbnails(clips, shelf["index"].tolist()), "gallery") or {}
    with st.container(horizontal=True, gap="xsmall"):
        for row in shelf.to_dict("records"):
            with st.container(width=THUMBNAIL, gap="xxsmall"):
                card(row, images.get(row["index"]), row["index"] == current)
    with st.container(horizontal=True, vertical_alignment="center"):
        step("", rows, start - SHELF, key="shelf_back", icon=":material/chevron_left:", help="The videos before")
        step("", rows, start + SHELF, key="shelf_on", icon=":material/chevron_right:", help="The videos after")
        st.caption(f"{start + 1} to {start + len(shelf)} of {len(rows)}")


def card(row: Mapping[Any, Any], image: bytes | None, current: bool) -> None:
    """One thumbnail, the class and the answer; the button under it opens the video."""
    if image:
        st.image(image, width="stretch", alt=f"Middle frame of video {row['index']}, {row['class']}")
    right = row["class"] == row["predicted_after"]
    said = ":green[✓]" if right else f":orange[✗ {row['predicted_after']}]"
    words = f"{row['class']} {said}".replace("_", f"_{BREAK}")
    st.markdown(f":small[{words}]")  # a caption would fade the colours below what can be read
    st.button(
        str(row["index"]),
        key=f"look_{row['index']}",
        on_click=look,
        args=(row["index"],),
        type="primary" if current else "secondary",
        width="stretch",
    )


def inspector(chosen: Selection, found: Decisions, clips: Clips, current: int, reference: int) -> None:
    """One video: what clips of two counts show of it, what is answered, and the video itself."""
    counts = list(dict.fromkeys([chosen.num_frames, reference]))
    label = clips.classes[clips.labels[current]]
    view = views.ranking(origin_of(chosen), found, current, clips, num_frames=chosen.num_frames, other=reference)
    best = view.table[view.table["rank"] == 1].set_index("num_frames")
    stable = int(found.stable_from()[found.indices == current][0])
    st.markdown(f"**{label}** · the answer stays *{best.predicted.iloc[-1]}* from {stable} frames on")
    shown = result_of(_sampled(clips, current, counts), "inspector")
    for column, count in zip(st.columns(len(counts), gap="medium"), counts, strict=True):
        with column:
            strip(count, best.loc[count], shown)
    left, right = st.columns([2, 5], gap="medium")
    with left:
        play(clips, current)
    with right:
        show(view)


def strip(count: int, answer: Any, shown: Sampled | None) -> None:
    """The frames that a clip of so many is made of, and what is answered to it."""
    mark = ":green[✓ right]" if answer.correct else ":orange[✗ wrong]"
    st.markdown(f"At **{count}** frames: **{answer.predicted}**, {answer.probability:.0f} % {mark}")
    if shown:
        numbers = shown.streams[count]
        names = [f"Frame {number + 1} of {shown.length}" for number in numbers]
        images = [shown.pictures[number] for number in numbers]
        st.image(images, caption=[str(number + 1) for number in numbers], width=64, alt=names)


def play(clips: Clips, current: int) -> None:
    """The video itself."""
    path = clips.path(current)
    if path.is_file():
        st.video(path, loop=True, muted=True, alt=f"Video {current}, {clips.classes[clips.labels[current]]}")
    else:
        st.caption("A folder of extracted frames, which cannot be played.")
    st.caption(str(analysis.about_videos(clips, [current]).path.item()))


def _thumbnails(clips: Clips, indices: list[int]) -> Job:
    def work(stage: Report) -> dict[int, bytes]:
        return pictures.thumbnails(clips, indices, progress=partial(stage, "Decoding videos"))

    return session.glance("thumbnails", clips.digest, *indices, work=work)


def _sampled(clips: Clips, index: int, counts: list[int]) -> Job:
    def work(stage: Report) -> Sampled:
        return pictures.sampled(clips, index, counts)

    return session.glance("sampled", clips.digest, index, *counts, work=work)


def browse(chosen: Selection, found: Decisions, clips: Clips, table: pd.DataFrame, reference: int) -> None:
    """The videos that are looked for and the one that is looked at."""
    st.markdown("#### Videos")
    rows = wanted(table, clips.classes, chosen.num_frames, reference)
    if rows.empty:
        st.info("No video is like this: widen the confidence or the counts above, or choose another class or answer.")
        return
    shelf, bar = st.container(), st.container(horizontal=True, vertical_alignment="bottom")
    with bar:
        first = int(rows["index"].iloc[0])
        number = st.number_input(
            "Video", 0, len(clips) - 1, None, key=VIDEO, bind="query-params", placeholder=str(first), width=140
        )
        current = first if number is None else number
        place = int(rows["index"].searchsorted(current))
        here = place < len(rows) and rows["index"].iloc[place] == current
        step("Previous", rows, place - 1, key="previous", shortcut="P", icon=":material/arrow_back:")
        step("Next", rows, place + here, key="next", shortcut="N", icon=":material/arrow_forward:")
    with shelf:
        gallery(clips, rows, min(place, len(rows) - 1), current)
    if current in found.indices:
        inspector(chosen, found, clips, current, reference)
    else:
        st.warning(f"Video {current} could not be read, so there is no answer to it.")


def content(chosen: Selection) -> None:
    now, reference, found = compared(chosen, "against")
    if found is None:
        return
    clips = session.clips(chosen.checkpoint, now.source) if now.source else None
    if clips is None:
        charts(chosen, found, clips, reference)
        return
    table = analysis.between(found, reference, chosen.num_frames, clips)
    st.subheader(analysis.turned(table, reference, chosen.num_frames), anchor=False)
    charts(chosen, found, clips, reference)
    browse(chosen, found, clips, table, reference)


page(content)
