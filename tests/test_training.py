"""The training loop: it learns, it repeats itself, and it says what goes wrong."""

import random
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import SMALL, write_video

import ffn
from ffn import Preprocessing, Training, train
from ffn.losses import METHODS
from ffn.training import Trainer
from ffn.transforms import Augmentation

TINY = Training(epochs=2, batch_size=4, learning_rate=1e-2)


def network(frames=(2, 4), seed=0):
    torch.manual_seed(seed)
    return ffn.create_model("resnet18", frames, **{**SMALL, "channels": (8, 8, 8, 8), "num_classes": 2})


@pytest.fixture(scope="session")
def brightness(tmp_path_factory):
    """Twelve videos: dark ones and bright ones."""
    folder = tmp_path_factory.mktemp("brightness")
    for label, level in (("dark", 60), ("light", 200)):
        for i in range(6):
            noise = np.random.default_rng(i).integers(-40, 40, (8, 32, 32, 3))
            write_video(folder / label / f"{i}.mp4", (level + noise).astype(np.uint8))
    return folder


def clips_of(folder, frames=(2, 4), **kwargs):
    options = {"preprocessing": Preprocessing(resize=32, crop=24), "seed": 0, "cache": True, **kwargs}
    return ffn.Clips(folder, frames=frames, **options)


def weights(model):
    return torch.cat([tensor.double().flatten() for tensor in model.state_dict().values()])


@pytest.mark.parametrize("method", ["ffn", "ffn-labels"])
def test_an_easy_task_is_learnt_at_every_frame_count(brightness, method):
    model = network()
    *_, last = train(model, clips_of(brightness), Training(method, epochs=30, batch_size=12, learning_rate=1e-2))
    assert last.accuracies[4] > 0.9
    results = ffn.evaluate(model.eval(), clips_of(brightness, (2, 3, 4), seed=None))
    assert [result.correct for result in results] == [12, 12, 12]


def test_every_epoch_is_a_row(brightness):
    done = []
    rows = list(train(network(), clips_of(brightness), TINY, progress=lambda *call: done.append(call)))
    assert [row.epoch for row in rows] == [1, 2]
    assert all(row.losses.keys() == row.accuracies.keys() == {2, 4} for row in rows)
    assert all(row.clips == 12 and row.unreadable == () for row in rows)
    assert done == [(i, 6) for i in range(1, 7)]
    assert rows[1].learning_rate < rows[0].learning_rate < 1e-2


@pytest.mark.parametrize("stopped", [False, True])
def test_a_row_tells_the_learning_rate_of_its_last_step(brightness, stopped):
    training = Training(epochs=3, batch_size=4, learning_rate=1e-2, schedule="step", warmup=0.0, milestones=(1, 2))
    model, clips = network(), clips_of(brightness)

    def stop(done, total):
        if stopped and done == 3:  # of 9, the last of an epoch
            raise KeyboardInterrupt

    trainer = Trainer(model, clips, training, progress=stop)
    with suppress(KeyboardInterrupt):
        rows = list(trainer)
    if stopped:
        again = Trainer(model, clips, training)
        again.load_state_dict(trainer.state_dict())
        rows = list(again)
    assert [row.learning_rate for row in rows] == pytest.approx([1e-2, 1e-3, 1e-4])


AUGMENTED = Augmentation("multiscale", flip="on", randaugment="rand-m7-n4-mstd0.5-inc1", erasing=0.5)
MIXED = {"label_smoothing": 0.1, "mixup": 0.8, "cutmix": 1.0}


def trained(folder, seed=0, method="ffn", augmentation=AUGMENTED, **settings):
    """The weights and the rows of a short training."""
    model = network()
    training = Training(method, epochs=2, batch_size=4, learning_rate=1e-2, seed=seed, **settings)
    rows = list(train(model, clips_of(folder, seed=seed, augmentation=augmentation), training))
    return weights(model), rows


@pytest.mark.parametrize("settings", [{}, MIXED])
def test_the_same_seed_gives_the_same_weights(brightness, settings):
    one, again, other = (trained(brightness, seed, **settings) for seed in (0, 0, 1))
    assert torch.equal(one[0], again[0])
    assert one[1] == again[1]
    assert not torch.equal(one[0], other[0])


@pytest.mark.parametrize(
    ("values", "beside"),
    [
        ({"distillation": 2.0}, [{"method": "ffn"}, {"method": "labels"}]),
        ({"share": 0.9}, [{"method": "proportional"}, {"method": "ffn"}]),
        ({"momentum": 0.5, "nesterov": True}, [{"optimiser": "sgd"}, {"optimiser": "adamw"}]),
        ({"warmup_rate": 0.5}, [{"schedule": "cosine"}, {"schedule": "onecycle"}]),
        ({"final_rate": 0.5}, [{"schedule": "cosine"}, {"schedule": "step"}]),
        ({"milestones": (1.0,), "decay": 0.5}, [{"schedule": "step"}, {"schedule": "cosine"}]),
    ],
)
def test_what_is_called_idle_changes_nothing_and_all_else_does(brightness, values, beside):
    plain, idle = [], []
    for settings in beside:
        one, other = trained(brightness, **settings)[0], trained(brightness, **settings, **values)[0]
        plain.append(torch.equal(one, other))
        idle.append(len(list(Training(**settings, **values).idle(values))))
    assert plain == [False, True]
    assert idle == [0, len(values)]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_repeats_itself_and_has_losses_that_are_numbers(brightness, method):
    one, again = (trained(brightness, method=method, **MIXED) for _ in range(2))
    assert torch.equal(one[0], again[0])
    assert all(np.isfinite(list(row.losses.values())).all() for row in one[1])


def test_training_knows_no_global_state_and_leaves_it(brightness):
    results = []
    for state in (1, 2):
        model, clips = network(), clips_of(brightness, augmentation=AUGMENTED)
        random.seed(state)
        np.random.seed(state)
        found = random.getstate(), np.random.get_state()[1].tobytes()
        list(train(model, clips, Training(epochs=1, batch_size=4, **MIXED)))
        assert (random.getstate(), np.random.get_state()[1].tobytes()) == found
        results.append(weights(model))
    assert torch.equal(*results)


def test_augmentation_and_mixing_change_what_is_learnt(brightness):
    plain, augmented, mixed = (
        trained(brightness, augmentation=augmentation, **settings)[0]
        for augmentation, settings in ((Augmentation(), {}), (AUGMENTED, {}), (Augmentation(), MIXED))
    )
    assert not torch.equal(plain, augmented)
    assert not torch.equal(plain, mixed)


def test_mixing_reaches_the_method_in_all_streams(brightness):
    """Dark and light clips that are mixed have one brightness at every frame count, and shares as labels."""
    trainer = Trainer(network(), clips_of(brightness), Training(epochs=1, batch_size=12, mixup=1.0))
    seen = {}

    def method(model, streams, labels, backward, rng):
        seen.update(labels=labels, **{f"{t}": clips.mean((1, 2, 3, 4)) for t, clips in streams.items()})
        return METHODS["ffn"](trainer.training)(model, streams, labels, backward, rng)

    trainer.method = method
    next(iter(trainer))
    torch.testing.assert_close(seen["2"], seen["4"], atol=0.05, rtol=0)
    assert seen["labels"].shape == (12, 2)
    torch.testing.assert_close(seen["labels"].sum(1), torch.ones(12))
    assert np.corrcoef(seen["4"], seen["labels"][:, 1])[0, 1] > 0.99


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_gradients_are_clipped_in_every_precision(brightness, precision):
    """A step of plain SGD at rate 1 moves the weights by the gradient."""
    how = {"optimiser": "sgd", "momentum": 0.0, "weight_decay": 0.0, "schedule": "step", "warmup": 0.0}
    moved = {}
    for limit in (0.0, 1e-3):
        training = Training(epochs=1, batch_size=12, learning_rate=1.0, precision=precision, clip_gradient=limit, **how)
        model = network()
        before = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
        trainer = Trainer(model, clips_of(brightness), training)
        trainer.scaler = torch.amp.GradScaler("cpu", init_scale=16.0, enabled=precision == "float16")
        next(iter(trainer))
        moved[limit] = (torch.nn.utils.parameters_to_vector(model.parameters()) - before).norm().item()
    assert moved[0.0] > 0.1
    assert moved[1e-3] == pytest.approx(1e-3, rel=1e-2)


def test_a_first_step_whose_gradients_overflow_is_skipped_in_silence(brightness):
    model = network()
    before = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    trainer = Trainer(model, clips_of(brightness), Training(epochs=1, batch_size=12, precision="float16"))
    trainer.precision, trainer.scaler = torch.float16, torch.amp.GradScaler("cpu", init_scale=2.0**40)
    assert np.isfinite(list(next(iter(trainer)).losses.values())).all()
    assert torch.equal(torch.nn.utils.parameters_to_vector(model.parameters()), before)
    assert trainer.scaler.get_scale() == 2.0**39


@pytest.mark.parametrize("has", [True, False])
def test_a_cpu_without_bfloat16_trains_in_single_precision(brightness, monkeypatch, has):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has)
    trainer = Trainer(network(), clips_of(brightness), Training(precision="bfloat16"))
    assert trainer.precision == (torch.bfloat16 if has else None)


def test_a_cpu_trains_in_single_precision_where_float16_is_asked_for(brightness):
    assert Trainer(network(), clips_of(brightness), Training(precision="float16")).precision is None


def test_training_may_be_left_early(brightness):
    model = network()
    run = train(model, clips_of(brightness), Training(epochs=1000, batch_size=4))
    assert next(run).epoch == 1
    run.close()
    assert next(run, None) is None
    assert torch.isfinite(weights(model)).all()


@pytest.mark.parametrize("wrong", [{"frames": (2, 8)}, {"seed": None}])
def test_clips_must_fit_the_model(brightness, wrong):
    with pytest.raises(ValueError, match=r"sampled with a seed at \(2, 4\), got"):
        next(train(network(), clips_of(brightness, **wrong), TINY))


def test_one_video_is_too_few_for_batch_norms_however_large_the_batches(brightness, tmp_path):
    (tmp_path / "dark").mkdir()
    (tmp_path / "dark" / "0.mp4").write_bytes((brightness / "dark" / "0.mp4").read_bytes())
    with pytest.raises(ValueError, match=r"^there are too few videos: 1, where a step takes at least 2; add some$"):
        next(train(network(), clips_of(tmp_path), TINY))


def test_streams_that_share_a_step_out_need_enough_videos_each(brightness):
    split = replace(TINY, method="ffn-split", batch_size=3)
    with pytest.raises(ValueError, match=r"^a step of 3 videos .* fewer than the 4 that ffn-split needs; take larger"):
        next(train(network((1, 2, 4)), clips_of(brightness, (1, 2, 4)), split))
    row = next(train(network((1, 2, 4)), clips_of(brightness, (1, 2, 4)), replace(split, batch_size=4)))
    assert row.losses.keys() == {1, 2, 4}


def test_clips_may_hold_more_streams_than_the_model(brightness):
    assert next(train(network((4,)), clips_of(brightness, (2, 4)), TINY)).losses.keys() == {4}


def test_a_loss_that_is_no_number_stops_the_training(brightness):
    model = network()
    torch.nn.init.constant_(model.network.backbone.fc.bias, float("nan"))
    before = weights(model.eval())
    with pytest.raises(FloatingPointError, match=r"nan.*: lower the learning rate of 0\.01"):
        next(train(model, clips_of(brightness), TINY))
    assert torch.equal(model.network.backbone.fc.weight.flatten(), network().network.backbone.fc.weight.flatten())
    assert before.isnan().any()


def test_weights_that_the_last_step_spoilt_are_no_epoch(brightness):
    spoils = Training(epochs=1, batch_size=12, learning_rate=1e38, optimiser="sgd", schedule="step", warmup=0.0)
    model = network()
    model.network.backbone.fc.weight.data *= 1e2
    with pytest.raises(FloatingPointError, match=r"is no longer a number after the last step of epoch 1: lower"):
        next(train(model, clips_of(brightness), spoils))


def test_running_statistics_that_the_last_step_spoilt_are_no_epoch(brightness):
    spoils = Training(epochs=1, batch_size=12, learning_rate=1e-9, optimiser="sgd", schedule="step", warmup=0.0)
    model = network()
    model.network.backbone.conv1.weight.data *= 1e21  # its outputs are finite, their variance is not
    with pytest.raises(FloatingPointError, match=r"running_var is no longer a number after the last step of epoch 1"):
        next(train(model, clips_of(brightness), spoils))


def test_videos_that_cannot_be_read_are_named(brightness, tmp_path):
    for path in brightness.glob("*/*.mp4"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / "dark" / "0.mp4"
    broken.write_bytes(b"")
    row = next(train(network(), clips_of(tmp_path), TINY))
    assert row.clips == 11
    assert len(row.unreadable) == 1
    assert str(broken) in row.unreadable[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "magic"}, "unknown method 'magic'; there are ffn, ffn-labels"),
        ({"method": "finetune"}, "'finetune'; there are ffn, .*; that is `--method single --init` with the checkpoint"),
        ({"method": "ensemble"}, "several networks of `--method single`; `ffn reproduce tables` tests them together"),
        ({"epochs": 0}, "at least 1"),
        ({"batch_size": 0}, "at least 1"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number of at least 0, got nan"),
        ({"weight_decay": float("inf")}, "weight_decay must be a number"),
        ({"learning_rate": 1e300}, r"learning_rate must be at most 3.40282e\+38, got 1e\+300"),
        ({"seed": 2**64}, r"seed must be below 2\*\*64, all that torch takes; got 18446744073709551616"),
        ({"workers": -1}, "workers must be .* at least 0, got -1"),
        ({"label_smoothing": 2.0}, "label_smoothing is a share, at most 1; got 2"),
        ({"milestones": (3.0, 1.0)}, r"one after another, got \(3.0, 1.0\)"),
        ({"milestones": (1.0, float("nan"))}, r"one after another, got \(1.0, nan\)"),
    ],
)
def test_impossible_settings_are_explained(wrong, message):
    with pytest.raises(ValueError, match=message):
        Training(**wrong)
