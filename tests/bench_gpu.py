"""What of `tests/bench.py` is a matter of the device, on a GPU, at the size of the paper: `python tests/bench_gpu.py`.

Times are what a clock on the wall shows between two synchronisations; bytes are the most that torch had allocated
during a step, beyond what weights, inputs and gradients took before it.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import timm
import torch
from bench import FRAMES, Row, interleaved, mean_step, report
from torch import Tensor

import ffn
from ffn.losses import Selection, all_of_them, shared_out, temporal_distillation

DEVICE = torch.device("cuda")
BATCH, SIZE, CLASSES = 8, 224, 174


def clock() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def step(
    model: ffn.FrameFlexible, precision: torch.dtype, frames=(), *, show: Selection = all_of_them
) -> Callable[[], None]:
    """One training step of a model, without the optimiser: its streams, or those of some `frames`."""
    streams = {t: torch.randn(BATCH, t, 3, SIZE, SIZE, device=DEVICE) for t in frames or model.frames}
    labels = torch.arange(BATCH, device=DEVICE)
    model.train()

    def predict(clips: Tensor) -> Tensor:
        with torch.autocast("cuda", precision, enabled=precision != torch.float32):
            return model(clips).float()

    def run() -> None:
        model.zero_grad(set_to_none=False)
        temporal_distillation(predict, streams, labels, Tensor.backward, show=show)

    return run


def peak(run: Callable[[], None]) -> int:
    """Bytes that a step takes at most, beyond what was there before."""
    run()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def training(precision: torch.dtype, pairs: int = 6) -> list[Row]:
    flexible, plain = (
        ffn.create_model("resnet50", frames, num_classes=CLASSES).to(DEVICE) for frames in (FRAMES, (16,))
    )
    ours, other = step(flexible, precision), step(plain, precision)
    held = peak(ours), peak(other)
    seconds = interleaved(ours, other, pairs, clock)
    draws = [step(flexible, precision, (t, 16)) for t in (4, 8)]
    drawn = interleaved(lambda: [draw() for draw in draws], lambda: [other() for _ in draws], pairs, clock)
    split = interleaved(step(flexible, precision, show=shared_out), other, pairs, clock)
    thin = mean_step(seconds, interleaved(draws[0], other, pairs, clock))
    what = f"FFN(4, 8, 16) training step over a 16-frame one, resnet50, batch {BATCH}, {SIZE} px, {str(precision)[6:]}"
    return [
        Row(f"{what}: memory", *(f"{n / 2**20:.0f} MiB" for n in held), held[0] / held[1], 1.02),
        Row(f"{what}: time", *(f"{1e3 * s:.0f} ms" for s in seconds), seconds[0] / seconds[1], 1.05 * 28 / 16),
        Row(f"{what}, sampled: time", *(f"{5e2 * s:.0f} ms" for s in drawn), drawn[0] / drawn[1], 1.4),
        Row(f"{what}, split: time", *(f"{1e3 * s:.0f} ms" for s in split), split[0] / split[1], 1.4),
        Row(f"{what}, thinned: time", *(f"{1e3 * s:.0f} ms" for s in thin), thin[0] / thin[1], 1.4),
    ]


@torch.inference_mode()
def extraction(num_frames: int = 8) -> list[Row]:
    whole = ffn.create_model("resnet50", FRAMES, num_classes=CLASSES).eval()
    folded = ffn.extract(whole, num_frames, fold_norms=True).to(DEVICE)
    single = ffn.extract(whole, num_frames).to(DEVICE)
    plain = timm.create_model("resnet50", num_classes=CLASSES).eval().to(DEVICE)
    clips = torch.randn(BATCH, num_frames, 3, SIZE, SIZE, device=DEVICE)
    images = clips.flatten(0, 1)
    last = images.contiguous(memory_format=torch.channels_last)
    lasting = timm.create_model("resnet50", num_classes=CLASSES).eval().to(DEVICE, memory_format=torch.channels_last)
    pairs = {
        "": (lambda: single(clips), lambda: plain(images), 1.05),
        ", norms folded": (lambda: folded(clips), lambda: plain(images), 1.0),
        ", norms folded, over timm's channels-last": (lambda: folded(clips), lambda: lasting(last), 1.0),
    }
    rows = []
    for how, (ours, other, aim) in pairs.items():
        times = interleaved(ours, other, clock=clock)
        what = f"`extract(resnet50, {num_frames})`{how}: latency over timm's network, no shift, {BATCH} clips"
        rows.append(Row(what, *(f"{1e3 * seconds:.1f} ms" for seconds in times), times[0] / times[1], aim))
    return rows


if __name__ == "__main__":
    torch.manual_seed(0)
    text = report([*training(torch.bfloat16), *extraction()], DEVICE)
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
