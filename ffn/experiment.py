"""Everything that decides what a training run ends with, in one flat config."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from ffn.card import ELSEWHERE, read_card
from ffn.checkpoint import describe, load
from ffn.costs import cost
from ffn.data import Clips
from ffn.files import file_hash
from ffn.layers import check_frames, nearest
from ffn.model import FrameFlexible, create_model, fixed_size, start_from
from ffn.training import Training, setting
from ffn.transforms import IMAGENET_MEAN, IMAGENET_STD, Augmentation, Preprocessing

PARTS = {"private-norm": "private_norms", "alteration": "alteration", "sharing": "sharing"}
CACHE: dict[str, Any] = {"auto": "auto", "on": True, "off": False}
LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}  # faster, most of all in mixed precision
# What tells where a run takes place, not what comes out of it.
CIRCUMSTANCES = ("data", "validation", "tested", "cache", "workers", "capture", "seed")
# Arguments of create_model that are no option of the architecture, and what says them instead.
ELSEWHERE_SAID = {
    **{argument: f"--without {part}" for part, argument in PARTS.items()},
    **{name: f"--{name}" for name in ("architecture", "frames", "pretrained")},
    "num_classes": "the data",
    "in_chans": "the videos: they have three channels",
    "checkpoint_path": "--init",
}


@dataclass(frozen=True)
class Experiment(Training):
    """Data, network, augmentation and training of one run."""

    data: str = setting("", "videos to train on: a folder of class/video files, a manifest or a list")
    validation: str = setting("", "videos that tell the best epoch, seen at every trained frame count")
    tested: tuple[int, ...] = setting((), "further frame counts to validate at, which do not decide the best epoch")
    architecture: str = setting("resnet50", "any of ffn.list_models()")
    frames: tuple[int, ...] = setting((4, 8, 16), "the branches; one count makes an ordinary network")
    without: tuple[str, ...] = setting((), f"parts to leave out: {', '.join(PARTS)} or distillation")
    pretrained: bool = setting(False, "start from timm's weights")
    init: str = setting("", "start from this checkpoint of the same architecture, each branch from its nearest")
    model_options: dict[str, Any] = field(
        default_factory=dict,
        metadata={"why": 'further arguments of create_model, as JSON: {"drop_rate": 0.5}', "needs": {}},
    )
    resize: int = setting(256, "pixels of the short side")
    crop: int = setting(224, "pixels of the square that the network sees")
    mean: tuple[float, ...] = setting(IMAGENET_MEAN, "of pixel values in [0, 1]")
    std: tuple[float, ...] = setting(IMAGENET_STD, "of pixel values in [0, 1]")
    channel_order: str = setting("RGB", "RGB or BGR")
    crop_kind: str = setting("random", "how crops are drawn: random, multiscale, jitter or resized")
    resize_to: int = setting(0, "jitter: the short side is drawn between resize and this", crop_kind=("jitter",))
    flip: str = setting("off", "mirrored half of the time: on, off where direction is the label, swap with labels")
    randaugment: str = setting("", "timm's policy, such as rand-m7-n4-mstd0.5-inc1")
    erasing: float = setting(0.0, "probability of an erased rectangle")
    cache: str = setting("auto", "keep decoded frames in a memory-mapped file: auto (small sets), on or off")
    select: str = setting("mean", "the best epoch by validation: mean over the counts, last, or one count")

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := set(self.without) - {*PARTS, "distillation"}:
            known = f"{', '.join(PARTS)} or distillation"
            raise ValueError(f"nothing is called {', '.join(sorted(unknown))}; leave out {known}")
        if "distillation" in self.without and self.method not in ("ffn", "ffn-labels"):
            raise ValueError(f"distillation can be left out of ffn or ffn-labels, not of {self.method}")
        if self.cache not in CACHE:
            raise ValueError(f"cache is {', '.join(CACHE)}, got {self.cache!r}")
        if self.select not in ("mean", "last", *map(str, self.shown)):
            raise ValueError(f"select is mean, last or one of {self.shown}, got {self.select!r}")
        self._check_validation()
        self._check_frames()
        _ = self.validated  # knows what is no frame count
        self._check_model_options()
        _ = self.preprocessing, self.augmentation  # they know what is impossible
        self._check_jitter()

    def _check_validation(self) -> None:
        """Without videos to validate on the last epoch is the best, and only what says more than that is in vain."""
        said = {"tested": bool(self.tested), "select": self.select not in ("mean", "last")}
        vain = [name for name, is_said in said.items() if is_said and not self.validation]
        if vain:
            raise ValueError(f"{vain[0]} needs videos to validate on: give --validation, or leave out --{vain[0]}")

    def _check_frames(self) -> None:
        """Every branch learns from a stream, and the baselines see as many frame counts as they are made for."""
        frames, shown = check_frames(self.frames), check_frames(self.shown)
        if self.method == "single" and len(shown) > 1:
            raise ValueError(
                f"single trains at one frame count, got {shown}; give it one, or take "
                "`--method ffn --without distillation` for labels at every count"
            )
        if self.method in ("mixed", "proportional") and (len(frames), len(shown)) != (1, 2):
            raise ValueError(
                f"{self.method} shows two frame counts to a network of one branch, got the streams {shown} and the "
                f"branches {frames}; the paper's is `--frames 16 --streams 4 16`"
            )
        if self.method == "ffn-thinned" and not self.share and len(shown) > 2:
            raise ValueError(f"a share of 0 shows {shown[1]} frames never; raise --share, or leave that branch out")
        if idle := sorted(set(frames) - {nearest(t, frames) for t in shown}):
            raise ValueError(f"no stream of {shown} trains the branch {idle[0]}; leave out --streams, or add it there")

    def _check_model_options(self) -> None:
        if not isinstance(self.model_options, dict):
            raise ValueError(f'model_options are named, such as {{"drop_rate": 0.5}}; got {self.model_options!r}')
        for name in self.model_options.keys() & ELSEWHERE_SAID.keys():
            raise ValueError(f"{name} is no model option; that is said by {ELSEWHERE_SAID[name]}")

    def _check_jitter(self) -> None:
        if self.crop_kind == "jitter" and self.resize_to < self.resize:
            raise ValueError(
                f"jitter draws the short side between resize, {self.resize} pixels, and resize_to, {self.resize_to}; "
                "raise that"
            )

    @property
    def shown(self) -> tuple[int, ...]:
        """The frame counts that are trained on."""
        return self.streams or self.frames

    @property
    def validated(self) -> tuple[int, ...]:
        """The frame counts that validation sees."""
        return check_frames(sorted({*self.shown, *self.tested}))

    @property
    def training(self) -> Training:
        """How the network learns; without distillation from labels on every stream, as in the paper's table 4."""
        own = {f.name: getattr(self, f.name) for f in fields(Training)}
        return Training(**own | ({"method": "labels"} if "distillation" in self.without else {}))

    @property
    def preprocessing(self) -> Preprocessing:
        """How frames enter the network."""
        mean, std = tuple(self.mean), tuple(self.std)
        return Preprocessing(self.resize, self.crop, mean, std, self.channel_order)  # type: ignore[arg-type]

    @property
    def augmentation(self) -> Augmentation:
        """How training clips are varied."""
        return Augmentation(
            crop=self.crop_kind,
            resize_to=self.resize_to,
            flip=self.flip,
            randaugment=self.randaugment,
            erasing=self.erasing,
        )

    def idle(self, names: Iterable[str]) -> Iterator[str]:
        """One sentence for each of the settings of these names that changes nothing beside the others."""
        yield from super().idle(names)
        if self.init and self.pretrained and "pretrained" in names:
            yield "pretrained changes nothing beside init, which says what to start from"

    def settings(self) -> dict[str, Any]:
        """All settings as plain values, as they are in a file."""
        return json.loads(json.dumps(asdict(self)))

    def chosen(self) -> dict[str, Any]:
        """The settings that are not the default, as plain values."""
        default = {f.name: f.default if f.default is not MISSING else {} for f in fields(self)}
        different = {f.name for f in fields(self) if getattr(self, f.name) != default[f.name]}
        return {name: value for name, value in self.settings().items() if name in different}

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that stand for the recipe: everything but the seed and the `CIRCUMSTANCES`."""
        if not self.init:
            return self.digest_from("")
        return self.digest_from(read_card(self.init).get("recipe", {}).get("digest") or file_hash(Path(self.init)))

    def digest_from(self, origin: str) -> str:
        """The digest of this recipe for a network that starts from one of the recipe `origin`."""
        own = {name: value for name, value in self.chosen().items() if name not in CIRCUMSTANCES} | {"init": origin}
        return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:8]

    def clips(self) -> Clips:
        """The training data, sampled at random.

        Raises:
            DataError: when there is none.
        """
        return self._clips(self.data, seed=self.seed, augmentation=self.augmentation)

    def clips_to_test(self, source: str, frames: tuple[int, ...], classes: tuple[str, ...] | None = None) -> Clips:
        """Other data, every clip in one and the same way."""
        return self._clips(source, frames=frames, classes=classes)

    def _clips(self, source: str, **how: Any) -> Clips:
        settings = {"frames": self.shown, "preprocessing": self.preprocessing, "cache": CACHE[self.cache], **how}
        return Clips(source, **settings)

    def build(self, num_classes: int, *, fresh: bool = True) -> FrameFlexible:
        """The untrained network, the same for the same seed; without the weights that it starts from unless `fresh`.

        Raises:
            ValueError: when there is no such network, or `init` is none that it can start from.
        """
        torch.manual_seed(self.seed)
        kwargs: dict[str, Any] = {PARTS[name]: False for name in self.without if name in PARTS}
        pretrained = self.pretrained and fresh and not self.init
        kwargs |= {"num_classes": num_classes, "pretrained": pretrained, **self.model_options}
        try:
            model = create_model(self.architecture, self.frames, **kwargs)
        except ValueError:
            raise
        except OSError as error:
            if not pretrained:
                raise
            reason = str(error).split(". ")[0]
            raise OSError(
                f"timm's weights of {self.architecture} are not to be had ({reason}); start from a file by --init, or "
                "from none by --no-pretrained"
            ) from None
        except Exception as error:  # timm meets nonsense with any of them
            raise ValueError(
                f"{self.architecture} cannot be built with the model options {self.model_options}: {error}"
            ) from None
        self._check_size(model)
        if self.init and fresh:
            start_from(model, load(self.init))
        for weight in model.parameters():
            if weight.dim() in LAYOUTS:
                weight.data = weight.data.to(memory_format=LAYOUTS[weight.dim()])
        return model

    def _check_size(self, model: FrameFlexible) -> None:
        """Some networks that timm builds for images of one size take others."""
        size = fixed_size(model)
        if size in (None, self.crop):
            return
        try:
            cost(model, self.frames[0], self.crop)
        except Exception:  # timm asserts, torch finds shapes that do not fit
            options = json.dumps({**self.model_options, "img_size": self.crop})
            raise ValueError(
                f"{self.architecture} sees images of {size} pixels and the crop has {self.crop}; "
                f"take `--crop {size}`, or build it for these by `--model-options '{options}'`"
            ) from None

    def card(self, clips: Clips, digest: str = "") -> dict[str, Any]:
        """What the file of a trained network says of how it came about; nothing of where on this machine.

        `digest` is that of the recipe, where what it started from may be gone.
        """
        recipe = {name: value for name, value in self.chosen().items() if name not in CIRCUMSTANCES}
        options = {name: value for name, value in self.model_options.items() if name not in ELSEWHERE}
        about = {"init": Path(self.init).name, "model_options": options, "digest": digest or self.digest}
        return {
            "title": f"{self.architecture} trained at {', '.join(map(str, self.shown))} frames ({self.method})",
            "classes": list(clips.classes),
            **describe(self.preprocessing),
            "recipe": recipe | {name: value for name, value in about.items() if value},
            "seed": self.seed,
            "data": f"{clips.source.name}, {len(clips)} training clips",
            "data_hash": clips.digest,
        }
