"""Ratios measured side by side in one run: `python tests/bench.py [FILE]` prints them, and writes them to FILE.

Times are of the processor, on one thread, so that other work on the machine hardly counts; but for the latencies of
ResNet-50, which are what a clock on the wall shows on all cores.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import timm
import torch
from conftest import error, redraw
from torch import Tensor

import ffn
from ffn import moving_shapes, tables, train
from ffn.bundled import DEMO, PREPROCESSING
from ffn.costs import parameters, saved_activations
from ffn.experiment import Experiment
from ffn.losses import Selection, all_of_them, shared_out, temporal_distillation
from ffn.order import InOrder
from ffn.provenance import machine
from ffn.sampling import segment_indices, stream_indices
from ffn.video import Video
from workbench.background import GRID

FRAMES = (4, 8, 16)


@dataclass(frozen=True)
class Row:
    """One ratio, or one number, and what it should be at most."""

    what: str
    ours: str
    against: str
    ratio: float
    aim: float

    def __str__(self) -> str:
        return f"| {self.what} | {self.ours} | {self.against} | {self.ratio:.4g} | {self.aim:.3g} |"


def interleaved(
    ours: Callable[[], object],
    other: Callable[[], object],
    pairs: int = 20,
    clock: Callable[[], float] = time.process_time,
) -> tuple[float, float]:
    """Median seconds of each, run in turns after a warm-up, the first of a pair alternating."""
    times: dict[Callable[[], object], list[float]] = {ours: [], other: []}
    ours(), other()
    for pair in range(pairs):
        for function in (ours, other) if pair % 2 else (other, ours):
            start = clock()
            function()
            times[function].append(clock() - start)
    return median(times[ours]), median(times[other])


# 1. An extracted branch against a plain backbone


@contextmanager
def all_cores():
    """Lets torch use every core for a while."""
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(threads)


def compared(what: str, ours: Callable[[], object], other: Callable[[], object], aim: float) -> Row:
    """A row of latencies."""
    with all_cores():
        times = interleaved(ours, other, clock=time.perf_counter)
    return Row(what, *(f"{1e3 * seconds:.0f} ms" for seconds in times), times[0] / times[1], aim)


@torch.inference_mode()
def extraction(num_frames: int = 8, size: int = 224) -> list[Row]:
    whole = ffn.create_model("resnet50", FRAMES, num_classes=174).eval()
    redraw(whole)
    single = ffn.extract(whole, num_frames)
    folded = ffn.extract(whole, num_frames, fold_norms=True)
    plain = timm.create_model("resnet50", num_classes=174).eval()
    lasting = timm.create_model("resnet50", num_classes=174).eval().to(memory_format=torch.channels_last)
    clips = torch.randn(1, num_frames, 3, size, size)
    images = clips.flatten(0, 1)
    last = images.contiguous(memory_format=torch.channels_last)
    counts = parameters(single), parameters(plain)
    short = torch.randn(2, 5, 3, 64, 64)
    exact, close = (
        max(error(model(x), whole(x, branch=num_frames)) for x in (clips, short)) for model in (single, folded)
    )
    name = f"`extract(resnet50, {num_frames})`"
    return [
        compared(f"{name}: latency over timm's network, no shift", lambda: single(clips), lambda: plain(images), 1.05),
        Row(f"{name}: parameters over the same", f"{counts[0]:,}", f"{counts[1]:,}", counts[0] / counts[1], 1),
        Row(f"{name}: error of the logits, in their standard deviations", f"{exact:.1e}", "whole network", exact, 2e-5),
        compared("the same, norms folded: latency over timm's", lambda: folded(clips), lambda: plain(images), 0.72),
        compared("norms folded, over timm's channels-last", lambda: folded(clips), lambda: lasting(last), 0.90),
        Row("norms folded: error of the logits, in their standard deviations", f"{close:.1e}", "whole", close, 1e-4),
    ]


def conversion() -> list[Row]:
    ours, other = interleaved(lambda: ffn.create_model("resnet50"), lambda: timm.create_model("resnet50"), pairs=5)
    return [Row("building resnet50 with three branches, over timm", f"{ours:.2f} s", f"{other:.2f} s", ours / other, 3)]


@torch.inference_mode()
def routing(num_frames: int = 4, size: int = 64, calls: int = 1000) -> list[Row]:
    """What it takes to find the network of a frame count, beside running it."""
    model = ffn.create_model("resnet50", FRAMES, num_classes=174).eval()
    clips = torch.randn(1, num_frames, 3, size, size)

    def find() -> None:
        for _ in range(calls):
            model.at(model.route(num_frames), num_frames)

    finding, running = interleaved(find, lambda: model(clips), pairs=5)
    finding /= calls
    name = f"routing over the whole pass, resnet50, {num_frames} frames of {size} px"
    return [Row(name, f"{1e6 * finding:.1f} us", f"{1e6 * running:.0f} us", finding / running, 0.01)]


# 2. A training step of three streams against one of the longest


def step(
    model: ffn.FrameFlexible, batch: int, size: int, frames: Sequence[int] = (), *, show: Selection = all_of_them
) -> Callable[[], None]:
    """One training step of a model: its streams, or those of some `frames`, without the optimiser."""
    streams = {t: torch.randn(batch, t, 3, size, size) for t in frames or model.frames}
    labels = torch.arange(batch) % model.config["num_classes"]
    model.train()

    def run() -> None:
        model.zero_grad()
        temporal_distillation(model, streams, labels, Tensor.backward, show=show)

    return run


def peak_bytes(model: ffn.FrameFlexible, batch: int, size: int) -> int:
    """Most bytes of activations that a training step holds at once."""
    run = step(model, batch, size)
    with saved_activations(model) as saved:
        run()
    return saved.peak


def training(batch: int = 8, size: int = 64, pairs: int = 6) -> list[Row]:
    flexible, plain = (ffn.create_model("resnet50", frames, num_classes=174) for frames in (FRAMES, (16,)))
    ours, other = (peak_bytes(model, batch, size) for model in (flexible, plain))
    seconds = interleaved(step(flexible, batch, size), step(plain, batch, size), pairs)
    name = f"one FFN(4, 8, 16) training step over one 16-frame step, resnet50, batch {batch}"
    return [
        Row(f"{name}: saved activations", f"{ours / 2**20:.0f} MiB", f"{other / 2**20:.0f} MiB", ours / other, 1.02),
        Row(f"{name}: time", f"{seconds[0]:.2f} s", f"{seconds[1]:.2f} s", seconds[0] / seconds[1], 1.05 * 28 / 16),
        *efficient(flexible, plain, batch, size, pairs, seconds),
    ]


def efficient(
    flexible: ffn.FrameFlexible, plain: ffn.FrameFlexible, batch: int, size: int, pairs: int, whole: Sequence[float]
) -> list[Row]:
    """Steps that show less of the shorter streams, over plain ones; `whole` has one that shows all, likewise.

    One of the shorter streams (both draws once, over two plain steps), a part of each, or the middle one now and then.
    """
    draws = [step(flexible, batch, size, (t, 16)) for t in (4, 8)]
    split, alone = step(flexible, batch, size, show=shared_out), step(plain, batch, size)
    sampled = [seconds / 2 for seconds in interleaved(lambda: [d() for d in draws], lambda: [alone(), alone()], pairs)]
    shared, ends = interleaved(split, alone, pairs), interleaved(draws[0], alone, pairs)
    variants = {"sampled": sampled, "split": shared, "thinned": mean_step(whole, ends)}
    return [
        Row(
            f"one step of the {name} variant over one 16-frame step, batch {batch}: time",
            f"{ours:.2f} s",
            f"{other:.2f} s",
            ours / other,
            1.4,
        )
        for name, (ours, other) in variants.items()
    ]


def mean_step(whole: Sequence[float], ends: Sequence[float]) -> list[float]:
    """Seconds of a thinned step, and of a plain one beside it, from those with the middle stream and without."""
    share = tables.METHODS["ffn-thinned"]["share"]
    return [share * with_it + (1 - share) * without for with_it, without in zip(whole, ends, strict=True)]


# 3. Decoding three streams in one pass against three reads


def decoding() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        manifest = moving_shapes.prepare("val", Path(folder), clips_per_class=2, workers=1)
        paths = sorted(manifest.parent.rglob("*.mp4"))

        def one_pass() -> None:
            for path in paths:
                video = Video(path)
                wanted, places = stream_indices(len(video), FRAMES)
                frames = video.frames(wanted)
                _ = [frames[place] for place in places]

        def three_reads() -> None:
            for path in paths:
                for num_frames in FRAMES:
                    video = Video(path)
                    video.frames(segment_indices(len(video), num_frames))

        ours, other = (1e3 * seconds / len(paths) for seconds in interleaved(one_pass, three_reads))
    return [
        Row(
            "decoding 4, 8 and 16 frames in one pass over three reads",
            f"{ours:.1f} ms",
            f"{other:.1f} ms",
            ours / other,
            0.6,
        )
    ]


# 4. How long a training step waits for its videos


def waiting(videos: int = 96, epochs: int = 3) -> list[Row]:
    """Of `ffn reproduce tables`' training of one FFN: frames remembered in the memory-mapped file, and decoded anew."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = moving_shapes.prepare("val", Path(folder), clips_per_class=videos // 16, workers=1)
        shares = {cache: _waited(manifest, cache, epochs) for cache in ("on", "off")}
    name = "share of a training step spent waiting for its videos, FFN(4, 8, 16) at 32 px, one process"
    return [Row(name, f"{shares['on']:.1%}", f"{shares['off']:.1%} decoding", shares["on"], 0.05)]


def _waited(manifest: Path, cache: str, epochs: int) -> float:
    settings = {**tables.COMMON, **tables.BACKBONES["resnet10t"], "epochs": epochs, "cache": cache}
    experiment = Experiment(data=str(manifest), **settings)
    clips = experiment.clips()
    rows = list(train(experiment.build(len(clips.classes)), clips, experiment.training))
    return median(row.waiting for row in rows[1:])  # the first epoch fills the file


# 5. A sweep over all frame counts against the bare forward passes


def sweeping(videos: int = 32, pairs: int = 6) -> list[Row]:
    """Accuracy, predictions and norm statistics at every count of the grid, over the passes that they come from."""
    transformer = ffn.create_model("vit_tiny_patch16_224", FRAMES, num_classes=16, img_size=32, depth=2).eval()
    redraw(transformer)
    networks = {"batch norms, the bundled FFN": ffn.load(DEMO / "ffn-4-8-16.safetensors"), "layer norms": transformer}
    with tempfile.TemporaryDirectory() as folder:
        manifest = moving_shapes.prepare("val", Path(folder), clips_per_class=videos // 16, workers=1)
        clips = ffn.Clips(manifest, frames=GRID, preprocessing=PREPROCESSING, cache=True)
        return [swept(name, model, clips, pairs) for name, model in networks.items()]


@torch.inference_mode()
def swept(name: str, model: ffn.FrameFlexible, clips: ffn.Clips, pairs: int) -> Row:
    """`evaluate` reads frames that have been decoded and makes clips of them; for the bare passes that is done."""
    streams = [batch.stream(t) for batch in clips.batches(InOrder(len(clips), 32)) for t in GRID]
    ours, other = interleaved(lambda: ffn.evaluate(model, clips), lambda: [model(stream) for stream in streams], pairs)
    what = f"a sweep over {len(GRID)} frame counts, {len(clips)} clips of 32 px, {name}, over its bare forward passes"
    return Row(what, f"{ours:.2f} s", f"{other:.2f} s", ours / other, 1.15)


def report(rows: list[Row], device: str | torch.device = "cpu") -> str:
    """The table in Markdown, the machine under it."""
    header = ["| what | ours | against | ratio | at most |", "|---|---:|---:|---:|---:|"]
    return "\n".join([*header, *map(str, rows), "", f"Measured on {machine(device)}, torch {torch.__version__}.", ""])


if __name__ == "__main__":
    torch.manual_seed(0)
    measures = (extraction, conversion, routing, training, decoding, waiting, sweeping)
    text = report([row for measure in measures for row in measure()])
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
