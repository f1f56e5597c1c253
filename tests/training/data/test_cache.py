"""Decoded images on disk."""

import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dcgan.training.cli import main
from dcgan.training.config import Recipe
from dcgan.training.data import cache
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.decode import DecodeConfig, decode_to_memory
from dcgan.training.data.loader import BatchLoader
from dcgan.training.data.sources import open_source
from dcgan.training.errors import TrainingError
from dcgan.training.run_config import read_config


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "data" / "decoded"


def never(numbers):
    raise AssertionError("decoded again")


def load(source: Path, progress=iter, **options: bool) -> Dataset:
    return cache.load_dataset(
        open_source(str(source)), DecodeConfig(image_size=32, channels=3, **options), progress
    )


def test_images_are_decoded_once_and_mapped_afterwards(images):
    first, second = load(images), load(images, never)
    plain = decode_to_memory(
        open_source(str(images)), DecodeConfig(image_size=32, channels=3), iter
    )
    for data in (first, second):
        assert isinstance(data.images, np.memmap)
        assert np.array_equal(data.images, plain.images)
        assert data.labels.tolist() == plain.labels.tolist()
        assert (data.sha256, data.class_names) == (plain.sha256, plain.class_names)


def test_other_images_sizes_and_channels_are_decoded_anew(images, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    path = copy / "a.png"
    path.write_bytes((images / "cats" / "01.png").read_bytes())
    before = load(copy)
    path.write_bytes((images / "cats" / "03.png").read_bytes())
    os.utime(path, ns=(1, 1))

    assert load(copy).sha256 != before.sha256
    source = open_source(str(copy))
    assert cache.load_dataset(
        source, DecodeConfig(image_size=64, channels=3), iter
    ).images.shape == (1, 64, 64, 3)
    assert cache.load_dataset(
        source, DecodeConfig(image_size=32, channels=1), iter
    ).images.shape == (1, 32, 32, 1)


def test_an_image_with_the_size_and_date_of_the_one_before_is_decoded_anew(tmp_path):
    path = tmp_path / "a.bmp"
    levels = []
    for level in (10, 200):
        Image.new("RGB", (40, 40), (level, level, level)).save(path)
        changed = path.stat().st_ctime_ns
        while True:  # a copy that keeps the date; the clock of the file system may be coarse
            os.utime(path, ns=(1, 1))
            if path.stat().st_ctime_ns > changed:
                break
        levels.append(load(tmp_path).images[0, 0, 0, 0])

    assert levels == [10, 200]


@pytest.mark.parametrize("damage", ["pixels.bin", "labels.npy", "facts.json"])
def test_a_damaged_folder_is_made_again(images, home, damage):
    whole = load(images)
    (folder,) = (path for path in home.iterdir() if path.is_dir())
    (folder / damage).write_bytes(b"{}")
    again = load(images)
    assert again.sha256 == whole.sha256
    assert again.images.shape == (20, 32, 32, 3)
    assert load(images, never).labels.tolist() == whole.labels.tolist()


def test_pixels_that_have_changed_on_the_disk_are_made_again(images, home):
    whole = load(images)
    before = whole.images.copy()
    (folder,) = (path for path in home.iterdir() if path.is_dir())
    with (folder / "pixels.bin").open("r+b") as file:
        file.write(bytes([before[0, 0, 0, 0] ^ 1]))
    assert np.array_equal(load(images).images, before)
    assert np.array_equal(load(images, never).images, before)


def test_a_process_that_was_killed_while_decoding_leaves_nothing_in_the_way(images, home):
    def stop(numbers):
        yield 0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(images, stop)
    assert [path for path in home.iterdir() if path.is_dir()] == []
    whole = load(images)
    (folder,) = (path for path in home.iterdir() if path.is_dir())
    leftover = folder.with_name(f".{folder.name}.0123456789abcdef.part")
    folder.rename(leftover)  # as a kill leaves it
    assert load(images).sha256 == whole.sha256
    assert not leftover.exists()


def take(source: Path, home: Path, out: Path) -> None:
    os.environ["DCGAN_HOME"] = str(home)
    decoded = []

    def count(numbers):
        for number in numbers:
            decoded.append(number)
            yield number

    digest = load(source, count).sha256
    out.write_text(json.dumps([digest, len(decoded)]))


@pytest.mark.slow
def test_of_several_processes_one_decodes(forkserver, images, tmp_path):
    outs = [tmp_path / f"{i}.json" for i in range(4)]
    processes = [
        forkserver.Process(target=take, args=(images, tmp_path / "shared", out)) for out in outs
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    found = [json.loads(out.read_text()) for out in outs]

    assert len({digest for digest, _ in found}) == 1
    assert sorted(decoded for _, decoded in found) == [0, 0, 0, 20]


def test_a_full_disk_is_named_and_leaves_nothing(images, home):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (20_000, limits[1])
    )  # as a full disk: EFBIG in the place of ENOSPC
    try:
        with pytest.raises(
            TrainingError,
            match="cannot keep the decoded images in .*; free some space or set DCGAN_HOME",
        ):
            load(images)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert [path for path in home.iterdir() if path.is_dir()] == []


def use_large(folder: Path, small: Recipe) -> None:
    """Takes batches from 2 GiB of images with far less memory than that to spare."""
    torch.set_num_threads(1)
    shape = (2**31 // (32 * 32 * 3), 32, 32, 3)
    images = np.memmap(folder / "large.bin", dtype=np.uint8, mode="r", shape=shape)
    data = Dataset(name="large", images=images, labels=None, class_names=(), sha256="0" * 64)
    used = int(Path("/proc/self/status").read_text().partition("VmData:")[2].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + 2**28, used + 2**28))
    loader = BatchLoader(data, small, 0, torch.device("cpu"))

    for step in range(3):
        assert loader.batch(step).real.shape == (8, 3, 32, 32)
    with pytest.raises((MemoryError, RuntimeError)):
        np.array(images)  # the limit is one


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="limits of memory are those of Linux"
)
def test_images_may_be_larger_than_memory(forkserver, small, tmp_path):
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(2**31)  # without blocks on the disk
    process = forkserver.Process(target=use_large, args=(tmp_path, small))
    process.start()
    process.join()
    assert process.exitcode == 0


@pytest.fixture
def broken(tmp_path) -> Path:
    """Six images in two classes, two of which are broken, the first one among them."""
    folder = tmp_path / "broken"
    for i in range(6):
        path = folder / f"class {i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 40), (i * 40, 0, 0)).save(path)
    (folder / "class 0" / "0.png").write_bytes(b"no image")
    path = folder / "class 1" / "3.png"
    path.write_bytes(path.read_bytes()[:-40])
    return folder


def test_a_corrupt_image_ends_the_run_unless_it_is_to_be_skipped(broken):
    with pytest.raises(
        TrainingError, match=r"class 0/0.png in broken cannot be decoded .* or use --skip-corrupt"
    ):
        load(broken)

    for progress in (iter, never):
        data = load(broken, progress, skip_corrupt=True)
        assert data.images[:, 0, 0, 0].tolist() == [80, 160, 40, 200]
        assert data.labels.tolist() == [0, 0, 1, 1]
        assert [sentence.split(" in ")[0] for sentence in data.corrupt] == [
            "the image class 0/0.png",
            "the image class 1/3.png",
        ]


def test_images_that_are_all_corrupt_are_an_error(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"no image")
    with pytest.raises(
        TrainingError, match="none of the 1 images in images can be used: the image a.png"
    ):
        load(tmp_path / "images", skip_corrupt=True)


def test_what_is_skipped_is_counted_and_listed(broken, tmp_path):
    options = [
        "--recipe",
        "digits",
        "--set",
        "generator.width=4",
        "--set",
        "batch_size=4",
        "--steps",
        "1",
    ]
    out = tmp_path / "run"
    result = CliRunner().invoke(
        main, ["--data", str(broken), *options, "--out", str(out), "--skip-corrupt"]
    )

    assert result.exit_code == 0, result.output
    assert "images in broken that cannot be used, and are left out: 2" in result.stderr
    assert "--skip-corrupt" not in result.stderr
    assert "class 1/3.png" in result.stderr
    assert [line.split(" in ")[0] for line in (out / "skipped.txt").read_text().splitlines()] == [
        "the image class 0/0.png",
        "the image class 1/3.png",
    ]
    assert read_config(out).data.images == 4


def pack(*arguments: str | Path) -> str:
    result = CliRunner().invoke(main, ["--pack", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output
