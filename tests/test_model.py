"""The properties that make a network frame-flexible, each shown to fail on a mutant."""

import copy
import pickle
import threading

import pytest
import timm
import torch
from conftest import SMALL, error, private, random_clips, small
from torch import nn
from torch.utils.checkpoint import checkpoint

import ffn
from ffn import layers
from ffn.costs import parameters
from ffn.layers import ResidualAdapter, Switchable
from ffn.model import start_from

FRAMES = (4, 8, 16)


def neutral(model: ffn.FrameFlexible, plain: nn.Module, branch: int, num_frames: int) -> float:
    """Error of `model` against the plain image network that its branch is, gains folded by hand."""
    clips = random_clips(num_frames)
    with torch.no_grad():
        want = plain(clips.flatten(0, 1)).unflatten(0, clips.shape[:2]).mean(1)
        return error(model(clips, branch=branch), want)


def plain_network(model: ffn.FrameFlexible, branch: int) -> nn.Module:
    """timm's own network with the weights that `branch` has, by name; gains are applied to block inputs here."""
    plain = timm.create_model("resnet18", **SMALL)
    own = model.state_dict()
    prefix = "network.backbone."
    state = {}
    for name in plain.state_dict():
        parent, leaf = name.rpartition(".")[::2]
        candidates = [f"{parent}.by_frames.{branch}.{leaf}", f"{parent}.conv.{leaf}", name]
        state[name] = next(own[prefix + c] for c in candidates if prefix + c in own)
        gain = own.get(f"{prefix}{parent}.by_frames.{branch}")
        if gain is not None:
            state[name] = state[name] * (1 + gain).view(1, -1, 1, 1)
    plain.load_state_dict(state)
    return plain.eval()


def holds_its_branches(model: ffn.FrameFlexible) -> bool:
    return all(neutral(model, plain_network(model, b), b, t) < 2e-5 for b in FRAMES for t in (1, 4, 6, 16))


def test_without_shift_every_branch_is_timm_s_network():
    assert holds_its_branches(small(FRAMES, shift=False))


def test_a_wrong_branch_or_a_dropped_adapter_is_noticed(monkeypatch):
    with monkeypatch.context() as mutant:
        mutant.setattr(Switchable, "at", lambda self, branch, num_frames: self.by_frames["8"])
        assert not holds_its_branches(small(FRAMES, shift=False))
    with monkeypatch.context() as mutant:
        mutant.setattr(ResidualAdapter, "at", lambda self, branch, num_frames: self.conv)
        assert not holds_its_branches(small(FRAMES, shift=False))
    assert holds_its_branches(small(FRAMES, shift=False))


def leak(model: ffn.FrameFlexible, num_frames: int) -> float:
    """How much the answer to clip 0 changes when clip 1 does."""
    clips = random_clips(num_frames, batch=3)
    other = clips.clone()
    other[1] += 1
    with torch.no_grad():
        return float((model(clips)[0] - model(other)[0]).abs().max())


@pytest.mark.parametrize("num_frames", [1, 2, 4, 7, 8, 16])
def test_no_clip_sees_another(num_frames):
    assert leak(small(FRAMES), num_frames) == 0


def test_a_shift_across_clips_is_noticed(monkeypatch):
    def leaking(self, x):
        fold = x.shape[1] // 8
        ahead, behind = x.roll(-1, 0)[:, :fold], x.roll(1, 0)[:, fold : 2 * fold]
        return self.net(torch.cat([ahead, behind, x[:, 2 * fold :]], 1))

    monkeypatch.setattr(layers.Shifted, "forward", leaking)
    assert leak(small(FRAMES), 4) > 1e-3


def test_the_order_of_frames_matters_only_with_the_shift():
    clips = random_clips(8)
    assert error(small(FRAMES)(clips.flip(1)), small(FRAMES)(clips)) > 1e-2
    without = small(FRAMES, shift=False)
    assert error(without(clips.flip(1)), without(clips)) < 1e-5


@pytest.mark.parametrize("num_frames", [1, 3, 4, 6, 8, 12, 16, 24])
def test_any_number_of_frames_is_answered_by_the_nearest_branch(num_frames):
    model, clips = small(FRAMES), random_clips(num_frames)
    want = model(clips, branch=ffn.nearest(num_frames, FRAMES))
    assert torch.equal(model(clips), want)
    for branch in set(FRAMES) - {ffn.nearest(num_frames, FRAMES)}:
        assert error(model(clips, branch=branch), want) > 1e-2


def test_training_takes_trained_counts_only_unless_told():
    model = small(FRAMES).train()
    with pytest.raises(ValueError, match="cannot train on clips of 6 frames"):
        model(random_clips(6))
    assert model(random_clips(6), branch=8).shape == (2, 7)
    with pytest.raises(ValueError, match="no branch 6; the branches are"):
        model(random_clips(8), branch=6)


def test_a_single_clip_without_batch_is_refused():
    with pytest.raises(ValueError, match=r"clip\.unsqueeze\(0\)"):
        small()(random_clips(4)[0])


@pytest.mark.parametrize("branch", FRAMES)
def test_only_the_active_branch_gets_gradients_and_statistics(branch):
    model = small(FRAMES).train()
    before = copy.deepcopy(dict(model.named_buffers()))
    model(random_clips(branch)).square().sum().backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    others = set().union(*(private(model, t) for t in FRAMES if t != branch))
    assert private(model, branch) <= reached
    assert not reached & others
    moved = {name for name, b in model.named_buffers() if not torch.equal(b, before[name])}
    assert moved
    assert all(f"by_frames.{branch}." in name for name in moved)


@pytest.mark.parametrize("frames", FRAMES)
def test_an_extracted_branch_answers_alike_and_holds_nothing_private(frames):
    model = small(FRAMES)
    single = ffn.extract(model, frames=frames)
    for num_frames in (1, 4, 8, 16, 20):
        clips = random_clips(num_frames)
        assert error(single(clips), model(clips, branch=frames)) < 2e-5
    assert single.frames == (frames,)
    assert not any(isinstance(m, Switchable | ResidualAdapter) for m in single.modules())
    assert parameters(single) == parameters(timm.create_model("resnet18", **SMALL))


def test_extracting_shares_no_memory_and_keeps_the_mode():
    model = small(FRAMES)
    single = ffn.extract(model, 8)
    before = model(random_clips(8))
    with torch.no_grad():
        for tensor in [*single.parameters(), *single.buffers()]:
            tensor.zero_()
    assert torch.equal(model(random_clips(8)), before)
    assert not single.training
    with pytest.raises(ValueError, match="no branch 5"):
        ffn.extract(model, 5)


def test_a_network_starts_from_another_s_answers_alteration_and_all():
    source, same, more, plain = (small(f, seed) for seed, f in enumerate((FRAMES, FRAMES, (4, 7, 16), (8,))))
    start_from(same, source)
    start_from(more, source)
    with torch.no_grad():
        for num_frames in FRAMES:
            clips = random_clips(num_frames)
            assert torch.equal(same(clips), source(clips))
        clips = random_clips(7)
        assert torch.equal(more(clips), source(clips, branch=8))
    start_from(same, plain)  # has no alteration
    gains, kept = ([m.by_frames["4"] for m in n.modules() if isinstance(m, ResidualAdapter)] for n in (source, same))
    assert gains
    assert all(map(torch.equal, gains, kept))


def test_one_frame_count_is_an_ordinary_tsm():
    model = small((16,))
    assert parameters(model) == parameters(timm.create_model("resnet18", **SMALL))
    assert not any(isinstance(m, Switchable | ResidualAdapter) for m in model.modules())
    assert model(random_clips(4)).shape == (2, 7)


@pytest.mark.parametrize(
    ("architecture", "classes", "want"),
    [("resnet50", 1000, 25_702_632), ("resnet50", 174, 24_010_158), ("resnet18", 174, 11_289_390)],
)
def test_parameter_counts_are_the_paper_s(architecture, classes, want):
    assert parameters(ffn.create_model(architecture, FRAMES, num_classes=classes)) == want


def test_parts_can_be_left_out():
    for part, kind in (("private_norms", Switchable), ("alteration", ResidualAdapter), ("shift", layers.TemporalShift)):
        model = small(FRAMES, **{part: False})
        assert not any(isinstance(m, kind) for m in model.modules())
        assert model(random_clips(6)).shape == (2, 7)


def test_threads_that_share_a_model_get_their_own_frame_counts():
    model = small(FRAMES)
    clips = {t: random_clips(t) for t in (2, 4, 6, 8, 12, 16)}
    want = {t: model(clips[t]) for t in clips}
    model.eval()  # forgets the specialised networks, so that the threads race to make them
    wrong = []

    def work(order):
        with torch.no_grad():
            wrong.extend(t for t in order * 5 if not torch.equal(model(clips[t]), want[t]))

    threads = [threading.Thread(target=work, args=(sorted(clips, key=lambda t: t * k % 17),)) for k in (1, 5, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def gradients(model, run):
    model.zero_grad()
    run().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_activation_checkpoints_recompute_in_the_right_branch():
    model = small(FRAMES)
    a, b = random_clips(4), random_clips(16)

    def joint(call):
        first, second = call(a), call(b)
        return first.square().sum() + second.square().sum()

    want = gradients(model, lambda: joint(model))
    got = gradients(model, lambda: joint(lambda x: checkpoint(model, x, use_reentrant=False)))
    assert want.keys() == got.keys()
    for name in want:
        torch.testing.assert_close(got[name], want[name])


def test_the_model_compiles_whole():
    model = small(FRAMES)
    wanted = {t: model(random_clips(t)) for t in (4, 8, 6)}
    torch.compiler.reset()  # its limit of recompilations is one for the whole process
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for t, want in wanted.items():
        assert torch.equal(compiled(random_clips(t)), want)


def test_the_model_copies_and_pickles():
    model = small(FRAMES)
    want = model(random_clips(6))
    assert torch.equal(copy.deepcopy(model)(random_clips(6)), want)
    assert torch.equal(pickle.loads(pickle.dumps(model))(random_clips(6)), want)


def test_dropout_follows_the_mode():
    model = small(FRAMES, drop_rate=0.5)
    clips = random_clips(8)
    assert torch.equal(model(clips), model(clips))
    model.train()
    assert not torch.equal(model(clips), model(clips))
    model.eval()
    assert torch.equal(model(clips), model(clips))


@pytest.mark.parametrize(
    ("name", "message"), [("resnet5000", "did you mean resnet"), ("zzz", "there is no architecture 'zzz'")]
)
def test_an_unknown_architecture_is_named(name, message):
    with pytest.raises(ValueError, match=message):
        ffn.create_model(name)


@pytest.mark.parametrize("architecture", ["resnet34", "resnet50", "resnet10t", "seresnet50", "resnext50_32x4d"])
def test_the_kin_of_resnet(architecture):
    model = small((2, 4), architecture=architecture)
    for t in (2, 3, 4):
        clips = random_clips(t)
        assert error(ffn.extract(model, ffn.nearest(t, (2, 4)))(clips), model(clips)) < 2e-5
    assert leak(model, 2) == 0
