"""Runs are resumed with the options with which they were started."""

from dataclasses import replace

import pytest

from dcgan.training.errors import TrainingError
from dcgan.training.run_comparison import check_resumable, check_same_recipe


def test_a_run_is_not_resumed_with_other_options(configure):
    saved = configure()
    check_resumable(saved, replace(saved, hardware="another", commit="another"))
    with pytest.raises(TrainingError, match="was started with seed = 0, not 1"):
        check_resumable(saved, replace(saved, seed=1))
    with pytest.raises(TrainingError, match="was started with the images of"):
        check_resumable(saved, replace(saved, data=replace(saved.data, sha256="0" * 64)))


def test_a_run_is_not_resumed_with_another_recipe(configure):
    saved = configure()
    check_same_recipe(saved, saved.recipe)
    changed = replace(saved.recipe, batch_size=4)
    with pytest.raises(TrainingError, match="was started with recipe batch_size = 8, not 4"):
        check_same_recipe(saved, changed)
