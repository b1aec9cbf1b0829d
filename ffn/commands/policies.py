"""Who answers frame counts that have no branch."""

import argparse
from functools import partial
from typing import TYPE_CHECKING

from ffn.commands import path
from ffn.commands.progress_bar import ProgressBar

if TYPE_CHECKING:
    from ffn.model import FrameFlexible

POLICIES = ("nearest", "interpolate", "recalibrate", "synthesise", "repeat")  # of ffn.policies, which needs torch


def add_calibration(parser: argparse.ArgumentParser, flag: str, metavar: str) -> None:
    """Which videos a policy recalibrates from."""
    parser.add_argument(flag, dest="calibration", type=path, metavar=metavar, help="the videos to recalibrate from")
    parser.add_argument("--clips", type=int, metavar="N", help="how many of them (default: all)")


def answering(model: "FrameFlexible", policy: str, options: argparse.Namespace) -> "FrameFlexible":
    """The model that answers the frame counts of `options` by a policy."""
    from ffn.data import clips_for
    from ffn.policies import any_frame

    frames = tuple(dict.fromkeys(options.frames))
    wanted = options.calibration and policy == "recalibrate"
    clips = clips_for(model.card, options.calibration, frames) if wanted else None
    with ProgressBar() as progress:
        return any_frame(
            model,
            frames,
            policy,
            clips,
            batch_size=options.batch_size,
            limit=options.clips,
            workers=options.workers,
            progress=partial(progress, "calibrating"),
        )
