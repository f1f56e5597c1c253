"""Recipes: the shipped ones are valid, the seed's is exact, mistakes are named with the cure."""

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

import pytest

from dcgan.core.schema import SchemaError, dump_json, key_of, parse_json
from dcgan.training.config import AdamConfig, Recipe
from dcgan.training.errors import TrainingError
from dcgan.training.models.networks import Discriminator, Generator
from dcgan.training.recipe_files import load_recipe, recipe_names
from docs.generate.schemas import recipe_keys


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_valid_and_survives_json(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert parse_json(type(recipe), dump_json(recipe), "it") == recipe


def test_the_seed_recipe_is_the_seed_model_to_the_letter():
    recipe = load_recipe("dcgan64-seed")
    assert (recipe.batch_size, recipe.epochs, recipe.loss) == (64, 200, "bce")
    assert (
        recipe.generator_adam
        == recipe.discriminator_adam
        == AdamConfig(rate=2e-4, beta1=0.5, beta2=0.999)
    )
    assert (recipe.sample_steps, recipe.keep_epochs) == (100, 1)
    assert (recipe.flip, recipe.augment, recipe.ema_half_life, recipe.decay_from) == (
        False,
        (),
        0,
        1.0,
    )
    assert recipe.precision == "fp32"
    assert (recipe.r1, recipe.r2, recipe.whole_batches) == (0.0, 0.0, False)
    assert sum(p.numel() for p in Generator(recipe.generator).parameters()) == 3_576_704
    assert sum(p.numel() for p in Discriminator(recipe.discriminator).parameters()) == 2_765_568
    assert recipe.steps_per_epoch(50_000) * recipe.epochs == 156_400


def test_values_are_changed_one_by_one():
    recipe = load_recipe(
        "digits",
        ["generator.width=8", "loss=hinge", "augment=['cutout']", "generator_adam.rate=1e-3"],
    )
    assert (recipe.generator.width, recipe.loss, recipe.augment) == (8, "hinge", ("cutout",))
    assert recipe.generator_adam.rate == 1e-3
    assert recipe.generator_adam.beta1 == load_recipe("digits").generator_adam.beta1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("generator.widht=8", "unknown key 'widht'; did you mean 'width'"),
        ("loss=hing", "did you mean 'hinge'"),
        ("augment=['rotate']", "colour, translation, cutout"),
        ("augment_below=-1", "augment_below must be 0 or more"),
        ("augment_probability=1.5", "augment_probability must be 0 to 1"),
        ("generator_adam.rate=0", "above 0"),
        ("generator_adam.rate=nan", "finite"),
        ("generator_adam.beta1=1.0", "below 1"),
        ("generator.image_size=48", "image_size must be one of"),
        ("generator.image_size=64", "make them equal"),
        ("generator.channels=2", "channels must be 1 or 3"),
        ("generator.width=0", "width must be 1 to"),
        ("generator.width=true", "must be a whole number"),
        ("generator.latent_size=0", "latent_size must be"),
        ("generator.classes=1", "classes must be 0 or 2 to"),
        ("generator.classes=10", "make them equal"),
        ("discriminator.norm=layer", "discriminator.norm must be one of"),
        ("discriminator.depth=3", "discriminator.depth must be 1 or 2, not 3"),
        ("discriminator.depth=two", "must be a whole number"),
        ("batch_size=0", "batch_size must be"),
        ("epochs=0", "epochs must be"),
        ("sample_steps=0", "sample_steps must be"),
        ("keep_epochs=-1", "keep_epochs must be"),
        ("average_images=-1", "average_images must be"),
        ("decay_from=1.5", "decay_from must be"),
        ("r1=-1", "r1 and r2 must be"),
        ("consistency=-1", "consistency must be 0 or more"),
        ("penalty_every=0", "penalty_every must be 1 or more"),
        ("engine.compile=of", "engine.compile cannot be 'of'; did you mean 'off'"),
        ("engine.compiled=on", "unknown key 'compiled'; did you mean 'compile'"),
        ("width", "--set takes key=value"),
        ("=3", "--set takes key=value"),
        ("loss='a\nb", "--set takes key=value"),
        ("epochs=3\nbatch_size=4", "--set takes key=value"),
        ("precision=fp16", "did you mean 'bf16'|did you mean 'fp32'"),
        ("epochs=" + "9" * 5000, "must be a whole number"),
        ("epochs=" + "[" * 5000, "must be a whole number"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_cure(change, message):
    with pytest.raises((TrainingError, SchemaError), match=message.replace("(", r"\(")) as caught:
        load_recipe("digits", [change])
    assert "\n" not in str(caught.value)


def test_a_recipe_from_before_there_was_a_depth_has_depth_one():
    recipe = load_recipe("dcgan32")
    document = json.loads(dump_json(recipe))
    assert document["discriminator"].pop("depth") == 1
    assert parse_json(Recipe, json.dumps(document), "it") == recipe


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(TrainingError, match="did you mean 'dcgan64-seed'"):
        load_recipe("dcgan64-sed")
    with pytest.raises(TrainingError, match="there are .*digits"):
        load_recipe("xyz")


def test_a_recipe_file_of_the_users(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text('description = "Mine"\n[generator]\nwidth = 5\n')
    assert load_recipe(str(path)).name == "mine"
    assert load_recipe(str(path)).generator.width == 5
    path.write_bytes(b"\xff")
    with pytest.raises(TrainingError, match="cannot read the recipe"):
        load_recipe(str(path))
    with pytest.raises(TrainingError, match="cannot read the recipe"):
        load_recipe(str(tmp_path / "none.toml"))
    path.write_text("images = " + "1" * 5000)
    with pytest.raises(TrainingError, match="a number in it has thousands of digits"):
        load_recipe(str(path))
    path.write_text('description = "Mine"\nbatch_size = 0x1' + "0" * 5000)
    with pytest.raises(
        SchemaError, match=r"batch_size must be .* not a number of thousands of digits"
    ):
        load_recipe(str(path))


def test_learning_rates_decay_linearly_to_0():
    recipe = load_recipe("digits", ["decay_from=0.5"])
    assert [recipe.learning_rate_factor(step, 10) for step in (0, 4, 5, 6, 9)] == [
        1.0,
        1.0,
        1.0,
        0.8,
        0.2,
    ]
    constant = load_recipe("digits", ["decay_from=1.0"])
    assert constant.learning_rate_factor(9, 10) == 1.0


def keys_of(kind: type, prefix: str = "") -> Iterator[tuple[str, object]]:
    """The keys of a recipe with their defaults."""
    for each in fields(kind):
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        if is_dataclass(default):
            yield from keys_of(type(default), f"{key_of(each)}.")
        else:
            yield prefix + key_of(each), default


def test_the_reference_has_every_key_its_default_and_its_meaning():
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in recipe_keys().splitlines()[2:]
    ]
    told = {row[0].strip("`"): row[2].strip("`") for row in rows}
    known = {key: default for key, default in keys_of(Recipe) if key != "name"}

    assert told.pop("description") == "required"
    assert known.pop("description") is MISSING
    assert {key: json.loads(default) for key, default in told.items()} == {
        key: list(default) if isinstance(default, tuple) else default
        for key, default in known.items()
    }
    assert all(len(row[3]) > 10 for row in rows)
