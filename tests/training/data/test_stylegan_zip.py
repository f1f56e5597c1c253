"""Data sets written as a StyleGAN zip."""

import io
import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from dcgan.training.cli import main
from dcgan.training.data import cache
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.decode import DecodeConfig
from dcgan.training.data.sources import open_source
from dcgan.training.data.stylegan_zip import write_stylegan_zip


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "data" / "decoded"


def load(source: Path, progress=iter, **options: bool) -> Dataset:
    return cache.load_dataset(
        open_source(str(source)), DecodeConfig(image_size=32, channels=3, **options), progress
    )


def never(numbers):
    raise AssertionError("decoded again")


def pack(*arguments: str | Path) -> str:
    result = CliRunner().invoke(main, ["--pack", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_packed_zip_is_the_same_data_and_the_same_bytes_each_time(images, tmp_path):
    for name in ("a.zip", "b.zip"):
        said = pack(images, tmp_path / name, "--recipe", "dcgan32")
        assert "20 images of 32 x 32" in said
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    plain, packed = load(images), load(tmp_path / "a.zip")
    assert packed.sha256 == plain.sha256
    assert packed.class_names == plain.class_names


def test_a_packed_zip_has_the_layout_of_stylegan_and_edm(images, tmp_path):
    pack(images, tmp_path / "it.zip", "--recipe", "dcgan32")
    with zipfile.ZipFile(tmp_path / "it.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".png")]
        table = json.loads(archive.read("dataset.json"))

        assert names[:2] == ["00000/img00000000.png", "00000/img00000001.png"]
        assert table["labels"][0] == ["00000/img00000000.png", 0]
        assert [name for name, _ in table["labels"]] == names
        for name in names:
            with Image.open(io.BytesIO(archive.read(name))) as image:
                assert (image.size, image.mode, image.format) == ((32, 32), "RGB", "PNG")
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_small_images_are_packed_in_the_size_of_the_recipe(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (16, 16), "red").save(tmp_path / "images" / "a.png")
    load(tmp_path / "images")  # as a training takes them, in their own size

    assert "1 images of 32 x 32" in pack(
        tmp_path / "images", tmp_path / "it.zip", "--recipe", "dcgan32"
    )
    with zipfile.ZipFile(tmp_path / "it.zip") as archive:
        data = archive.read("00000/img00000000.png")
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (32, 32)
    assert load(tmp_path / "images", never).images.shape == (1, 16, 16, 3)


def test_a_pack_that_is_broken_off_leaves_nothing(images, tmp_path):
    data = load(images)
    odd = Dataset(
        name="odd", images=data.images, labels=data.labels, class_names=(object(),), sha256="0" * 64
    )
    with pytest.raises(TypeError):
        write_stylegan_zip(odd, tmp_path / "it.zip")
    assert not list(tmp_path.glob("*it.zip*"))


def test_a_zip_that_is_there_is_not_overwritten(images, tmp_path, home):
    (tmp_path / "it.zip").write_text("mine")
    result = CliRunner().invoke(main, ["--pack", str(images), str(tmp_path / "it.zip")])
    assert result.exit_code == 2
    assert "it.zip exists; choose another name" in result.stderr
    assert (tmp_path / "it.zip").read_text() == "mine"
    assert not home.exists()  # nothing was decoded for it


def test_a_zip_that_cannot_be_written_is_named(images, tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["--pack", str(images), str(tmp_path / "file" / "it.zip")])
    assert result.exit_code == 2
    assert "cannot write" in result.stderr
