"""What `--data` names."""

import numpy as np
import pytest

from dcgan.training.data.sources import open_source
from dcgan.training.errors import TrainingError
from tests.training.data.image_files import load, make_zip, png


def test_digits_are_kept_at_their_own_size_with_a_margin():
    digits = load("digits", 32, 1)
    assert digits.images.shape == (1797, 10, 10, 1)
    assert digits.images.max() == 255
    assert digits.images[:, 0].max() == digits.images[:, :, -1].max() == 0  # the margin
    assert digits.class_names == tuple("0123456789")
    assert len(digits.labels) == 1797


@pytest.mark.parametrize("name", ["none", "digit", "cifar100"])
def test_a_source_that_is_not_there(name):
    with pytest.raises(TrainingError, match="there is no data source"):
        open_source(name)


def test_an_empty_name_is_not_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(png(np.zeros((8, 8, 3), np.uint8)))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrainingError, match="the name of the data source is empty"):
        open_source("")
    assert len(open_source(".").items) == 1


def test_empty_and_unreadable_sources(tmp_path):
    with pytest.raises(TrainingError, match="has no images; it may have .avif"):
        open_source(str(tmp_path))
    (tmp_path / "IMG_1.HEIC").write_bytes(b"")
    with pytest.raises(TrainingError, match="has no images, but 1 .heic; it may have .avif"):
        open_source(str(tmp_path))
    with pytest.raises(TrainingError, match="has no images, but 1 .txt; it may have"):
        open_source(str(make_zip(tmp_path / "empty.zip", {"a.txt": b""})))
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(TrainingError, match="cannot read .*broken.zip as a zip"):
        open_source(str(tmp_path / "broken.zip"))


def test_a_path_that_is_too_long_is_one_sentence():
    with pytest.raises(TrainingError, match="File name too long"):
        open_source("x" * 5000)
