"""Options of the command line and what they resolve to."""

import json
from dataclasses import replace

import pytest

from dcgan.core.schema import dump_json
from dcgan.training.errors import TrainingError
from dcgan.training.options import TrainOptions
from dcgan.training.run_comparison import check_resumable
from dcgan.training.run_config import parse_config
from dcgan.training.switches import StepSwitches


def options(**given: object) -> TrainOptions:
    defaults = {
        "recipe": None, "changes": (), "steps": None, "epochs": None, "seed": None,
        "device": "cpu", "precision": None,
    }  # fmt: skip
    return TrainOptions(**(defaults | given))


def test_what_is_not_given_has_its_default(small, dataset):
    config = options().resolve_config(small, dataset, None)
    assert (config.seed, config.device, config.precision) == (0, "cpu", "fp32")
    assert config.steps == small.epochs * 3  # 20 images in batches of 8
    assert (config.data.images, config.data.class_names) == (20, ("cats", "dogs"))


def test_what_is_not_given_is_that_of_the_resumed_run(small, dataset):
    saved = options(seed=5, steps=7, precision="bf16").resolve_config(small, dataset, None)
    resumed = options().resolve_config(options().resolve_recipe(saved), dataset, saved)
    assert resumed == saved


@pytest.mark.parametrize(("given", "steps"), [({"steps": 5}, 5), ({"epochs": 4}, 12)])
def test_steps_and_epochs_exclude_each_other(small, dataset, given, steps):
    assert options(**given).resolve_config(small, dataset, None).steps == steps
    with pytest.raises(TrainingError, match="--steps and --epochs exclude each other"):
        options(steps=5, epochs=4)


def test_labels_that_cannot_be_used_are_refused_by_a_recipe_with_classes_only(small, dataset):
    broken = replace(dataset, labels=None, class_names=(), labels_problem="x.png has the class 0.5")
    assert options().resolve_config(small, broken, None).data.class_names == ()
    networks = {
        name: replace(getattr(small, name), classes=2) for name in ("generator", "discriminator")
    }
    with pytest.raises(
        TrainingError, match="the recipe small needs 2 classes but x.png has the class 0.5"
    ):
        options().resolve_config(replace(small, **networks), broken, None)


def test_the_background_is_that_of_the_resumed_run(small, dataset):
    saved = options(background="#000000").resolve_config(small, dataset, None)
    assert saved.data.background == "black"
    assert options().resolve_config(small, dataset, saved) == saved
    assert options(background="black").resolve_config(small, dataset, saved) == saved
    with pytest.raises(TrainingError, match="was started with background = black, not white"):
        options(background="white").resolve_background(saved)


def test_a_run_from_before_backgrounds_could_be_chosen_goes_on_with_white(small, dataset):
    saved = options().resolve_config(small, dataset, None)
    old = json.loads(dump_json(saved))
    del old["data"]["background"]
    assert parse_config(json.dumps(old), "config.json") == saved
    assert options().resolve_background(saved) == "white"


def test_the_configuration_records_how_steps_are_computed(small, dataset):
    engine = replace(small.engine, weight_copies="on", one_pass="on")
    spectral = replace(small.discriminator, norm="spectral")
    recipe = replace(small, engine=engine, discriminator=spectral)
    config = options().resolve_config(recipe, dataset, None)
    assert config.switches == StepSwitches(weight_copies=True, one_pass=True)
    assert parse_config(dump_json(config), "config.json") == config


def test_a_run_from_before_switches_is_resumed_as_it_was_computed(small, dataset):
    """A new run of this recipe avoids the second derivative, with other last bits."""
    recipe = replace(small, discriminator=replace(small.discriminator, norm="none"))
    new = options().resolve_config(recipe, dataset, None)
    assert new.switches == StepSwitches(linear_penalties=True)

    old = json.loads(dump_json(new))
    del old["switches"]
    for key in ("engine", "consistency", "penalty_every"):
        del old["recipe"][key]
    saved = parse_config(json.dumps(old), "config.json")
    resumed = options().resolve_config(options().resolve_recipe(saved), dataset, saved)
    check_resumable(saved, resumed)
    assert resumed.switches == StepSwitches()
