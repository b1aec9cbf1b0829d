"""Several processes are one: the same weights, statistics, predictions and counts, every clip once."""

import os
import socket
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, nullcontext
from multiprocessing import get_context
from types import SimpleNamespace
from warnings import simplefilter

import numpy as np
import pytest
import torch
from conftest import redraw, write_video
from torch import nn
from torch.utils.checkpoint import CheckpointError, checkpoint

import ffn
from ffn import Preprocessing, Training, data, evaluate
from ffn.cli import main
from ffn.distribution import engine
from ffn.synchrony import SynchronisedNorms
from ffn.training import Trainer

FRAMES = (2, 4)
TRAINING = Training(epochs=2, batch_size=4, optimiser="sgd", learning_rate=0.02, schedule="step", warmup=0.0)
SYNCED = {"training": {"sync_norms": True}}
GROUPS = {"architecture": "resnet18", "channels": (8, 8, 8, 8), "norm_layer": "groupnorm1"}
BATCHES = {"architecture": "resnet18", "channels": (8, 8, 8, 8)}
ACTIVATIONS = {"architecture": "test_efficientnet"}  # its norms are BatchNormAct2d

here = ExitStack()  # of a process that has joined others
joined = None


def join(rank, port):
    """What `accelerate launch` tells a process; warnings are errors in it too."""
    global joined
    os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"})
    os.environ.update({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"})
    simplefilter("error")
    joined = here.enter_context(engine())


def leave():
    here.close()


@pytest.fixture(scope="module")
def together():
    """Calls a function in two processes that train together; gives what both return."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn = get_context("spawn")
    pools = [ProcessPoolExecutor(1, spawn, initializer=join, initargs=(rank, port)) for rank in range(2)]

    def run(function, *args, **kwargs):
        calls = [pool.submit(function, *args, **kwargs) for pool in pools]
        return [call.result(timeout=120) for call in calls]

    try:
        run(os.getpid)  # here, not in a test, torch is imported
        yield run
        run(leave)
    finally:
        for pool in pools:
            for process in list((pool._processes or {}).values()):
                process.terminate()  # one that hangs would never end


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Nine videos of two classes, which two processes cannot share evenly."""
    folder = tmp_path_factory.mktemp("videos")
    for i in range(9):
        frames = np.random.default_rng(i).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)
        write_video(folder / "ab"[i % 2] / f"{i}.mp4", frames)
    return folder


@pytest.fixture
def broken(videos, tmp_path):
    """The same, one of which cannot be read."""
    for path in videos.glob("*/*.mp4"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "a" / "0.mp4").write_bytes(b"")
    return tmp_path


def clips_of(folder, frames=FRAMES, seed=0):
    return ffn.Clips(folder, frames=frames, preprocessing=Preprocessing(resize=32, crop=24), seed=seed)


def network(architecture, frames=FRAMES, **kwargs):
    """A network in double precision, everything in it drawn at random."""
    model = ffn.create_model(architecture, frames, num_classes=2, **kwargs)
    redraw(model)
    model.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(), *inputs[1:]))
    return model.double()


def numbers(model):
    return {name: tensor.numpy(force=True).copy() for name, tensor in model.state_dict().items()}


def trained(folder, training=None, **kwargs):
    """Weights and rows of a training, in whatever processes there are."""
    model = network(**kwargs)
    settings = Training(**{**vars(TRAINING), **(training or {})})
    rows = list(Trainer(model, clips_of(folder, model.frames), settings, engine=joined))
    return numbers(model), rows


def same(one, other):
    assert one.keys() == other.keys()
    for name, wanted in one.items():
        np.testing.assert_allclose(other[name], wanted, rtol=1e-9, atol=1e-11, err_msg=name)


def same_rows(one, other):
    for row, wanted in zip(one, other, strict=True):
        assert (row.clips, row.unreadable, row.accuracies) == (wanted.clips, wanted.unreadable, wanted.accuracies)
        assert row.losses == pytest.approx(wanted.losses, rel=1e-9)


@pytest.mark.parametrize("method", ["ffn", "ffn-labels-sampled", "ffn-labels-split", "ffn-thinned", "mixed"])
def test_two_processes_train_as_one_with_twice_the_batch(together, videos, method):
    frames = (
        FRAMES if method in ("ffn", "mixed") else (1, 2, 4)
    )  # so that there are streams to choose from, or to share out among
    options = {"training": {"method": method, "momentum": 0.9}, "frames": frames, **GROUPS}
    weights, rows = trained(videos, **options)
    for other, its_rows in together(trained, videos, **options):
        same(weights, other)
        same_rows(rows, its_rows)
    assert all(row.clips == 8 for row in rows)


@pytest.mark.parametrize("kwargs", [BATCHES, ACTIVATIONS], ids=["BatchNorm2d", "BatchNormAct2d"])
def test_synchronised_norms_see_the_whole_batch(together, videos, kwargs):
    weights, rows = trained(videos, **kwargs)
    for other, its_rows in together(trained, videos, **kwargs, **SYNCED):
        same(weights, other)
        same_rows(rows, its_rows)


def test_norms_that_are_not_synchronised_see_half_of_it(together, videos):
    weights, _ = trained(videos, **BATCHES)
    one, other = (found for found, _ in together(trained, videos, **BATCHES))
    assert any(np.abs(weights[name] - one[name]).max() > 1e-3 for name in weights)
    same(one, other)  # the first process's running statistics, in both


def test_one_frame_count_leaves_nothing_unused(together, videos):
    options = {"frames": (4,), **GROUPS}
    weights, _ = trained(videos, **options)
    for other, _ in together(trained, videos, **options):
        same(weights, other)


@pytest.mark.parametrize("kwargs", [GROUPS, {**BATCHES, **SYNCED}], ids=["groups", "batches"])
def test_an_unreadable_video_skews_nothing(together, broken, kwargs):
    weights, rows = trained(broken, **kwargs)
    for other, its_rows in together(trained, broken, **kwargs):
        same(weights, other)
        same_rows(rows, its_rows)
    assert sum(row.clips for row in rows) == 16 - sum(len(row.unreadable) for row in rows) < 16


def test_a_step_that_one_process_cannot_take_is_left_out_by_all(together, broken):
    (_, rows), (_, others) = together(trained, broken, **BATCHES)
    same_rows(rows, others)
    assert all(row.clips == 8 - 4 * len(row.unreadable) for row in rows)
    assert any(row.unreadable for row in rows)


def test_batches_that_the_norms_or_the_processes_cannot_take_are_refused(together, videos):
    with pytest.raises(ValueError, match=r"2 videos leaves a process fewer than the 2 .* or synchronise the norms$"):
        together(trained, videos, training={"batch_size": 2}, **BATCHES)
    with pytest.raises(ValueError, match=r"fewer than the 2 that ffn needs; take larger batches$"):
        trained(videos, training={"batch_size": 1}, **BATCHES)
    with pytest.raises(ValueError, match=r"^a batch of 3 videos cannot be shared by 2 processes evenly$"):
        together(trained, videos, training={"batch_size": 3}, **GROUPS)


def stopped(folder):
    """What a process says when only the second one's loss is no number."""
    model = network(**GROUPS)
    if joined.process_index:
        model.register_forward_pre_hook(lambda _, inputs: (inputs[0] * float("nan"), *inputs[1:]))
    try:
        list(Trainer(model, clips_of(folder), TRAINING, engine=joined))
    except FloatingPointError as error:
        return str(error)


def test_a_loss_that_is_no_number_in_one_process_stops_all(together, videos):
    one, other = together(stopped, videos)
    assert one == other
    assert "nan" in one


def interrupted(folder, path):
    """Weights after a training of which the first process saves the middle."""
    model = network(**BATCHES, drop_rate=0.5)
    trainer = Trainer(model, clips_of(folder), TRAINING, engine=joined)

    def keep(step, steps):
        if step == 3 and joined.is_main_process:
            torch.save(trainer.state_dict(), path)

    trainer.progress = keep
    *_, row = trainer
    return numbers(model), row


def resumed(folder, path):
    model = network(**BATCHES, drop_rate=0.5)
    trainer = Trainer(model, clips_of(folder), TRAINING, engine=joined)
    trainer.load_state_dict(torch.load(path, weights_only=True))
    *_, row = trainer
    return numbers(model), row


def test_training_is_taken_up_to_the_last_bit(together, videos, tmp_path):
    whole = together(interrupted, videos, tmp_path / "state.pt")
    for (weights, row), (again, its_row) in zip(whole, together(resumed, videos, tmp_path / "state.pt"), strict=True):
        assert row == its_row
        assert all(np.array_equal(weights[name], again[name]) for name in weights)


def drawn(folder):
    """The dropout's state at every step."""
    draws = []
    model = network(**GROUPS)
    model.register_forward_hook(lambda *_: draws.append(torch.rand(()).item()))
    list(Trainer(model, clips_of(folder), TRAINING, engine=joined))
    return draws


def test_processes_draw_differently(together, videos):
    one, other = together(drawn, videos)
    assert len({*one, *other}) == len(one) + len(other)


def evaluated(folder, grid, batch_size=2):
    model = network(**BATCHES).float().eval()
    return evaluate(model, clips_of(folder, grid, None), batch_size=batch_size, engine=joined)


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_evaluation_counts_every_clip_once_in_the_order_of_the_data(together, broken, batch_size):
    grid = (1, 3, 4)
    want = evaluated(broken, grid)
    for results in together(evaluated, broken, grid, batch_size=batch_size):
        for result, wanted in zip(results, want, strict=True):
            assert result.indices.tolist() == wanted.indices.tolist() == list(range(1, 9))
            assert result.labels.tolist() == wanted.labels.tolist()
            assert (result.unreadable, result.correct) == (wanted.unreadable, wanted.correct)
            np.testing.assert_allclose(result.logits, wanted.logits, rtol=1e-4, atol=1e-5)
            assert list(result.divergences) == list(wanted.divergences)
            for name, found in result.divergences.items():
                assert vars(found) == pytest.approx(vars(wanted.divergences[name]), rel=1e-4, abs=1e-6)


def test_more_processes_than_videos(together, tmp_path):
    write_video(tmp_path / "a" / "0.mp4", np.zeros((4, 32, 32, 3), np.uint8))
    write_video(tmp_path / "b" / "1.mp4", np.zeros((4, 32, 32, 3), np.uint8))
    (tmp_path / "b" / "1.mp4").write_bytes(b"")
    for results in together(evaluated, tmp_path, (4,)):
        assert [(result.clips, len(result.unreadable)) for result in results] == [(1, 1)]


def opened(folder):
    """Which videos a process opens to evaluate them."""
    paths, original = [], data.open_video
    data.open_video = lambda path, *about: paths.append(path.name) or original(path, *about)
    evaluated(folder, (2, 4))
    data.open_video = original
    return paths


def test_every_video_is_decoded_by_one_process(together, videos):
    one, other = together(opened, videos)
    assert sorted(one + other) == [f"{i}.mp4" for i in range(9)]


def test_alone_there_is_no_engine(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with engine() as found:
        assert found is None


@pytest.mark.parametrize("cpu", ["True", "False"])
def test_a_launcher_that_starts_one_process_of_several_is_no_secret(monkeypatch, cpu):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("ACCELERATE_USE_CPU", cpu)
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.warns(UserWarning, match="has started one process only.*torchrun"), engine():
        pass


def test_several_processes_are_told_no_device(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("ffn.distribution.engine", lambda: nullcontext(SimpleNamespace(is_main_process=True)))
    words = ["train", "-o", str(tmp_path / "run"), "--data", str(tmp_path), "--architecture", "resnet18"]
    assert main([*words, "--frames", "4", "--device", "cuda:1"]) == 1
    assert "several processes share out the devices themselves; leave out --device" in capsys.readouterr().err


def normalised(shape, dtype, affine, recomputed=False):
    """A norm's output, statistics and gradients on images of `shape`: alone all, else one or the rest."""
    generator = torch.Generator().manual_seed(0)
    x, grad = (torch.randn(shape, generator=generator).to(dtype) * 3 + 5 for _ in range(2))
    mine = slice(None) if joined is None else [slice(1), slice(1, None)][joined.process_index]
    norm = {2: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[len(shape)](shape[1], affine=affine).train()
    redraw(norm)
    x = x[mine].requires_grad_()
    with SynchronisedNorms():
        y = checkpoint(norm, x, use_reentrant=False) if recomputed else norm(x)
        y.backward(grad[mine])
    found = [y, x.grad, norm.running_mean, norm.running_var, *(parameter.grad for parameter in norm.parameters())]
    return [tensor.detach().float().numpy() for tensor in found]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5, 5), (3, 3, 2, 4, 4)], ids=len)
def test_a_synchronised_norm_is_the_norm_of_all(together, shape, dtype, affine):
    y, x_grad, mean, variance, *grads = normalised(shape, dtype, affine)
    one, other = together(normalised, shape, dtype, affine)
    near = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.05}
    np.testing.assert_allclose(np.concatenate([one[0], other[0]]), y, **near)
    np.testing.assert_allclose(np.concatenate([one[1], other[1]]), x_grad, **near)
    for found in (one, other):
        np.testing.assert_allclose(found[2], mean, rtol=1e-5)
        np.testing.assert_allclose(found[3], variance, rtol=1e-5)
    for wanted, first, second in zip(grads, one[4:], other[4:], strict=True):  # DDP makes the sum a mean
        np.testing.assert_allclose(first + second, wanted, **near)


def test_activations_computed_again_are_refused_not_wrong(together):
    with pytest.raises(CheckpointError):
        together(normalised, (4, 3, 5, 5), torch.float32, True, recomputed=True)


def test_without_other_processes_norms_are_plain():
    x, norm = torch.randn(2, 3, 4, 4), nn.BatchNorm2d(3).train()
    with SynchronisedNorms():
        assert torch.equal(norm(x), nn.BatchNorm2d(3).train()(x))
