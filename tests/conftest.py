"""What several tests need: networks drawn at random, mutants, tiny videos."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads starve a shared core

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ffn
from ffn import bundled, data

torch.set_num_threads(1)

RECORDED = {"A TSM": (4,), "An FFN": (2, 4)}  # the networks of `recorded`: frame counts by title
SMALL = {"channels": (16, 16, 24, 32), "num_classes": 7}


@torch.no_grad()
def redraw(model: nn.Module, seed: int = 0) -> None:
    """Draws every parameter and statistic anew: branches and shifts that start neutral hide mistakes in routing."""
    generator = torch.Generator().manual_seed(seed)
    kept = model.state_dict().keys()
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if not tensor.is_floating_point() or name not in kept:
            continue
        noise = torch.empty(tensor.shape).normal_(generator=generator)
        if name.endswith("running_var"):
            noise = noise.abs() + 0.5
        elif tensor.ndim >= 2:
            noise *= (1.4 / tensor[0].numel()) ** 0.5
        else:
            noise = 0.2 * noise + name.endswith("weight")
        tensor.copy_(noise)


def small(frames: Sequence[int] = (4, 8, 16), seed: int = 0, architecture: str = "resnet18", **kwargs: object):
    """A small frame-flexible network in eval mode, everything in it drawn at random."""
    torch.manual_seed(seed)
    model = ffn.create_model(architecture, frames, **{**SMALL, **kwargs})
    redraw(model, seed)
    return model.eval()


def random_clips(num_frames: int, batch: int = 2, size: int = 32, seed: int = 0) -> Tensor:
    return torch.randn(batch, num_frames, 3, size, size, generator=torch.Generator().manual_seed(seed))


def private(model: nn.Module, branch: int) -> set[str]:
    """The names of the parameters that only one branch has."""
    return {name for name, _ in model.named_parameters() if f".by_frames.{branch}." in f".{name}."}


def error(got: Tensor, want: Tensor) -> float:
    """Largest absolute error over the standard deviation of what is wanted."""
    return float((got - want).detach().abs().max() / want.detach().std())


def write_video(path: Path, frames: np.ndarray, codec: str = "libx264", options: dict[str, str] | None = None) -> Path:
    """Encodes frames (N, H, W, 3) without visible loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options=options or {"crf": "12"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def counting_frames(count: int, size: int = 48) -> np.ndarray:
    """Frames whose brightness tells their index: 5 * index + 10."""
    return np.stack([np.full((size, size, 3), 5 * i + 10, np.uint8) for i in range(count)])


def shown_index(frames: np.ndarray) -> list[int]:
    """Which of the `counting_frames` these are."""
    return [round((float(frame.mean()) - 10) / 5) for frame in frames]


@pytest.fixture(autouse=True)
def _nothing_is_remembered(monkeypatch, tmp_path: Path) -> None:
    """Every test computes what it tests."""
    monkeypatch.setattr("workbench.remembered.folder", lambda: tmp_path.with_name(f"{tmp_path.name}-remembered"))


def write_videos(folder: Path) -> Path:
    """Four short videos of two classes, always the same."""
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        for i in range(2):
            write_video(folder / label / f"{i}.mp4", rng.integers(0, 255, (12, 48, 48, 3), dtype=np.uint8))
    return folder


@pytest.fixture
def not_unicode(tmp_path: Path) -> str:
    """A name that a file can have and no text in UTF-8."""
    name = b"caf\xe9".decode(errors="surrogateescape")
    try:
        (tmp_path / name).touch()
    except OSError:
        pytest.skip("the file system takes UTF-8 alone")
    (tmp_path / name).unlink()
    return name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four short videos of two classes."""
    return write_videos(tmp_path / "videos")


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints with results recorded on videos such as those of `folder`."""
    place = tmp_path_factory.mktemp("recorded")
    videos = write_videos(place / "videos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FFN_CACHE", str(place / "cache"))
        patch.setattr(bundled, "GRID", (1, 2, 4, 6))
        for title, frames in RECORDED.items():
            path = place / "demo" / f"{len(frames)}.safetensors"
            card = {"title": title, "classes": ["a", "b"], "input_size": 32, "resize": 36}
            ffn.save(small(frames, num_classes=2), path, card)
            bundled.record(path, videos, report=lambda *_: None)
    return place / "demo"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small random two-class checkpoint."""

    def write(name: str = "model.safetensors", frames: Sequence[int] = (4, 8), **card: object) -> Path:
        model = small(frames, num_classes=2)
        about = {"classes": ["a", "b"], "input_size": 32, "resize": 36, **card}
        ffn.save(model, tmp_path / name, about)
        return tmp_path / name

    return write


@pytest.fixture
def decoded(monkeypatch) -> list[Path]:
    """The videos that clips open to decode, as often as they do."""
    paths, open_video = [], data.open_video

    def counting(path, *about):
        paths.append(path)
        return open_video(path, *about)

    monkeypatch.setattr(data, "open_video", counting)
    return paths


def assert_progress_counts_videos_and_may_cancel(folder: Path, run: Callable[..., object]) -> None:
    """Of `run(progress=...)` in batches of one, on the four videos of `folder`, of which one is broken here."""
    (folder / "a" / "1.mp4").write_bytes(b"")
    calls = []
    run(progress=lambda *call: calls.append(call))
    assert calls == [(i, 4) for i in (1, 2, 3, 4)]

    def cancel(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(progress=cancel)
