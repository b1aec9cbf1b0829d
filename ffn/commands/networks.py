"""Networks as commands load them, and videos that go through them."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ffn.commands.progress_bar import ProgressBar

if TYPE_CHECKING:
    import torch

    from ffn.evaluation import Result
    from ffn.model import FrameFlexible


def add_evaluation(parser: argparse.ArgumentParser) -> None:
    """How videos go through a network."""
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=0, help="processes that decode")
    parser.add_argument("--device", default="cpu")


def device(name: str) -> "torch.device":
    """The device of this name; `ValueError` when there is none that computes."""
    import torch

    try:
        found = torch.empty(1, device=name)
        found.cpu()  # of meta there is nothing to have
        return found.device
    except (RuntimeError, AssertionError):
        raise ValueError(f"there is no device {name!r} here; cpu always is") from None


def loaded(options: argparse.Namespace) -> "FrameFlexible":
    """The network of `options`, on the device that they name."""
    from ffn.checkpoint import load

    return load(options.checkpoint).to(device(options.device))


def evaluated(model: "FrameFlexible", data: Path, frames: Sequence[int], options: argparse.Namespace) -> "list[Result]":
    """Results at each of `frames`; what could not be read is said on stderr."""
    from ffn.data import clips_for
    from ffn.evaluation import evaluate

    clips = clips_for(model.card, data, tuple(dict.fromkeys(frames)))
    with ProgressBar() as progress:
        results = evaluate(
            model,
            clips,
            batch_size=options.batch_size,
            workers=options.workers,
            progress=partial(progress, "videos"),
        )
    unreadable = results[0].unreadable
    if not results[0].clips:
        raise ValueError(f"none of the {len(clips)} videos of {data} can be read: {unreadable[0]}")
    for reason in unreadable:
        print(f"skipped: {reason}", file=sys.stderr)
    if unreadable:
        print(f"{len(unreadable)} of {len(clips)} videos were skipped", file=sys.stderr)
    return results


def top1(correct: int, clips: int) -> dict[str, str]:
    """The cells of an accuracy, by column."""
    from ffn.evaluation import wilson

    low, high = (100 * bound for bound in wilson(correct, clips))
    return {"top-1 %": f"{100 * correct / clips:.2f}", "95 % interval": f"{low:.1f}-{high:.1f}"}
