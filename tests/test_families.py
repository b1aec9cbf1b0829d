"""Every family of timm: what conversion must not change, on numbers drawn at random, each shown to fail on a mutant."""

from copy import deepcopy
from functools import partial

import pytest
import timm
import torch
from conftest import error, private, redraw
from families import verdict
from timm.layers import FrozenBatchNormAct2d
from torch import Tensor, nn

import ffn
from ffn import layers
from ffn.families import family, refusals, table
from ffn.layers import ResidualAdapter, Switchable
from ffn.surgery import is_norm, norms

FRAMES = (2, 4)
FROZEN = partial(FrozenBatchNormAct2d, apply_act=False)
TINY_SWIN = {"img_size": 32, "window_size": 4, "embed_dim": 24, "depths": (1, 1, 2, 1), "num_heads": (1, 1, 2, 2)}
HANDFUL = [
    ("test_resnet", {}),  # BatchNorm2d
    ("resnet18", {"norm_layer": "groupnorm", "channels": (32, 32, 32, 32)}),
    ("resnet18", {"norm_layer": FROZEN, "channels": (16, 16, 32, 32)}),
    ("resnetv2_18", {"channels": (16, 16, 32, 32)}),  # its shortcut is registered and run first
    ("resnetv2_50x1_bit", {"channels": (128, 128, 128, 128)}),  # standardised weights, GroupNormAct
    ("test_byobnet", {}),
    ("regnety_002", {}),
    ("test_efficientnet", {}),
    ("tf_mobilenetv3_small_minimal_100", {}),  # "same" padding
    ("mobilenetv4_conv_small_035", {}),
    ("densenet121", {"growth_rate": 8, "block_config": (2, 2, 2, 2)}),
    ("fasternet_t0", {"depths": (1, 1, 1, 1), "embed_dim": 16}),  # picks its forward pass at construction
    ("test_convnext", {}),  # LayerNorm over the last dimension
    ("test_convnext2", {}),
    ("test_vit", {"img_size": 32}),
    ("test_vit3", {"img_size": 32}),
    ("vit_tiny_patch16_224", {"img_size": 32, "depth": 2}),
    ("deit_tiny_distilled_patch16_224", {"img_size": 32, "depth": 2}),  # two tokens before the image
    ("swin_tiny_patch4_window7_224", TINY_SWIN),
    ("swinv2_tiny_window8_256", TINY_SWIN),  # its norms come last
    ("test_coatnet", {"img_size": 64}),
    ("poolformer_s12", {}),
]


def identify(case: tuple[str, dict[str, object]]) -> str:
    return "-".join(
        [case[0], *(str(v.func.__name__ if callable(v) else v) for v in case[1].values() if not isinstance(v, tuple))]
    )


class Case:
    """One network converted and drawn at random, and clips for it."""

    def __init__(self, name: str, kwargs: dict[str, object], *, shift: bool = True, size: int | None = None) -> None:
        torch.manual_seed(0)
        self.kwargs = {"num_classes": 7, **kwargs}
        self.name = name
        self.model = ffn.create_model(name, FRAMES, shift=shift, **self.kwargs)
        redraw(self.model)
        self.model.eval()
        self.size = size or kwargs.get("img_size") or self._usual_size()

    def _usual_size(self) -> int:
        usual = self.model.network.backbone.pretrained_cfg["input_size"][-1]
        return 64 if runs(self.name, 64, self.kwargs) else usual

    def clips(self, num_frames: int, batch: int = 2) -> Tensor:
        return torch.randn(batch, num_frames, 3, self.size, self.size, generator=torch.Generator().manual_seed(1))


def is_the_original(case: Case) -> bool:
    """Without shift and gains, whether every branch computes what timm's network does, to the last bit."""
    with torch.no_grad():
        for name, parameter in case.model.named_parameters():
            if any(name.endswith(f"by_frames.{t}") for t in FRAMES):
                parameter.zero_()
    plain = timm.create_model(case.name, **case.kwargs).eval()
    clips = case.clips(3)
    for branch in FRAMES:
        own = case.model.at(branch, 3).backbone.state_dict()
        tensors = [tensor for name, tensor in own.items() if not name.endswith(".gain")]
        plain.load_state_dict(dict(zip(plain.state_dict(), tensors, strict=True)))
        with torch.no_grad():
            want = plain(clips.flatten(0, 1)).unflatten(0, (2, 3)).mean(1)
            if not torch.equal(case.model(clips, branch=branch), want):
                return False
    return bool(want.std() > 0)


def sees_only_its_own(case: Case) -> bool:
    """Whether a clip's answer stays when another clip changes, though it depends on the order of its own frames."""
    clips = case.clips(4)
    other = clips.clone()
    other[1] += 1
    with torch.no_grad():
        answer, beside, reversed_ = (case.model(x)[0] for x in (clips, other, clips.flip(1)))
    return torch.equal(answer, beside) and not torch.equal(answer, reversed_)


def only_the_active_branch_learns(case: Case) -> None:
    model = case.model.train()
    for branch, other in (FRAMES, FRAMES[::-1]):
        model.zero_grad()
        model(case.clips(branch)).square().sum().backward()
        reached = {name for name, p in model.named_parameters() if p.grad is not None}
        assert private(model, branch) & reached
        assert not private(model, other) & reached
        gains = {name for name in private(model, branch) if name.endswith(f"by_frames.{branch}")}
        assert gains
        assert gains <= reached
    model.eval()


def extracts_and_saves(case: Case, tmp_path) -> None:
    with torch.no_grad():
        for branch in FRAMES:
            single = ffn.extract(case.model, branch)
            exact = deepcopy(case.model).double()  # single precision tells little where random numbers grow to millions
            folded = ffn.extract(exact, branch, fold_norms=True)
            assert not any(isinstance(m, Switchable | ResidualAdapter) for m in single.modules())
            for num_frames in (1, 3, 4):
                clips = case.clips(num_frames)
                want = case.model(clips, branch=branch)
                assert error(single(clips), want) < 2e-5
                assert error(folded(clips.double()), exact(clips.double(), branch=branch)) < 1e-7
        saved = {"whole": case.model, "single": single, "folded": folded.float()}
        if any(callable(value) for value in case.kwargs.values()):
            return  # a file cannot hold a function
        for name, model in saved.items():
            ffn.save(model, tmp_path / f"{name}.safetensors")
            assert torch.equal(ffn.load(tmp_path / f"{name}.safetensors")(clips), model(clips))


def prove(name: str, kwargs: dict[str, object], tmp_path, size: int | None = None) -> None:
    assert is_the_original(Case(name, kwargs, shift=False, size=size))
    case = Case(name, kwargs, size=size)
    assert sees_only_its_own(case)
    extracts_and_saves(case, tmp_path)
    only_the_active_branch_learns(case)


@pytest.mark.parametrize("case", HANDFUL, ids=identify)
def test_a_handful(case, tmp_path):
    prove(*case, tmp_path)


def runs(name: str, size: int, kwargs: dict[str, object]) -> bool:
    """Whether timm's network takes images of this size; each family has its own way to say no."""
    try:
        with torch.device("meta"):
            timm.create_model(name, **kwargs).eval()(torch.empty(1, 3, size, size))
    except Exception:
        return False
    return True


def smallest(name: str) -> tuple[int | None, dict[str, object]]:
    """The smallest images that a model of timm takes, None for its usual ones, and what makes it take them."""
    tries = [(size, kwargs) for size in (64, 112) for kwargs in ({"img_size": size}, {})]
    return next(((size, kwargs) for size, kwargs in tries if runs(name, size, kwargs)), (None, {}))


VERIFIED = [(row["family"], row["model"]) for row in table() if not row["reason"]]


@pytest.mark.campaign
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", [model for _, model in VERIFIED])
def test_the_smallest_of_every_family(name, tmp_path):
    size, kwargs = smallest(name)
    prove(name, kwargs, tmp_path, size)


@pytest.mark.campaign
@pytest.mark.filterwarnings("default")
def test_every_model_is_listed_or_refused():
    refused = {name: reason for name in timm.list_models() if (reason := verdict(name)[1])}
    assert refused == refusals()


def test_at_least_forty_families_are_verified():
    assert len({family for family, _ in VERIFIED}) >= 40
    assert {"resnet", "regnet", "resnetv2", "efficientnet", "mobilenetv3", "densenet", "convnext"} <= {
        family for family, _ in VERIFIED
    }
    assert {"vision_transformer", "deit", "swin_transformer"} <= {family for family, _ in VERIFIED}


def test_models_are_listed():
    names = ffn.list_models()
    assert names[:3] == ["tea_resnet50", "slowfast_resnet50", "uniformer_small"]
    assert {"resnet50", "vit_base_patch16_224"} <= set(names)
    assert set(names) - set(timm.list_models()) == {*names[:3]}
    assert not refusals().keys() & set(names)
    assert "resnet50" in ffn.list_models("resnet*")
    assert "vit_base_patch16_224" not in ffn.list_models("resnet*")


@pytest.mark.parametrize("name", ["vgg11", "test_nfnet", "inception_v3", "levit_128s"])
def test_what_is_refused_says_why(name):
    with pytest.raises(ValueError, match=r"names no|has no"):
        ffn.create_model(name)
    assert name in refusals()


# The proofs fail where they should


def test_a_shift_across_clips_is_noticed(monkeypatch):
    def leaking(self, x):
        x = self.net(x) if self.after else x
        first, rest = x.split([2, x.shape[self.dim] - 2], dim=self.dim)
        moved = torch.cat([first.roll(-1, 0), rest], dim=self.dim)
        return moved if self.after else self.net(moved)

    assert sees_only_its_own(Case("test_vit", {"img_size": 32}))
    assert sees_only_its_own(Case("test_resnet", {}))
    monkeypatch.setattr(layers.Shifted, "forward", leaking)
    assert not sees_only_its_own(Case("test_vit", {"img_size": 32}))
    assert not sees_only_its_own(Case("test_resnet", {}))


def test_a_wrong_branch_is_noticed(monkeypatch, tmp_path):
    case = Case("test_convnext", {})
    monkeypatch.setattr(Switchable, "at", lambda self, branch, num_frames: self.by_frames["4"])
    with pytest.raises(AssertionError):
        only_the_active_branch_learns(case)


def test_a_lost_activation_is_noticed(monkeypatch):
    def rebuilt(self, norm, frames):
        nn.Module.__init__(self)
        self.by_frames = nn.ModuleDict({str(t): nn.BatchNorm2d(norm.num_features) for t in frames})

    assert is_the_original(Case("test_efficientnet", {}, shift=False))
    monkeypatch.setattr(Switchable, "__init__", rebuilt)
    assert not is_the_original(Case("test_efficientnet", {}, shift=False))


# What is found


def test_every_kind_of_norm_is_found():
    kinds = {type(m).__name__ for name, kw in HANDFUL for _, m in norms(timm.create_model(name, **kw))}
    assert {"BatchNorm2d", "BatchNormAct2d", "FrozenBatchNormAct2d", "GroupNorm", "GroupNormAct"} <= kinds
    assert {"LayerNorm", "LayerNorm2d", "GroupNorm1"} <= kinds
    assert not is_norm(nn.Sequential(nn.LayerNorm(2)))
    assert not is_norm(nn.Conv2d(1, 1, 1))


def test_tokens_that_are_no_part_of_the_image_stay():
    model = Case("deit_tiny_distilled_patch16_224", {"img_size": 32, "depth": 1}).model
    (shift,) = (m for m in model.modules() if isinstance(m, layers.TemporalShift))
    assert (shift.dim, shift.prefix, shift.after) == (-1, 2, True)
    x = torch.randn(4, 6, 16)
    y = layers.shift(x, 4, dim=-1, prefix=2)
    assert torch.equal(y[:, :2], x[:, :2])
    assert torch.equal(y[:-1, 2:, :2], x[1:, 2:, :2])
    assert torch.equal(y[1:, 2:, 2:4], x[:-1, 2:, 2:4])
    assert torch.equal(y[:, 2:, 4:], x[:, 2:, 4:])


def test_the_shortcut_is_neither_shifted_nor_altered():
    wrapped = [
        name
        for name, module in Case("resnetv2_18", {"channels": (16, 16, 32, 32)}).model.named_modules()
        if isinstance(module, layers.TemporalShift)
    ]
    assert len(wrapped) == 8
    assert not [name for name in wrapped if "downsample" in name]


def test_pretrained_weights_come_from_a_local_file(tmp_path):
    plain = timm.create_model("test_resnet")
    redraw(plain)
    torch.save(plain.state_dict(), tmp_path / "weights.pth")
    local = {"file": str(tmp_path / "weights.pth")}
    model = ffn.create_model("test_resnet", (2, 4), pretrained=True, pretrained_cfg_overlay=local, num_classes=1000)
    own = model.state_dict()
    for name, norm in norms(plain):
        for branch in ("2", "4"):
            for leaf, tensor in norm.state_dict().items():
                assert torch.equal(own[f"network.backbone.{name}.by_frames.{branch}.{leaf}"], tensor)
    assert torch.equal(own["network.backbone.fc.weight"], plain.fc.weight)


def test_a_family_is_timm_s_module():
    assert family("resnet50") == "resnet"
