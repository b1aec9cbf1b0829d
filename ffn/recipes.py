"""The recipes of the paper (supplement A, completed from the authors' scripts) as settings of an `ffn.experiment`.

Data, validation and seed are not in them. Where ours differ from the released code, in all five:

- Frames are drawn from segments by `ffn.sampling.segment_indices`; the authors' 2D code never reaches the tail of a
  video, and shows of a short one the first frame over and over.
- Gradients are clipped in mixed precision too; the released 2D code asks for it and then skips it.
- The temporal shift, and TEA, know the frame count of each stream: no video leaks into another.
- Gains start from N(0, 1e-3), as the paper has it; the released TSM and SlowFast draw them anew with the convolutions.
- The best epoch is that of the highest mean accuracy over the trained counts; theirs is the longest stream's best, or
  the last one (`select="last"`).
- Every stream runs backward by itself: the same gradients in less memory.
- The new classifier starts as timm starts it, theirs from N(0, 1e-3). A test sees one centre crop of the size of
  training; theirs is of 256 pixels for SlowFast, and the sum of three crops for UniFormer.
"""

from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]

_FFN: Settings = {"method": "ffn", "distillation": 1.0, "select": "mean"}
# Group multi-scale crop, no flip: direction is the label in Something-Something.
_SGD_2D: Settings = {
    **_FFN,
    "frames": (4, 8, 16),
    "pretrained": True,
    "model_options": {"drop_rate": 0.5},  # on every frame's features
    "optimiser": "sgd",
    "momentum": 0.9,
    "learning_rate": 0.01,
    "weight_decay": 5e-4,
    "decay_gains": True,
    "head_rate": 5.0,  # the bias 10
    "schedule": "step",
    "milestones": (20.0, 40.0),
    "decay": 0.1,
    "warmup": 0.0,
    "epochs": 50,
    "batch_size": 32,
    "precision": "float16",
    "clip_gradient": 20.0,
    "resize": 256,
    "crop": 224,
    "crop_kind": "multiscale",
    "flip": "off",
}
# The authors start from torchvision's first weights, to which this tag of timm's is the nearest; "resnet50" has others.
_TSM: Settings = {**_SGD_2D, "architecture": "resnet50.tv_in1k"}
_GREY: Settings = {"mean": (0.45, 0.45, 0.45), "std": (0.225, 0.225, 0.225)}

RECIPES: dict[str, dict[str, Any]] = {
    "tsm-sthv1": {**_TSM},
    "tsm-k400": {**_TSM, "weight_decay": 1e-4, "flip": "on"},
    # With weight alteration, as the paper says; the released TEA has none (`without=("alteration",)`).
    "tea-sthv1": {
        **_SGD_2D,
        "architecture": "tea_resnet50",
        "learning_rate": 0.02,
        "milestones": (30.0, 40.0, 45.0),
    },
    # The authors start from PySlowFast's SlowFast 8x8 of Kinetics-400, its head left out: give `init`.
    "slowfast-sthv1": {
        **_FFN,
        **_GREY,
        "channel_order": "BGR",
        "architecture": "slowfast_resnet50",
        "frames": (16, 32, 64),
        "model_options": {"drop_rate": 0.5},
        "optimiser": "sgd",
        "momentum": 0.9,
        "nesterov": True,
        "learning_rate": 0.03,
        "weight_decay": 1e-6,
        "decay_gains": True,
        "schedule": "step",
        "milestones": (14.0, 18.0),
        "decay": 0.1,
        "warmup": 0.19 / 22,
        "warmup_rate": 1e-4 / 0.03,
        "epochs": 22,
        "batch_size": 16,
        "precision": "float32",
        "resize": 256,
        "resize_to": 320,
        "crop": 224,
        "crop_kind": "jitter",
        "flip": "off",
    },
    # The authors mean to start from UniFormer-S of Kinetics-600, though their released FFN loads nothing: give `init`.
    # They take every one of 32 videos twice per step, under two augmentations; here it is 64 videos once, so that an
    # epoch has half as many steps. RandAugment comes behind the crop, as in timm, and not before it.
    "uniformer-sthv1": {
        **_FFN,
        **_GREY,
        "architecture": "uniformer_small",
        "frames": (4, 8, 16),
        "model_options": {"drop_path_rate": 0.2},
        "optimiser": "adamw",
        "learning_rate": 2e-4,
        "weight_decay": 0.05,
        "decay_gains": True,
        "schedule": "cosine",
        "warmup": 5 / 60,
        "warmup_rate": 1e-6 / 2e-4,
        "final_rate": 1e-6 / 2e-4,
        "epochs": 60,
        "batch_size": 64,
        "precision": "float16",
        "clip_gradient": 20.0,
        "label_smoothing": 0.1,
        "mixup": 0.8,
        "cutmix": 1.0,
        "resize": 224,
        "crop": 224,
        "crop_kind": "resized",
        "flip": "off",
        "randaugment": "rand-m7-n4-mstd0.5-inc1",
        "erasing": 0.25,
    },
}
