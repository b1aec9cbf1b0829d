"""The paper's tables on `moving_shapes`: what is trained for each, all by one recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ffn.experiment import Experiment
from ffn.results import TABLES

SEEDS = (0, 1, 2)

# Chosen on the validation split (workbench/results/search.csv), the same for every method on a backbone. Every training
# starts from the same pretraining of its backbone and seed, as the paper's start from ImageNet; fine-tuning starts from
# what was trained so at 16 frames.
COMMON: dict[str, Any] = {
    "resize": 36,
    "crop": 32,
    "precision": "bfloat16",
    "select": "last",
    "batch_size": 16,
    "epochs": 40,
    "learning_rate": 3e-3,
}
PRETRAINING: dict[str, Any] = {**COMMON, "method": "single", "frames": (8,), "epochs": 16}
METHODS: dict[str, dict[str, Any]] = {
    "single": {"method": "single"},
    "finetune": {"method": "single"},
    "mixed": {"method": "mixed", "streams": (4, 16), "share": 0.5},
    "mixed-0.75": {"method": "mixed", "streams": (4, 16), "share": 0.75},
    "proportional": {"method": "proportional", "streams": (4, 16), "share": 0.5},
    "proportional-0.75": {"method": "proportional", "streams": (4, 16), "share": 0.75},
    "ffn": {"method": "ffn"},
    "ffn-labels": {"method": "ffn-labels"},
    "ffn-labels-sampled": {"method": "ffn-labels-sampled"},
    "ffn-labels-split": {"method": "ffn-labels-split"},
    "ffn-thinned": {"method": "ffn-thinned", "share": 0.25},
    **{
        f"ffn-without-{part}": {"method": "ffn", "without": (part,)}
        for part in ("private-norm", "alteration", "distillation", "sharing")
    },
}
SMALL = (32, 64, 128, 256)
SHORT = 24  # epochs of the backbones that cost more
RECORDED = {"capture": True}  # on a GPU, where resnet10t and TEA were tried; the other ResNets are alike
BACKBONES: dict[str, dict[str, Any]] = {
    "resnet10t": {**RECORDED, "architecture": "resnet10t", "model_options": {"channels": SMALL, "stem_width": 16}},
    "resnet14t": {
        **RECORDED,
        "architecture": "resnet14t",
        "model_options": {"channels": SMALL, "stem_width": 16},
        "epochs": SHORT,
    },
    "resnet18": {**RECORDED, "architecture": "resnet18", "model_options": {"channels": SMALL}, "epochs": SHORT},
    "tea_resnet50_tiny": {
        **RECORDED,
        "architecture": "tea_resnet50",
        "model_options": {"layers": [1, 1, 1, 1], "channels": [24, 48, 96, 128]},
        "epochs": SHORT,
    },
    "slowfast_resnet50_tiny": {
        "architecture": "slowfast_resnet50",
        "model_options": {"depths": [1, 1, 1, 1], "width": 32},
        "epochs": SHORT,
    },
    "uniformer_small_tiny": {
        "architecture": "uniformer_small",
        "model_options": {"depths": [1, 2, 2, 1], "dims": [32, 64, 128, 192], "head_dim": 32},
        "epochs": SHORT,
    },
}
FAST = 2  # SlowFast's slow pathway sees a quarter of the frames: it gets twice as many as the others


@dataclass(frozen=True)
class Entry:
    """One line of a table: a method on a backbone, trained at some frame counts."""

    table: str
    method: str
    frames: tuple[int, ...]
    backbone: str = "resnet10t"

    @property
    def branches(self) -> tuple[int, ...]:
        """The frame counts that the network knows; those of a mixture are one to it."""
        if self.method == "finetune":
            return self.frames[:1]
        return self.frames[-1:] if "streams" in METHODS.get(self.method, {}) else self.frames


def entries(tables: Sequence[str] = tuple(TABLES)) -> list[Entry]:
    """The lines of the tables, the core ones first."""
    whole = (4, 8, 16)
    single = [Entry("", "single", (t,)) for t in whole]
    ffn = Entry("", "ffn", whole)
    efficient = ("ffn-labels-sampled", "ffn-labels-split", "ffn-thinned")
    variants = [Entry("", method, whole) for method in ("ffn-labels", *efficient)]
    mixtures = ("mixed", "mixed-0.75", "proportional", "proportional-0.75")
    baselines = [Entry("", method, (4, 16)) for method in (*mixtures, "finetune")]
    ablations = [Entry("", method, whole) for method in METHODS if "without" in method]
    middle = [replace(ffn, frames=(4, t, 16)) for t in (10, 12)]
    more = [replace(ffn, frames=frames) for frames in ((4, 16), (4, 8, 12, 16))]
    longer = [Entry("", "single", (24,)), replace(ffn, frames=(4, 8, 16, 24))]
    deeper = [replace(e, backbone=name) for name in ("resnet14t", "resnet18") for e in (*single, ffn)]
    others = [
        replace(e, backbone=name, frames=tuple(times * t for t in e.frames))
        for name, times in (("tea_resnet50_tiny", 1), ("slowfast_resnet50_tiny", FAST), ("uniformer_small_tiny", 1))
        for e in (*single, ffn)
    ]
    lines = {
        "1": [*single, ffn, *variants, *baselines, Entry("", "ensemble", whole)],
        "4": [*single, ffn, *ablations],
        "fig2": [Entry("", "single", (t,)) for t in (4, 8, 12, 16)],
        "2": [*single, Entry("", "single", (12,)), *more, ffn],
        "6": [ffn, *middle],
        "3": [*single, *longer],
        "5": [*single, ffn, *deeper],
        "8": [*single, ffn, *others],
    }
    return [replace(line, table=table) for table in tables for line in lines[table]]


def tested(architecture: str) -> tuple[int, ...]:
    """The frame counts at which networks are tested, for all tables at once."""
    if architecture.startswith("slowfast"):
        return TABLES["8"].counts[1:]
    return tuple(sorted({t for name, table in TABLES.items() if name != "8" for t in table.counts}))


def counts(entry: Entry) -> list[int]:
    """The frame counts of an entry's rows."""
    seen = tested(BACKBONES[entry.backbone]["architecture"])
    return [t for t in TABLES[entry.table].counts if t in seen]


def recipe_of(entry: Entry) -> dict[str, Any]:
    """The recipe behind an entry: what decides the outcome, but for the seed and what the training starts from."""
    return {**COMMON, **BACKBONES[entry.backbone], "frames": entry.branches, **METHODS[entry.method]}


def pretraining(backbone: str) -> dict[str, Any]:
    """The recipe of what every training on `backbone` starts from."""
    return {**BACKBONES[backbone], **PRETRAINING}


def origin(entry: Entry) -> Entry | None:
    """The entry whose network a training starts from; None where that is the pretraining."""
    return replace(entry, method="single", frames=entry.frames[-1:]) if entry.method == "finetune" else None


def recipe(entry: Entry) -> str:
    """Eight hexadecimal digits for the settings of an entry and of all that it starts from."""
    if entry.method == "ensemble":
        return "-".join(recipe(member) for member in members(entry))
    before = origin(entry)
    base = recipe(before) if before else Experiment(**pretraining(entry.backbone)).digest
    return Experiment(**recipe_of(entry)).digest_from(base)


def members(entry: Entry) -> list[Entry]:
    """The separately trained networks of an ensemble."""
    return [replace(entry, method="single", frames=(t,)) for t in entry.frames]
