"""The paper's recipes: every value of the table, as the settings of a run."""

from dataclasses import fields

import pytest
import torch
from conftest import SMALL

import ffn
from ffn.experiment import Experiment
from ffn.optimisation import optimiser, rate, schedule
from ffn.recipes import RECIPES

TSM = {"architecture": "resnet50.tv_in1k", "learning_rate": 0.01, "milestones": (20, 40), "weight_decay": 5e-4}
TABLE = {
    "tsm-sthv1": {**TSM, "epochs": 50, "batch_size": 32, "crop_kind": "multiscale", "flip": "off"},
    "tsm-k400": {**TSM, "weight_decay": 1e-4, "flip": "on"},
    "tea-sthv1": {"learning_rate": 0.02, "milestones": (30, 40, 45), "weight_decay": 5e-4, "flip": "off"},
    "slowfast-sthv1": {"learning_rate": 0.03, "epochs": 22, "batch_size": 16, "nesterov": True, "clip_gradient": 0.0},
    "uniformer-sthv1": {"optimiser": "adamw", "epochs": 60, "batch_size": 64, "mixup": 0.8, "cutmix": 1.0},
}


@pytest.fixture(params=RECIPES)
def recipe(request):
    return request.param


def test_there_are_the_five_of_the_paper():
    assert RECIPES.keys() == TABLE.keys()


def test_recipes_are_settings_of_a_run(recipe):
    names = {field.name for field in fields(Experiment)}
    assert RECIPES[recipe].keys() <= names - {"data", "validation", "seed", "cache", "workers"}
    experiment = Experiment(**RECIPES[recipe])
    assert experiment.training.method == "ffn"
    assert experiment.preprocessing.crop == 224
    for name, value in TABLE[recipe].items():
        assert getattr(experiment, name) == value, name
    assert not list(experiment.idle(RECIPES[recipe]))


def test_every_architecture_takes_its_options(recipe):
    experiment = Experiment(**RECIPES[recipe])
    assert experiment.architecture in (*ffn.list_models(), "resnet50.tv_in1k")
    with torch.device("meta"):
        model = ffn.create_model(
            experiment.architecture, experiment.frames, num_classes=174, **experiment.model_options
        )
    drops = [module for module in model.modules() if type(module).__name__ in ("Dropout", "DropPath")]
    rates = [getattr(module, "p", None) or getattr(module, "drop_prob", 0.0) for module in drops]
    rates.append(getattr(getattr(model.network, "backbone", None), "drop_rate", 0.0))
    assert max(rates) == pytest.approx(0.2 if recipe == "uniformer-sthv1" else 0.5)


@pytest.mark.parametrize(
    ("recipe", "rates"),
    [
        ("tsm-sthv1", {0: 0.01, 19.99: 0.01, 20: 1e-3, 39.99: 1e-3, 40: 1e-4, 49.99: 1e-4}),
        ("tea-sthv1", {0: 0.02, 30: 2e-3, 40: 2e-4, 44.99: 2e-4, 45: 2e-5}),
        ("slowfast-sthv1", {0: 1e-4, 0.095: (1e-4 + 0.03) / 2, 0.19: 0.03, 13.99: 0.03, 14: 3e-3, 18: 3e-4}),
        ("uniformer-sthv1", {0: 1e-6, 2.5: (1e-6 + 2e-4) / 2, 5: 2e-4, 32.5: (2e-4 + 1e-6) / 2, 60: 1e-6}),
    ],
)
def test_learning_rates_are_those_of_the_table(recipe, rates):
    experiment = Experiment(**RECIPES[recipe])
    for epoch, want in rates.items():
        assert experiment.learning_rate * rate(experiment, epoch / experiment.epochs) == pytest.approx(want), epoch


@pytest.mark.parametrize("steps_per_epoch", [1, 7, 100, 2689])
def test_drops_come_with_the_first_step_of_their_epoch(recipe, steps_per_epoch):
    experiment = Experiment(**RECIPES[recipe])
    steps = steps_per_epoch * experiment.epochs
    for i, epoch in enumerate(experiment.milestones):
        first = int(epoch * steps_per_epoch)
        before, after = (rate(experiment, step / steps) for step in (first - 1, first))
        assert after == pytest.approx(0.1 ** (i + 1))
        assert before == pytest.approx(0.1**i)


def test_the_classifier_of_the_2d_networks_learns_five_and_ten_times_as_fast():
    experiment = Experiment(**RECIPES["tsm-sthv1"])
    model = ffn.create_model("resnet18", (4, 8), **SMALL)
    sgd = optimiser(model, experiment.training)
    schedule(sgd, experiment.training, 100)
    speeds = {id(p): (group["lr"], group["weight_decay"]) for group in sgd.param_groups for p in group["params"]}
    fc = model.network.backbone.fc
    assert speeds[id(fc.weight)] == pytest.approx((0.05, 5e-4))
    assert speeds[id(fc.bias)] == pytest.approx((0.1, 0))
    assert speeds[id(model.network.backbone.conv1.weight)] == pytest.approx((0.01, 5e-4))
    assert sgd.defaults["momentum"] == 0.9
