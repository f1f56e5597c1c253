"""The values in which a run differs from its recipe."""

from dcgan.core.origin import RecipeChange
from dcgan.training.recipe_changes import recipe_changes
from dcgan.training.recipe_files import load_recipe


def planned(recipe, images):
    return recipe.epochs * recipe.steps_per_epoch(images)


def test_a_run_as_its_recipe_says_has_no_changes():
    for name in ("digits", "dcgan64", "cdcgan64", "dcgan64-seed"):
        for images in (1797, 50_000):
            recipe = load_recipe(name).for_images(images)
            steps = planned(recipe, images)
            assert (
                recipe_changes(recipe, images=images, planned_steps=steps, precision="fp32") == ()
            )


def test_every_changed_value_is_named_with_the_recipes_own():
    recipe = load_recipe("dcgan64", ["generator.width=16", "loss=hinge"])
    steps = planned(recipe, 1000)
    changes = recipe_changes(recipe, images=1000, planned_steps=steps, precision="fp32")
    original = load_recipe("dcgan64")
    assert (
        RecipeChange(key="generator.width", value="16", recipe=str(original.generator.width))
        in changes
    )
    assert {change.key for change in changes} <= {"generator.width", "loss"}


def test_another_number_of_steps_is_a_change():
    recipe = load_recipe("digits")
    (change,) = recipe_changes(recipe, images=1797, planned_steps=7, precision="bf16")
    assert (change.key, change.value) == ("steps", "7")
    assert int(change.recipe) == planned(recipe, 1797)


def test_another_precision_than_the_recipe_requires_is_a_change():
    recipe = load_recipe("dcgan64-seed")
    steps = planned(recipe, 50_000)
    changes = recipe_changes(recipe, images=50_000, planned_steps=steps, precision="bf16")
    assert changes == (RecipeChange(key="precision", value='"bf16"', recipe='"fp32"'),)

    free = load_recipe("dcgan64").for_images(50_000)  # leaves the choice to the machine
    steps = planned(free, 50_000)
    for precision in ("fp32", "bf16"):
        assert recipe_changes(free, images=50_000, planned_steps=steps, precision=precision) == ()


def test_a_recipe_of_the_users_own_has_nothing_to_compare_with(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('description = "Mine"\n')
    assert (
        recipe_changes(load_recipe(str(path)), images=10, planned_steps=1, precision="fp32") is None
    )
