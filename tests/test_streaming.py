"""A stream predicts what the model says of the frames that its definition names, in constant memory."""

import numpy as np
import pytest
import torch
from conftest import counting_frames, error, random_clips, redraw, small

import ffn
from ffn.branches import fill
from ffn.data import clips_for
from ffn.online import OneByOne, causal
from ffn.surgery import calls

TIMM = {
    "resnet18": {},
    "vit_tiny_patch16_224": {"img_size": 32},
    "mobilenetv3_small_050": {},
    "convnext_atto": {},
}
AHEAD = ("tea_resnet50", "slowfast_resnet50", "uniformer_small")


def model_of(architecture: str = "resnet18", frames=(2, 4), **kwargs):
    if architecture == "resnet18":
        return small(frames, **kwargs)
    model = ffn.create_model(architecture, frames, num_classes=7, **TIMM[architecture], **kwargs)
    redraw(model)
    return model.eval()


def pushed(model, frames, **options) -> ffn.Stream:
    stream = ffn.Stream(model, **options)
    for frame in frames:
        stream.push(frame)
    return stream


@torch.inference_mode()
@pytest.mark.parametrize("options", [{}, {"capacity": 5}, {"window": 3}, {"window": 9}], ids=str)
@pytest.mark.parametrize("frames", [(2, 4), (4,)], ids=str)
def test_at_any_moment_it_predicts_what_the_model_says_of_the_frames_named(frames, options):
    model, (video,) = model_of(frames=frames), random_clips(30, batch=1)
    stream = ffn.Stream(model, **options)
    for n, frame in enumerate(video, start=1):
        stream.push(frame)
        clip = video[list(stream.indices)].unsqueeze(0)
        assert clip.shape[1] <= 4
        assert max(stream.indices) < n == stream.pushed
        assert torch.equal(stream.predict(), model(clip)[0])


@pytest.mark.parametrize("n", [1, 2, 3, 7, 12, 36, 108])
def test_a_stream_of_default_capacity_meets_the_segment_centres_of_the_whole(n):
    stream = pushed(model_of(), random_clips(1, batch=n)[:, 0])
    np.testing.assert_array_equal(stream.indices, ffn.segment_indices(n, min(n, 4)))


@pytest.mark.parametrize("n", [13, 40, 100, 1000])
def test_in_between_no_frame_is_a_stride_away_from_the_centre_of_its_segment(n):
    stream = pushed(model_of(), torch.zeros(n, 3, 32, 32))
    stride = stream._memory.stride
    assert np.abs(np.array(stream.indices) - ffn.segment_indices(n, 4)).max() < stride <= n / 4


def test_a_window_sees_its_last_frames_alone():
    video = random_clips(1, batch=20)[:, 0]
    stream = pushed(model_of(), video, window=8)
    np.testing.assert_array_equal(stream.indices, 12 + ffn.segment_indices(8, 4))


@torch.inference_mode()
def test_decoded_frames_are_preprocessed_as_clips_are(folder, checkpoint):
    model = ffn.load(checkpoint())
    clips = clips_for(model.card, folder, (8,))
    video = ffn.data.open_video(clips.path(0))
    stream = pushed(model, video.frames(range(len(video))))
    clip = clips.collate([clips[0]]).stream(8)
    np.testing.assert_array_equal(stream.indices, ffn.segment_indices(12, 8))
    assert error(stream.predict(), model(clip)[0]) < 1e-5


@pytest.mark.parametrize(("options", "most"), [({}, 12), ({"capacity": 5}, 5), ({"window": 7}, 7)], ids=str)
def test_thousands_of_frames_take_constant_memory(options, most):
    stream, kept = ffn.Stream(model_of(), **options), []
    for _ in range(5000):
        stream.push(torch.zeros(3, 32, 32))
        kept.append(len(stream._memory.kept))
    assert max(kept) == most


@pytest.mark.parametrize("window", [None, 7])
def test_a_causal_stream_keeps_what_its_blocks_pass_on_and_the_logits_of_its_window(window):
    stream, numbers = ffn.Stream(model_of(), causal=True, window=window), []
    for _ in range(60):
        stream.push(torch.zeros(3, 16, 16))
        passed = [module.last for module in stream._memory.network.modules() if isinstance(module, OneByOne)]
        numbers.append(sum(tensor.numel() for tensor in [*passed, *stream._memory.rows]))
    assert max(numbers) == numbers[8]
    assert stream.indices == range(0 if window is None else 53, 60)


def test_a_prediction_is_computed_again_only_after_a_frame_that_is_kept():
    model, passes = model_of(), []
    model.register_forward_hook(lambda *_: passes.append(1))
    stream = pushed(model, random_clips(13, batch=1)[0], capacity=12)  # from now on every third is kept, the 14th first
    for computed in (1, 2, 2, 2, 3):
        stream.predict()
        assert len(passes) == computed
        stream.push(torch.zeros(3, 32, 32))


@torch.inference_mode()
@pytest.mark.parametrize("architecture", TIMM)
@pytest.mark.parametrize("branch", [2, 4])
def test_causal_frames_one_by_one_are_the_causal_model_s_clip(architecture, branch):
    model, (video,) = model_of(architecture), random_clips(6, batch=1)
    stream = ffn.Stream(model, causal=True, branch=branch)
    for n, frame in enumerate(video, start=1):
        stream.push(frame)
        want = causal(model)(video[None, :n], branch=branch)[0]
        assert list(stream.indices) == list(range(n))
        assert error(stream.predict(), want) < 1e-4
    assert error(stream.predict(), model(video[None], branch=branch)[0]) > 1e-3  # another function than the model


@torch.inference_mode()
def test_a_causal_window_is_the_mean_of_its_frames_logits():
    model, (video,) = model_of(), random_clips(9, batch=1)
    stream = pushed(model, video, causal=True, window=4)
    images = causal(model).at(4, 9).backbone(video)
    assert error(stream.predict(), images[-4:].mean(0)) < 1e-4
    assert list(stream.indices) == [5, 6, 7, 8]


@torch.inference_mode()
@pytest.mark.parametrize("architecture", TIMM)
def test_in_the_causal_model_frames_depend_on_no_later_one(architecture):
    model, (video,) = causal(model_of(architecture)), random_clips(5, batch=1)
    changed = video.clone()
    changed[3:] = 0
    one, other = (model.at(4, 5).backbone(clip) for clip in (video, changed))
    assert error(one[:3], other[:3]) < 1e-5
    assert error(one[3:], other[3:]) > 1e-3


@torch.inference_mode()
def test_the_causal_view_leaves_the_model_and_other_clips_alone():
    model, clips = model_of(), random_clips(4, batch=2)
    before = model(clips)
    view = causal(model)
    after = view(clips)
    assert torch.equal(model(clips), before)
    assert error(causal(view)(clips), after) == 0
    assert view.state_dict().keys() == model.state_dict().keys()
    assert error(view(clips[1:]), after[1:]) < 1e-5


@torch.inference_mode()
def test_a_network_that_fills_clips_up_can_be_causal():
    model, clips = model_of(), random_clips(1)
    assert torch.equal(causal(fill(model, 1, "synthesise"))(clips), causal(model)(clips))


def test_a_causal_frame_costs_one_frame():
    model = model_of()
    stream = pushed(model, random_clips(3, batch=1)[0], causal=True)
    convolutions = [call for call in calls(stream._memory.network, torch.empty(1, 3, 32, 32)) if call.shape[0] == 1]
    assert ffn.cost(causal(model), 4, 32).macs == ffn.cost(model, 4, 32).macs
    assert len(convolutions) == len(calls(model.at(4, 1).backbone, torch.empty(1, 3, 32, 32)))


@pytest.mark.parametrize("architecture", AHEAD)
def test_networks_that_look_ahead_cannot_be_causal_but_can_stream(architecture):
    with torch.device("meta"):
        model = ffn.create_model(architecture, (4, 8), num_classes=3).eval()
    with pytest.raises(ValueError, match=f"{architecture} meet in layers that look ahead"):
        ffn.Stream(model, causal=True)
    with pytest.raises(ValueError, match="cannot be causal"):
        causal(model)
    stream = pushed(model, torch.zeros(9, 3, 32, 32))
    assert len(stream.indices) == 8


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"window": 0}, "the window is a number of frames, at least 1; got 0"),
        ({"capacity": -1}, "the capacity is a number of frames"),
        ({"window": 8, "capacity": 8}, "leave it out with a window"),
        ({"causal": True, "capacity": 8}, "leave it out with a window or causal"),
        ({"branch": 4}, "for a causal stream only"),
        ({"causal": True, "branch": 3}, "there is no branch 3"),
    ],
)
def test_options_that_cannot_be_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        ffn.Stream(model_of(), **options)


def test_views_of_frames_that_nobody_may_write_to_are_taken():
    (frame,) = np.random.default_rng(0).integers(0, 255, (1, 48, 48, 3), dtype=np.uint8)
    frame.flags.writeable = False
    backwards, copied = (
        pushed(model_of(), [image]).predict() for image in (frame[:, :, ::-1], frame[:, :, ::-1].copy())
    )
    assert torch.equal(backwards, copied)


def test_frames_that_cannot_be_are_refused():
    stream = ffn.Stream(model_of())
    assert list(stream.indices) == []
    with pytest.raises(ValueError, match="push a frame first"):
        stream.predict()
    for frame in (torch.zeros(32, 32), torch.zeros(1, 3, 8, 8), torch.zeros(8, 8, 3), counting_frames(1)):
        with pytest.raises(ValueError, match="expected a frame as uint8"):
            stream.push(frame)
    stream.push(torch.zeros(3, 32, 32))
    with pytest.raises(ValueError, match=r"before were \(3, 32, 32\), this one is \(3, 32, 40\)"):
        stream.push(torch.zeros(3, 32, 40))
    assert stream.pushed == 1
    stream.model.train()
    with pytest.raises(ValueError, match="training mode"):
        stream.push(torch.zeros(3, 32, 32))
