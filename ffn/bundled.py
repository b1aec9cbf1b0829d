"""The bundled networks, trained anew by `ffn reproduce demo`, and what is recorded of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ffn import decision_files, moving_shapes
from ffn.checkpoint import describe, load, read_card, save
from ffn.data import Clips, clips_for
from ffn.decisions import Decisions
from ffn.evaluation import evaluate
from ffn.files import file_hash, read_csv, write_csv
from ffn.model import FrameFlexible, create_model
from ffn.progress import Report
from ffn.training import Training, train
from ffn.transforms import Preprocessing

DEMO = Path(__file__).resolve().parent.parent / "workbench" / "demo"
GRID = tuple(range(1, 33))  # every frame count of the dashboard's slider
RECORDS = ("divergence.csv", "predictions.npz", "accuracy.csv")  # beside a checkpoint, by the end of their names


@dataclass(frozen=True)
class Recipe:
    """One bundled network. All share backbone, data, budget of epochs, schedule and augmentation."""

    name: str
    frames: tuple[int, ...]
    method: str
    title: str

    @property
    def training(self) -> Training:
        """Chosen on the validation split, the same for all."""
        return Training(method=self.method, epochs=12, batch_size=16, learning_rate=3e-3, seed=0)


RECIPES = (
    Recipe("tsm-16", (16,), "ffn", "TSM trained at 16 frames"),
    Recipe("tsm-8", (8,), "ffn", "TSM trained at 8 frames"),
    Recipe("tsm-4", (4,), "ffn", "TSM trained at 4 frames"),
    Recipe("tsm-1", (1,), "ffn", "trained at 1 frame, which shows no motion"),
    Recipe("ffn-4-8-16", (4, 8, 16), "ffn", "FFN, the paper's loss"),
    Recipe("ffn-labels-4-8-16", (4, 8, 16), "ffn-labels", "FFN, labels on every stream"),
)
PREPROCESSING = Preprocessing(resize=36, crop=32)
BACKBONE: dict[str, Any] = {"architecture": "resnet10t", "channels": (32, 64, 128, 256)}


def demo_model(frames: tuple[int, ...], seed: int = 0) -> FrameFlexible:
    """The untrained small network of the demo, for clips of 16 classes at 32 pixels."""
    torch.manual_seed(seed)
    return create_model(frames=frames, num_classes=len(moving_shapes.CLASSES), **BACKBONE)


def demo(output: Path = DEMO, *, only: Sequence[str] = (), root: Path | None = None, report: Report) -> None:
    """Trains every bundled network on `moving_shapes` and records its test results beside it.

    A network whose file says that it was trained by the same recipe on the same data is not trained again, nor
    evaluated again where its results are there, so a killed run goes on where it stopped.

    Raises:
        ValueError: when there is no recipe of a name in `only`.
    """
    recipes = _wanted(only)
    manifests = {split: _prepared(split, root, report) for split in moving_shapes.SPLITS}
    for recipe in recipes:
        _reproduce(recipe, manifests, output, report)


def _wanted(only: Sequence[str]) -> list[Recipe]:
    """The recipes of these names, all where none is named."""
    names = [recipe.name for recipe in RECIPES]
    if unknown := [name for name in only if name not in names]:
        raise ValueError(f"there is no recipe {unknown[0]!r}; there are {', '.join(names)}")
    return [recipe for recipe in RECIPES if not only or recipe.name in only]


def _prepared(split: str, root: Path | None, report: Report) -> Path:
    return moving_shapes.prepare(split, root, progress=partial(report, f"rendering {split}"))


def _reproduce(recipe: Recipe, manifests: dict[str, Path], output: Path, report: Report) -> None:
    path = output / f"{recipe.name}.safetensors"
    data = _clips(manifests["train"], recipe.frames, seed=recipe.training.seed)
    if not _is_made(path, recipe, data.digest):
        save(*_train(recipe, data, path, manifests["val"], report))
    if not all(file.exists() for file in records_of(path)):
        record(path, manifests["test"], report=report)


def _clips(manifest: Path, frames: tuple[int, ...], seed: int | None = None) -> Clips:
    return Clips(
        manifest,
        frames=frames,
        preprocessing=PREPROCESSING,
        classes=moving_shapes.CLASSES,
        seed=seed,
        cache=seed is not None,
    )


def _is_made(path: Path, recipe: Recipe, data_hash: str) -> bool:
    if not path.exists():
        return False
    card = read_card(path)  # which names the settings that there were when it was written
    return card["recipe"].items() <= _recipe_card(recipe).items() and card["data_hash"] == data_hash


def _recipe_card(recipe: Recipe) -> dict[str, Any]:
    return {**asdict(recipe.training), "command": f"ffn reproduce demo --only {recipe.name}"}


def _train(
    recipe: Recipe, data: Clips, path: Path, validation: Path, report: Report
) -> tuple[FrameFlexible, Path, dict[str, Any]]:
    model = demo_model(recipe.frames, recipe.training.seed)
    for _ in train(model, data, recipe.training, progress=partial(report, recipe.name)):
        pass
    results = evaluate(model.eval(), _clips(validation, (4, 8, 16)))
    card = {
        "name": recipe.name,
        "title": recipe.title,
        "classes": list(moving_shapes.CLASSES),
        **describe(PREPROCESSING),
        "recipe": _recipe_card(recipe),
        "seed": recipe.training.seed,
        "data": f"moving_shapes {moving_shapes.VERSION}, {len(data)} training clips",
        "data_hash": data.digest,
        "metrics": {f"val_top1_at_{r.num_frames}": round(100 * r.correct / r.clips, 2) for r in results},
    }
    return model, path, card


def records_of(path: Path) -> list[Path]:
    """The files in which the results of a bundled checkpoint are recorded, in the order of `RECORDS`."""
    return [path.with_suffix(f".{kind}") for kind in RECORDS]


def record(path: Path, manifest: Path, *, report: Report) -> None:
    """Evaluates a bundled checkpoint at every T of the grid and writes the results beside it.

    Norm statistics, the five best answers to every video, and accuracies, all from the same forward passes.
    """
    model = load(path)
    clips = clips_for(model.card, manifest, GRID)
    results = evaluate(model, clips, progress=partial(report, f"testing {path.stem}"))
    key = {"checkpoint": file_hash(path), "data": clips.digest}
    divergence, predictions, accuracy = records_of(path)
    write_csv(divergence, [key | row for r in results for row in r.divergence_rows()])
    decision_files.save(predictions, Decisions.from_results(results), **key)
    kept, _ = decision_files.load(predictions)
    if kept.correct.sum(1).tolist() != [result.correct for result in results]:
        raise RuntimeError(f"{predictions} does not have the accuracies of its own forward passes")
    write_csv(accuracy, [key | r.accuracy_row() for r in results])


def summary(
    output: Path = DEMO, only: Sequence[str] = (), frames: tuple[int, ...] = (1, 2, 4, 6, 8, 12, 16, 32)
) -> list[dict[str, str]]:
    """Test accuracy in percent of the recorded networks, or of some, at some frame counts, one row per network.

    Raises:
        ValueError: when there is no recipe of a name in `only`.
    """
    rows = []
    for path in (output / f"{recipe.name}.accuracy.csv" for recipe in _wanted(only)):
        if path.exists():
            top1 = {int(r["num_frames"]): 100 * int(r["correct"]) / int(r["clips"]) for r in read_csv(path)}
            rows.append({"network": path.name.split(".")[0]} | {str(t): f"{top1[t]:.1f}" for t in frames})
    return rows
