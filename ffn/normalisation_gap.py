"""How much of what a network loses at other frame counts its norms explain: the table of `ffn reproduce normalisation`.

Four ways to answer clips of T frames, on the same videos: a network of another count as it was trained; the same with
statistics recomputed at T, and not a weight changed; a frame-flexible network, whose norms are private to T; and a
network trained at T alone, which sets the gap.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ffn import moving_shapes
from ffn.bundled import DEMO
from ffn.checkpoint import load
from ffn.data import Clips, clips_for
from ffn.evaluation import wilson
from ffn.files import write_csv
from ffn.gap import share_explained
from ffn.model import FrameFlexible
from ffn.pairing import compare_networks
from ffn.progress import Report
from ffn.recalibration import recalibrate
from ffn.results import HERE

GAPS = HERE / "normalisation.csv"
COUNTS = (4, 8, 16)


@dataclass(frozen=True)
class Networks:
    """What is compared: the network in question, one with private norms, and those trained apart, by frame count."""

    as_trained: FrameFlexible
    private: FrameFlexible
    separate: Mapping[int, FrameFlexible]


def bundled_networks() -> Networks:
    """The bundled network trained at 16 frames, the bundled FFN, and the bundled networks of one count."""
    separate = {t: load(DEMO / f"tsm-{t}.safetensors") for t in COUNTS}
    return Networks(separate[16], load(DEMO / "ffn-4-8-16.safetensors"), separate)


def normalisation_gap(output: Path = GAPS, *, report: Report) -> list[dict[str, Any]]:
    """Writes and returns the `gap_rows` of the bundled networks: statistics of the training split, tested on the test.

    The training split gives its pixels alone; no label is used and nothing is trained.
    """
    networks = bundled_networks()
    train, test = (
        clips_for(
            networks.as_trained.card,
            moving_shapes.prepare(split, progress=partial(report, f"rendering {split}")),
            COUNTS,
        )
        for split in ("train", "test")
    )
    rows = gap_rows(networks, train, test, report=report)
    write_csv(output, rows)
    return rows


def gap_rows(networks: Networks, calibration: Clips, test: Clips, *, report: Report) -> list[dict[str, Any]]:
    """One row per frame count of `test` and way to answer it; accuracies and differences in percent.

    top1 has a Wilson interval. gained is the accuracy over that of the network as trained, and share its part of what
    the network trained at T gains (`ffn.gap.share_explained`), both with paired bootstrap intervals over the videos.
    Statistics come from all of `calibration`, which has the same frame counts.

    Raises:
        ValueError: when there is no network trained at one of the counts.
    """
    if missing := set(test.frames) - networks.separate.keys():
        raise ValueError(f"there is no network trained at {min(missing)} frames alone, so no gap is known there")
    recalibrated = recalibrate(networks.as_trained, calibration, test.frames, progress=partial(report, "recalibrating"))
    models = {"as trained": networks.as_trained, "recalibrated": recalibrated, "private": networks.private}
    apart = {f"separate {t}": networks.separate[t] for t in test.frames}
    found = compare_networks(models | apart, test, progress=partial(report, "testing")).right
    return [
        {"trained": "-".join(map(str, networks.as_trained.frames)), "num_frames": t, **row}
        for t in test.frames
        for row in ways({name: found[name][t] for name in models} | {"separate": found[f"separate {t}"][t]})
    ]


def ways(right: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """A row for every way to answer one frame count, from its answers (N,); "as trained" and "separate" set the gap."""
    return [_row(way, answers, right["as trained"], right["separate"]) for way, answers in right.items()]


def _row(way: str, answers: np.ndarray, as_trained: np.ndarray, separate: np.ndarray) -> dict[str, Any]:
    correct, clips = int(answers.sum()), len(answers)
    share = share_explained(as_trained, answers, separate)
    numbers = {
        "top1": (correct / clips, *wilson(correct, clips)),
        "gained": (share.recovered.value, share.recovered.low, share.recovered.high),
        "share": (share.explained.value, share.explained.low, share.explained.high),
    }
    ends = ("", "_low", "_high")
    about = {"way": way, "correct": correct, "clips": clips}
    return about | {f"{n}{end}": f"{100 * x:.2f}" for n, xs in numbers.items() for end, x in zip(ends, xs, strict=True)}
