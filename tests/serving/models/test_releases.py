"""Which releases a server finds."""

import pytest

from dcgan.serving.errors import ServingError
from dcgan.serving.models.releases import served_file
from dcgan.zoo.repository import DEFAULT_MODEL, SHIPPED, find_release
from tests.serving.support import refuse_to_start


def test_a_missing_repository_or_model_is_said_in_one_sentence(repository, tmp_path):
    assert "is no folder" in refuse_to_start(tmp_path / "nowhere")
    assert "holds no model" in refuse_to_start(tmp_path)
    assert "tiny" in refuse_to_start(repository, "--model", "nobody")


@pytest.mark.parametrize(("precision", "flag"), [("int8", "--int8"), ("fp16", "--fp16")])
def test_a_missing_precision_names_the_option_that_exports_it(precision, flag):
    release = find_release(SHIPPED, DEFAULT_MODEL)
    with pytest.raises(ServingError, match=f"export the model again with {flag}$"):
        served_file(release, precision)
