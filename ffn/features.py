"""What the layers of a network make of videos: features per layer and frame count, from one decode per video.

Shapes: N videos, B videos of a batch, T frames, C channels, H height, W width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ffn.data import Clips
from ffn.model import FrameFlexible
from ffn.order import InOrder
from ffn.progress import Progress
from ffn.statistics import stage_of
from ffn.surgery import blocks, classifiers, swapped
from ffn.synthesis import Filled

POOLED = "pooled"  # the name of what goes into the classifier


@dataclass(frozen=True)
class Features:
    """What layers gave for the same N videos at several frame counts: means over all positions and frames."""

    layers: tuple[str, ...]  # in network order
    frames: tuple[int, ...]
    indices: np.ndarray  # (N,) positions of the videos in the data, increasing
    labels: np.ndarray  # (N,)
    values: Mapping[tuple[int, str], np.ndarray]  # by frame count and layer: (N, C), float32
    unreadable: tuple[str, ...]  # one line per video that was skipped

    def at(self, num_frames: int, layer: str) -> np.ndarray:
        """The features (N, C) of one layer at one frame count; `ValueError` where there are none."""
        if (num_frames, layer) not in self.values:
            raise ValueError(
                f"there are no features of {layer!r} at {num_frames} frames; the layers are "
                f"{', '.join(self.layers)}, the frame counts {self.frames}"
            )
        return self.values[num_frames, layer]

    def over_frames(self, layer: str) -> dict[int, np.ndarray]:
        """The features (N, C) of one layer by frame count."""
        return {t: self.at(t, layer) for t in self.frames}

    def among(self, indices: np.ndarray) -> "Features":
        """Those of the videos that are among `indices`."""
        kept = np.isin(self.indices, indices)
        values = {key: x[kept] for key, x in self.values.items()}
        return replace(self, indices=self.indices[kept], labels=self.labels[kept], values=values)

    def halves(self, *, seed: int = 0) -> tuple["Features", "Features"]:
        """Two halves of the videos, drawn with `seed`, each with half of every class."""
        drawn = np.random.default_rng(seed).permutation(len(self.labels))
        by_class = drawn[np.argsort(self.labels[drawn], kind="stable")]
        return self.among(self.indices[by_class[::2]]), self.among(self.indices[by_class[1::2]])


def joined(first: Features, second: Features) -> Features:
    """The features of both, of the same videos and layers at different frame counts, counts in order.

    Raises:
        ValueError: when they differ in videos or layers.
    """
    if first.layers != second.layers or not np.array_equal(first.indices, second.indices):
        raise ValueError("features are joined over frame counts; they must be of the same videos and layers")
    frames = tuple(sorted({*first.frames, *second.frames}))
    unreadable = tuple(dict.fromkeys((*first.unreadable, *second.unreadable)))
    return replace(first, frames=frames, values={**first.values, **second.values}, unreadable=unreadable)


def in_common(first: Features, second: Features) -> tuple[Features, Features]:
    """Two networks' features of the videos that both have; `ValueError` when a video has two labels."""
    one, other = first.among(second.indices), second.among(first.indices)
    if (one.labels != other.labels).any():
        raise ValueError("the features are of different data: a video has two labels")
    return one, other


def feature_layers(model: FrameFlexible) -> tuple[str, ...]:
    """The layers that stand for a network: the last block of every stage (of a ViT every block), and "pooled".

    "pooled" is what goes into the classifier. Each of SlowFast's pathways has stages of its own.
    """
    stages = {stage_of(name): name for name in _taps(_plain(model)) if name != POOLED}
    return (*stages.values(), POOLED)


@torch.inference_mode()
def extract_features(
    model: FrameFlexible,
    clips: Clips,
    *,
    layers: Sequence[str] | None = None,
    videos: int | None = None,
    batch_size: int = 32,
    workers: int = 0,
    progress: Progress | None = None,
) -> Features:
    """What `layers` give at every frame count of `clips`, averaged over all positions (of tokens too) and frames.

    Every video is decoded once. Those that cannot be read are left out and named. The result takes 4 x N x C bytes
    per layer and frame count, and nothing else grows with the data. `progress` is called with (videos done, videos in
    all); an exception that it raises cancels. The model is left alone, so that threads may share it.

    Args:
        layers: names of blocks as in `ffn.surgery.blocks`, or "pooled"; by default those of `feature_layers`.
        videos: how many to draw, the same ones every time; by default all.

    Raises:
        ValueError: when the model is in training mode, has no such layer, or `videos` is below 1.
    """
    if model.training:
        raise ValueError("the model is in training mode; call model.eval() first")
    names = tuple(layers or feature_layers(model))
    device = next(model.parameters()).device
    tapped = {t: _Tapped(model, t, names) for t in clips.frames}
    seen = _Seen()
    for batch in clips.batches(_order(len(clips), videos, batch_size), workers=workers, progress=progress):
        for t, network in tapped.items() if len(batch) else ():
            seen.add(t, network(batch.stream(t, device)))
        seen.indices += batch.indices
        seen.labels += batch.labels.tolist()
        seen.unreadable += [item.reason for item in batch.unreadable]
    return seen.features(names, clips.frames)


def _order(total: int, videos: int | None, batch_size: int) -> list[list[int]]:
    """The batches of all videos, or of some drawn: those at even steps may lack a class where classes take turns."""
    if videos is not None and videos < 1:
        raise ValueError(f"videos must be at least 1, got {videos}")
    chosen = sorted(np.random.default_rng(0).permutation(total)[:videos].tolist())
    return [[chosen[i] for i in batch] for batch in InOrder(len(chosen), batch_size)]


class _Seen:
    """What was seen of the data so far."""

    def __init__(self) -> None:
        self.indices: list[int] = []
        self.labels: list[int] = []
        self.unreadable: list[str] = []
        self._parts: dict[tuple[int, str], list[np.ndarray]] = {}

    def add(self, num_frames: int, found: Mapping[str, np.ndarray]) -> None:
        for layer, values in found.items():
            self._parts.setdefault((num_frames, layer), []).append(values)

    def features(self, layers: tuple[str, ...], frames: tuple[int, ...]) -> Features:
        nothing = [np.zeros((0, 1), np.float32)]
        return Features(
            layers=layers,
            frames=frames,
            indices=np.array(self.indices, int),
            labels=np.array(self.labels, int),
            values={
                (t, layer): np.concatenate(self._parts.pop((t, layer), nothing)) for t in frames for layer in layers
            },
            unreadable=tuple(self.unreadable),
        )


class _Tapped:
    """A view of a network at one frame count that also tells what some of its layers give."""

    def __init__(self, model: FrameFlexible, num_frames: int, layers: Sequence[str]) -> None:
        network = model.at(model.route(num_frames), num_frames)
        taps = _taps(network)
        for name in layers:
            if name not in taps:
                raise ValueError(f"there is no layer {name!r}; the layers are {', '.join(taps)}")
        self._latest: dict[str, Tensor] = {}
        wrapped = {taps[name]: _Tap(taps[name], name, self._latest) for name in layers}
        self._layers = layers
        self._network = swapped(network, lambda module: wrapped.pop(module, None))

    def __call__(self, clips: Tensor) -> dict[str, np.ndarray]:
        """Features (B, C) of clips (B, T, 3, H, W), by layer."""
        self._network(clips)
        return {name: _of_clips(self._latest.pop(name), len(clips)) for name in self._layers}


class _Tap(nn.Module):
    """A layer that also keeps what it gives; the classifier, what it is given."""

    def __init__(self, layer: nn.Module, name: str, latest: dict[str, Tensor]) -> None:
        super().__init__()
        self.layer, self.name, self.latest = layer, name, latest

    def forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        y = self.layer(x, *args, **kwargs)
        seen = x if self.name == POOLED else y
        self.latest[self.name] = pool(seen if isinstance(seen, Tensor) else seen[0])  # some blocks give several
        return y


def pool(x: Tensor) -> Tensor:
    """The mean (N, C) over the positions of `x`: (N, C, H, W), (N, H, W, C), (N, L, C) or (N, C, T, H, W).

    Images are square: of four dimensions the second holds the channels where the last two are of one size.
    """
    if x.ndim == 2:
        return x
    first = x.ndim == 5 or (x.ndim == 4 and x.shape[2] == x.shape[3])
    return x.flatten(2).mean(2) if first else x.flatten(1, -2).mean(1)


def _of_clips(x: Tensor, clips: int) -> np.ndarray:
    """The mean (B, C) over the frames of each clip of what is there per image (B * T, C), or per clip already."""
    return x.float().unflatten(0, (clips, -1)).mean(1).cpu().numpy()


def _plain(model: FrameFlexible) -> nn.Module:
    """The ordinary network of the longest branch."""
    return model.at(model.frames[-1], model.frames[-1])


def _taps(network: Any) -> dict[str, nn.Module]:
    """The layers of an ordinary network whose features can be had, by name: its blocks and its classifier."""
    plain = network.net if isinstance(network, Filled) else network
    backbone = getattr(plain, "backbone", plain)
    return {**blocks(backbone), POOLED: classifiers(backbone)[0]}
