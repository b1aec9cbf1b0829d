"""The networks that timm lacks, small and with everything in them drawn at random, and their size against the table."""

import pytest
import timm
import torch
from conftest import error, private, random_clips, redraw
from torch import nn

import ffn
from ffn.architectures import ARCHITECTURES
from ffn.architectures.slowfast import SlowFast, repeat_last, slow_indices
from ffn.architectures.tea import MotionExcitation, TemporalConvolution
from ffn.costs import parameters
from ffn.layers import ResidualAdapter, Routed, Switchable
from ffn.model import specialise

FRAMES = (4, 8, 16)
SIZES = {
    "tea_resnet50": {"layers": (2, 1, 1, 1), "channels": (16, 16, 24, 32)},
    "slowfast_resnet50": {"depths": (2, 1, 1, 1), "width": 16},
    "uniformer_small": {"depths": (1, 2, 2, 1), "dims": (16, 16, 32, 64), "head_dim": 16},
}
every = pytest.mark.parametrize("architecture", SIZES)


def little(architecture, frames=FRAMES, seed=0, **kwargs):
    torch.manual_seed(seed)
    model = ffn.create_model(architecture, frames, num_classes=7, **{**SIZES[architecture], **kwargs})
    redraw(model, seed)
    return model.eval()


def test_every_architecture_is_tested():
    assert SIZES.keys() == ARCHITECTURES.keys()


@pytest.mark.parametrize(
    ("architecture", "frames", "flexible", "plain", "gmacs"),
    [
        ("resnet18", FRAMES, (11_289_390, 11_713_128, 11_203_719), 11_265_774, (7.2583, 14.5166, 29.0333)),
        ("resnet50", FRAMES, (24_010_158, 25_702_632, 23_667_975), 23_864_558, (16.3724, 32.7449, 65.4898)),
        ("resnet101", FRAMES, None, None, (31.4, 62.8, 125.6)),
        ("tea_resnet50", FRAMES, (24_601_336, 26_293_810, 24_259_153), 24_456_280, (17.2687, 34.5375, 69.0750)),
        (
            "slowfast_resnet50",
            (16, 32, 64),
            (34_212_606, 36_116_536, 33_827_671),
            34_045_558,
            (25.1896, 50.3787, 100.7570),
        ),
        ("uniformer_small", FRAMES, (21_343_406, 21_767_144, 21_257_735), 21_284_462, (7.9700, 17.5725, 41.6751)),
    ],
)
def test_size_and_cost_are_the_table_s(architecture, frames, flexible, plain, gmacs):
    def build(frames, num_classes):
        with torch.device("meta"):
            alteration = architecture != "tea_resnet50"  # as the authors released it
            return ffn.create_model(architecture, frames, num_classes=num_classes, alteration=alteration)

    found = build(frames, 174)
    for num_frames, want in zip(frames, gmacs, strict=True):
        assert ffn.cost(found, num_frames, 224).macs / 1e9 == pytest.approx(want, rel=0.01)
    if flexible:
        assert tuple(parameters(build(frames, k)) for k in (174, 1000, 7)) == flexible
        assert parameters(build(frames[-1:], 174)) == plain


def leak(model, num_frames):
    clips = random_clips(num_frames, batch=3)
    other = clips.clone()
    other[1] += 1
    with torch.no_grad():
        return float((model(clips) - model(other))[[0, 2]].abs().max())


@every
@pytest.mark.parametrize("num_frames", [1, 4, 6, 16])
def test_no_clip_sees_another(architecture, num_frames):
    assert leak(little(architecture), num_frames) < 1e-6


def test_time_across_clips_is_noticed(monkeypatch):
    def across(self, clips):
        row = clips.flatten(0, 1).unsqueeze(0)
        return plain(self, row).view_as(clips)

    plain = TemporalConvolution.forward
    monkeypatch.setattr(TemporalConvolution, "forward", across)
    assert leak(little("tea_resnet50"), 4) > 1e-3


@every
def test_any_number_of_frames_is_answered_by_the_nearest_branch(architecture):
    model = little(architecture)
    for num_frames in (1, 2, 3, 5, 6, 7, 12, 17):
        clips = random_clips(num_frames)
        want = model(clips, branch=ffn.nearest(num_frames, FRAMES))
        assert want.shape == (2, 7)
        assert want.isfinite().all()
        assert torch.equal(model(clips), want)
        assert min(error(model(clips, branch=b), want) for b in FRAMES if b != ffn.nearest(num_frames, FRAMES)) > 1e-2


@every
def test_the_order_of_frames_matters(architecture):
    model, clips = little(architecture), random_clips(8)
    assert error(model(clips.flip(1)), model(clips)) > 1e-3


@every
@pytest.mark.parametrize("branch", FRAMES)
def test_only_the_active_branch_gets_gradients_and_statistics(architecture, branch):
    model = little(architecture).train()
    before = {name: tensor.clone() for name, tensor in model.named_buffers()}
    model(random_clips(branch)).square().sum().backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert private(model, branch) <= reached
    assert not reached & set().union(*(private(model, t) for t in FRAMES if t != branch))
    shared = {name for name, _ in model.named_parameters() if "by_frames" not in name}
    assert shared <= reached
    moved = {name for name, tensor in model.named_buffers() if not torch.equal(tensor, before[name])}
    assert moved == {name for name in before if f"by_frames.{branch}." in name}


@every
@pytest.mark.parametrize("branch", FRAMES)
def test_an_extracted_branch_answers_alike_and_holds_nothing_private(architecture, branch):
    model = little(architecture)
    single = ffn.extract(model, branch)
    assert not any(isinstance(module, Switchable | ResidualAdapter) for module in single.modules())
    assert single.state_dict().keys() == little(architecture, (branch,)).state_dict().keys()
    for num_frames in (1, 4, 7, 16):
        clips = random_clips(num_frames)
        assert error(single(clips), model(clips, branch=branch)) < 2e-5


@every
def test_without_gains_a_branch_is_the_plain_network_to_the_last_bit(architecture):
    model = little(architecture)
    for module in model.modules():
        if isinstance(module, ResidualAdapter):
            for gain in module.by_frames.values():
                nn.init.zeros_(gain)
    for branch in FRAMES:
        plain = little(architecture, (branch,))
        own = model.state_dict()
        names = {}
        for name in own:
            bare = name.replace(f".by_frames.{branch}.", ".").replace(".conv.weight", ".weight")
            names[bare.replace(".conv.bias", ".bias")] = names[name] = name
        missing = [name for name in plain.state_dict() if name not in names]
        assert not missing
        plain.load_state_dict({name: own[names[name]] for name in plain.state_dict()})
        with torch.no_grad():
            for num_frames in (1, branch, 6):
                clips = random_clips(num_frames)
                assert torch.equal(model(clips, branch=branch), plain(clips))


@every
def test_a_wrong_branch_or_a_dropped_adapter_is_noticed(architecture, monkeypatch):
    model, clips = little(architecture), random_clips(8)
    want = ffn.extract(model, 8)(clips)
    assert error(model(clips), want) < 2e-5
    assert error(model(clips, branch=16), want) > 1e-2
    monkeypatch.setattr(ResidualAdapter, "at", lambda self, branch, num_frames: self.conv)
    assert error(little(architecture)(clips), want) > 1e-2


@every
def test_a_file_gives_the_same_network(architecture, tmp_path):
    model = little(architecture)
    ffn.save(model, tmp_path / "model.safetensors", {"input_size": 32, "resize": 36})
    opened = ffn.load(tmp_path / "model.safetensors")
    for num_frames in (3, 8):
        assert torch.equal(opened(random_clips(num_frames)), model(random_clips(num_frames)))


@every
def test_parts_can_be_left_out(architecture):
    assert not any(isinstance(m, ResidualAdapter) for m in little(architecture, alteration=False).modules())
    assert not any(isinstance(m, Switchable) for m in little(architecture, private_norms=False).modules())
    plain = little(architecture, (8,))
    assert not any(isinstance(m, Switchable | ResidualAdapter) for m in plain.modules())
    network = specialise(plain.network, 8, 8)
    assert not any(isinstance(module, Routed) for module in network.modules())


@every
@pytest.mark.campaign  # test_model.py has a short form
def test_it_compiles_whole(architecture):
    model = little(architecture)
    with torch.no_grad():
        wanted = {num_frames: model(random_clips(num_frames)) for num_frames in (4, 6)}
        torch.compiler.reset()  # its limit of recompilations is one for the whole process
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        for num_frames, want in wanted.items():
            assert error(compiled(random_clips(num_frames)), want) < 2e-5


@every
def test_training_drops_what_it_is_told_to(architecture):
    rate = {"drop_path_rate": 0.5} if architecture == "uniformer_small" else {"drop_rate": 0.5}
    model, clips = little(architecture, **rate), random_clips(8)
    assert torch.equal(model(clips), model(clips))
    model.train()
    assert not torch.equal(model(clips), model(clips))


@every
def test_an_unknown_argument_is_refused(architecture):
    with pytest.raises(TypeError, match="no_such"):
        ffn.create_model(architecture, no_such=1)


@pytest.mark.parametrize("architecture", ["slowfast_resnet50", "uniformer_small"])
def test_what_has_no_weights_says_where_there_are_some(architecture):
    with pytest.raises(ValueError, match=f"no weights of {architecture}; ffn.load_official opens"):
        ffn.create_model(architecture, pretrained=True)


def test_motion_excitation_by_hand():
    motion = MotionExcitation(32).eval()
    redraw(motion)
    clips = random_clips(5).repeat(1, 1, 11, 1, 1)[:, :, :32]
    with torch.no_grad():
        images = [motion.bn1(motion.conv1(clips[:, t])) for t in range(5)]
        motions = [motion.conv2(images[t + 1]) - images[t] for t in range(4)] + [torch.zeros_like(images[0])]
        gates = [motion.bn3(motion.conv3(d.mean((2, 3), keepdim=True))).sigmoid() for d in motions]
        want = torch.stack([clips[:, t] * (gates[t] + 0.5) for t in range(5)], dim=1)
        torch.testing.assert_close(motion(clips), want)


def test_a_temporal_convolution_is_a_convolution_along_time():
    conv = TemporalConvolution(3)
    clips = random_clips(5)
    assert torch.equal(conv(clips), clips)
    shifted = TemporalConvolution(4).start_as_shift()(clips[:, :, [0, 1, 2, 0]])
    assert torch.equal(shifted[:, :-1, :2], clips[:, 1:, :2])
    assert torch.equal(shifted[:, 1:, 2:], clips[:, :-1, [2, 0]])
    assert not shifted[:, -1, :2].any()
    assert not shifted[:, 0, 2:].any()
    redraw(conv)
    series = clips.permute(0, 3, 4, 2, 1).flatten(0, 2)  # one Conv1d input per pixel
    want = nn.functional.conv1d(series, conv.weight, padding=1, groups=3)
    torch.testing.assert_close(conv(clips), want.unflatten(0, (2, 32, 32)).permute(0, 4, 3, 1, 2))


def test_tea_takes_timm_s_weights_and_is_its_network_where_nothing_moves(tmp_path):
    backbone = timm.create_model("res2net50_26w_4s", num_classes=7, **SIZES["tea_resnet50"])
    redraw(backbone)
    torch.save(backbone.state_dict(), tmp_path / "weights.pth")
    source = {"file": str(tmp_path / "weights.pth"), "num_classes": 7}
    kwargs = {**SIZES["tea_resnet50"], "pretrained": True, "pretrained_cfg_overlay": source}
    model = ffn.create_model("tea_resnet50", FRAMES, num_classes=7, **kwargs).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, MotionExcitation):
                for norm in module.bn3.by_frames.values():
                    norm.weight.zero_()  # a gate of 1/2 + 1/2
            elif isinstance(module, TemporalConvolution):
                module.weight.zero_()[:, :, 1] = 1
            elif isinstance(module, ResidualAdapter):
                for gain in module.by_frames.values():
                    assert 0 < gain.abs().max() < 1e-2
                    gain.zero_()
        for branch in FRAMES:
            clips = random_clips(5)
            want = backbone.eval()(clips.flatten(0, 1)).unflatten(0, (2, 5)).mean(1)
            assert error(model(clips, branch=branch), want) < 2e-5


@pytest.mark.parametrize(
    ("num_frames", "want"),
    [
        (4, [0]),
        (8, [0, 7]),
        (16, [0, 5, 10, 15]),
        (32, [0, 4, 8, 13, 17, 22, 26, 31]),
        (64, [0, 4, 8, 12, 16, 21, 25, 29, 33, 37, 42, 46, 50, 54, 58, 63]),
        (24, [0, 4, 9, 13, 18, 23]),
        (48, [0, 4, 8, 12, 17, 21, 25, 29, 34, 38, 42, 47]),
    ],
)
def test_the_slow_frames_are_the_authors_(num_frames, want):
    assert slow_indices(num_frames) == want


@pytest.mark.parametrize(("num_frames", "padded"), [(1, 4), (3, 4), (4, 4), (5, 8), (9, 12), (16, 16)])
def test_slowfast_repeats_the_last_frame(num_frames, padded):
    model, clips = little("slowfast_resnet50"), random_clips(num_frames)
    by_hand = torch.cat([clips, *[clips[:, -1:]] * (padded - num_frames)], dim=1)
    assert torch.equal(repeat_last(clips), by_hand)
    assert torch.equal(model(clips, branch=8), model(by_hand, branch=8))
    assert ffn.cost(model, num_frames, 32) == ffn.cost(model, padded, 32)


@pytest.mark.parametrize("num_frames", [1, 2, 3, 4])
def test_a_short_clip_has_one_slow_frame_its_first(num_frames):
    model = little("slowfast_resnet50")
    seen = []
    hook = model.at(4, num_frames).slow[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    clips = random_clips(num_frames)
    model(clips)
    hook.remove()
    assert torch.equal(seen[0], clips[:, :1].transpose(1, 2))


def test_slowfast_begins_as_skips_and_keeps_its_gains_small():
    network = ffn.create_model("slowfast_resnet50", FRAMES, num_classes=7, **SIZES["slowfast_resnet50"]).network
    assert isinstance(network, SlowFast)
    for name, parameter in network.named_parameters():
        if "norm_c" in name:
            assert not parameter.any()
    gains = torch.cat([g for m in network.modules() if isinstance(m, ResidualAdapter) for g in m.by_frames.values()])
    assert 5e-4 < gains.std() < 2e-3
    with pytest.raises(ValueError, match="whose width cannot be 12"):
        ffn.create_model("slowfast_resnet50", FRAMES, width=12)


def test_uniformer_drops_more_paths_the_deeper():
    network = ffn.create_model("uniformer_small", FRAMES, drop_path_rate=0.2).network
    rates = [block.drop_path.drop_prob for stage in network.stages for block in list(stage)[1:]]
    assert rates == pytest.approx([0.2 * i / 17 for i in range(18)])


def test_uniformer_alters_the_skip_too():
    torch.manual_seed(0)
    model = little("uniformer_small")
    block = model.network.stages[0][1]
    altered, gain = block.pos_embed.at(8, 8), block.pos_embed.by_frames["8"]
    x = torch.randn(2, 16, 4, 8, 8)
    with torch.no_grad():
        scaled = x * (1 + gain).view(-1, 1, 1, 1)
        torch.testing.assert_close(x + altered(x), scaled + block.pos_embed.conv(scaled))
