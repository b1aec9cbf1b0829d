"""Your video: what the network says of one video at every number of frames, and while its frames come in."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from ffn.checkpoint import preprocessing
from ffn.data import DataError
from ffn.footage import Footage
from ffn.model import FrameFlexible
from ffn.progress import Report
from ffn.sampling import segment_indices
from ffn.transforms import Preprocessing
from workbench import analysis, plots, session, views, watching
from workbench.background import SLIDER, Job
from workbench.camera import camera, last_batch
from workbench.elements import advance, draw, origin_of, page, result_of, show, watch
from workbench.session import Selection
from workbench.watching import Opened, Recording, Watched
from workbench.words import in_frames, sentence

SAMPLE, FILE, CAMERA = "a sample", "a file", "the camera"
TYPES = ["mp4", "mov", "webm", "mkv", "avi", "m4v", "mpg", "ts"]
LARGEST = 200  # MB
LEAST = 96  # pixels at which a frame is shown


@dataclass(frozen=True)
class Clip:
    """The video that the viewer chose."""

    key: tuple[Any, ...]
    place: str  # for Python
    opened: Callable[[Preprocessing], Opened]
    shown: Any = None  # a path or file to play
    label: str = ""


def choose(chosen: Selection) -> Clip | None:
    """The video to look at; None until there is one."""
    st.markdown("#### One video at every number of frames")
    source = st.segmented_control(
        "Look at", list(CHOICES), default=SAMPLE, required=True, key="video", bind="query-params"
    )
    return CHOICES[source or SAMPLE](chosen)


def sample(chosen: Selection) -> Clip | None:
    """One of the videos that the sidebar names."""
    source = videos(chosen)
    if source is None:
        return None
    try:
        clips = session.listing(source)
    except DataError as error:
        st.error(sentence(error))
        return None
    left, right = st.columns(2)
    label = left.selectbox("Class of the sample", clips.classes, key="sample", bind="query-params")
    numbers = [i for i, k in enumerate(clips.labels) if clips.classes[k] == label]
    number = right.number_input(
        "Video of this class", 1, max(1, len(numbers)), key="sample_number", bind="query-params"
    )
    if not numbers:
        st.info(f"There is no video of the class {label}: choose another.")
        return None
    path = clips.path(numbers[int(number) - 1])
    return Clip(
        ("sample", str(path)),
        str(path.resolve()),
        lambda how: nullcontext(Footage(path, how)),
        path if path.is_file() else None,
        label,
    )


def videos(chosen: Selection) -> Path | None:
    """Where the samples are; None, and a sentence, until they are there."""
    if chosen.data is not None:
        if not chosen.data:
            st.info("Give the path of a folder or manifest in the sidebar, or choose a file or the camera.")
        return Path(chosen.data).expanduser() if chosen.data else None
    task = session.rendering()
    if task.running:
        watch(lambda: task.running, lambda: advance(task, "Rendering the embedded videos"))
    elif task.error:
        st.error(f"The embedded videos could not be rendered: {sentence(task.error)}")
    return task.result


def file(chosen: Selection) -> Clip | None:
    """An uploaded file."""
    upload = st.file_uploader("A video file", type=TYPES, max_upload_size=LARGEST, key="video_file")
    st.caption(
        f"At most {LARGEST} MB. The file stays in this session and is gone with it; the link in the address bar does "
        "not carry it. Of a long video only the frames that are looked at are decoded."
    )
    if upload is None:
        return None
    name = upload.name
    return Clip(("file", upload.file_id), name, lambda how: watching.uploaded(upload.getvalue(), name, how), upload)


def recorded(chosen: Selection) -> Clip | None:
    """What the camera has shown, once it has stopped."""
    network = session.model(chosen.checkpoint)
    how = preprocessing(chosen.checkpoint.card)
    found = recording(network)
    done = finished(found)
    live(network, max(how.resize, watching.SMALLEST), done)
    st.caption("The pictures go from this browser to this server alone, stay in this session and are gone with it.")
    if done is None:
        return None
    return Clip(("camera", id(done)), "recording.mp4", lambda how: nullcontext(Footage(done, how)))


def recording(network: FrameFlexible) -> Recording | None:
    """The viewer's recording, with all that has come of it; None before the first."""
    batch = last_batch()
    return session.own("recording", batch["take"], make=partial(Recording, network)) if batch else None


def finished(found: Recording | None) -> Recording | None:
    """The recording if it has ended."""
    return found if found is not None and found.done else None


def receive(network: FrameFlexible) -> None:
    """Takes what the camera has sent."""
    batch, found = last_batch(), recording(network)
    if batch and found is not None:
        found.feed(int(batch["first"]), batch["pictures"], done=bool(batch["done"]))


@st.fragment
def live(network: FrameFlexible, side: int, before: Recording | None) -> None:
    """The camera, and what the network says while its frames come in; draws the page anew when it starts or stops."""
    batch, found = last_batch(), recording(network)
    state = {
        "take": batch["take"] if batch else "",
        "received": 0 if found is None else len(found),
        "most": watching.LONGEST,
        "rate": watching.RATE,
        "side": side,
    }
    camera(state, partial(receive, network))
    if finished(found) is not before:
        st.rerun()
    if found is not None and not found.done and (table := found.table()) is not None:
        draw(plots.arrival_curves(table), "live")


CHOICES: dict[str, Callable[[Selection], Clip | None]] = {SAMPLE: sample, FILE: file, CAMERA: recorded}


def look(chosen: Selection, clip: Clip) -> Watched | None:
    """All that the network says of the video; None until it is known."""
    network, source = session.model(chosen.checkpoint), Path(chosen.data or ".").expanduser()
    counts = sorted({*SLIDER, *chosen.checkpoint.card["frames"]})

    def work(stage: Report) -> Watched:
        return watching.watch(
            network,
            lambda progress: session.answering(
                network, source, chosen.policy, counts, embedded=chosen.data is None, progress=progress
            ),
            clip.opened(preprocessing(chosen.checkpoint.card)),
            counts,
            stage=stage,
        )

    key = (chosen.checkpoint.digest, chosen.policy, chosen.data if chosen.policy == "recalibrate" else "", *clip.key)
    return result_of(session.own("watched", *key, make=lambda: Job(work)), "watched")


def say(chosen: Selection, clip: Clip, found: Watched) -> None:
    """The video beside what the network sees in it."""
    telling = st.container()
    if clip.shown is not None:
        playing, telling = st.columns([1, 3], gap="large")
        playing.video(clip.shown, loop=True, autoplay=True, muted=True, alt="The video that is looked at")
    with telling:
        st.subheader(analysis.verdict(found.answers, chosen.num_frames, clip.label), anchor=False)
        st.caption(
            f"The video has {found.footage.length} frames. Move T in the sidebar to show the network more or fewer. "
            f"It knows {chosen.checkpoint.card['num_classes']} classes and names one of them whatever it sees."
        )


def strip(chosen: Selection, footage: Footage) -> None:
    """The frames that the network is shown at the chosen count."""
    st.markdown(f"#### What it is shown at {in_frames(chosen.num_frames)}")
    numbers = segment_indices(footage.length, chosen.num_frames).tolist()
    side = footage.preprocessing.crop
    st.caption(
        f"The middle frame of each of {chosen.num_frames} equal parts, as the network gets it: {side} x {side} px."
    )
    pictures = [footage.images[number].permute(1, 2, 0).numpy() for number in numbers]
    larger = -(-LEAST // side)
    st.image(
        [picture.repeat(larger, 0).repeat(larger, 1) for picture in pictures],
        [str(number + 1) for number in numbers],
        width=LEAST,
        alt=[f"Frame {number + 1} of {footage.length}" for number in numbers],
    )


def adaptive(chosen: Selection, clip: Clip, table: pd.DataFrame) -> None:
    """An adaptive budget on this video."""
    st.markdown("#### As many frames as it takes")
    threshold = st.slider("Confidence that is enough (%)", 50, 100, 90, key="enough", bind="query-params")
    row = table.iloc[plots.stops_at(table, threshold)]
    all_passes = table.iloc[-1]
    st.caption(
        f"It looks at few frames, stops when it is sure and else looks at more: here after the pass of "
        f"{in_frames(row.num_frames)}, with {row.gmacs:.3g} GMACs where all passes take {all_passes.gmacs:.3g}. You "
        "choose the confidence here; `ffn.budget.frontier` chooses it on validation videos."
    )
    show(views.passes(origin_of(chosen), clip.place, table, threshold))


def content(chosen: Selection) -> None:
    clip = choose(chosen)
    found = look(chosen, clip) if clip else None
    if not (clip and found):
        return
    say(chosen, clip, found)
    origin = origin_of(chosen)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("#### At every number of frames")
        st.caption("What the network says when it sees so many frames of the video, evenly spread.")
        show(views.answers(origin, clip.place, found.answers, chosen.num_frames, clip.label, chosen.policy))
    with right:
        st.markdown("#### While frames come in")
        st.caption("What it says of the frames so far, as in a stream; it keeps an even sample of them.")
        show(views.arrivals(origin, clip.place, found.arrivals, clip.label))
    strip(chosen, found.footage)
    adaptive(chosen, clip, found.passes)


page(content)
