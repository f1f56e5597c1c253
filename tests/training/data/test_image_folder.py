"""Folders of images."""

import pytest

from dcgan.training.data import image_folder
from dcgan.training.data.decode import DecodeConfig, decode_to_memory
from dcgan.training.data.sources import open_source
from dcgan.training.errors import TrainingError
from tests.training.data.image_files import flat, load, png


@pytest.mark.hostile("Links to folders in a circle", "followed once")
def test_links_are_followed_but_not_round_and_broken_ones_are_counted(tmp_path):
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for folder in (data / "cats", elsewhere):
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes(png(flat(1)))
    (data / "dogs").symlink_to(elsewhere)
    (data / "cats" / "b.png").symlink_to(elsewhere / "a.png")
    (elsewhere / "up").symlink_to(data)
    (data / "cats" / "gone.png").symlink_to(tmp_path / "nowhere")
    (data / "itself").symlink_to(data / "itself")
    source = open_source(str(data))

    assert source.items == ("cats/a.png", "cats/b.png", "dogs/a.png")
    assert source.class_names == ("cats", "dogs")
    assert source.skipped == 2


def test_class_subfolders_are_labels(images):
    data = load(images)
    assert data.images.shape == (20, 32, 32, 3)
    assert data.class_names == ("cats", "dogs")
    assert data.labels.tolist() == [0] * 10 + [1] * 10
    assert data.name == images.name


def test_a_flat_folder_has_no_labels(tmp_path):
    (tmp_path / "b.png").write_bytes(png(flat(200)))
    (tmp_path / "a.JPG").write_bytes(png(flat(100)))
    (tmp_path / ".hidden.png").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("no image")
    data = load(tmp_path)
    assert data.labels is None
    assert data.images[:, 0, 0, 0].tolist() == [100, 200]


def test_an_unpacked_zip_is_read_by_its_labels_and_not_by_its_folders(tmp_path):
    for i, bucket in enumerate(("00000", "00001")):
        (tmp_path / bucket).mkdir()
        (tmp_path / bucket / "img.png").write_bytes(png(flat(i)))
    (tmp_path / "dataset.json").write_text(
        '{"labels": [["00000/img.png", 4], ["00001/img.png", 4]]}'
    )
    assert load(tmp_path).labels.tolist() == [4, 4]


def test_what_is_no_image_is_counted_and_hidden_folders_are_left_out(tmp_path):
    (tmp_path / "a.png").write_bytes(png(flat(1)))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / ".thumbnails" / "a.png").write_bytes(b"no image")
    source = open_source(str(tmp_path))
    assert source.items == ("a.png",)
    assert source.skipped == 2


def test_names_that_utf_8_cannot_hold_are_cleaned(tmp_path):
    for name in ("ok", "bad\udcff"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(png(flat(1)))
    assert load(tmp_path).class_names == ("bad?", "ok")


@pytest.mark.hostile("An image file of 4 GB", "refused unread")
def test_a_png_of_four_gigabytes_is_refused_unread(tmp_path):
    (tmp_path / "a.png").write_bytes(png(flat(7)))
    with (tmp_path / "b.png").open("wb") as file:
        file.write(png(flat(7)))
        file.truncate(2**32)  # without blocks on the disk
    with pytest.raises(TrainingError, match="b.png has over 256 MiB; shrink or remove it"):
        load(tmp_path)
    (tmp_path / "b.png").rename(tmp_path / "b\udcff.png")
    with pytest.raises(TrainingError, match=r"b\?.png has over 256 MiB"):
        load(tmp_path)


@pytest.mark.hostile("A dataset.json of a gigabyte", "its labels are not read; the reason is named")
def test_labels_of_a_gigabyte_are_a_problem_and_are_not_read(tmp_path):
    (tmp_path / "a.png").write_bytes(png(flat(7)))
    with (tmp_path / "dataset.json").open("wb") as file:
        file.truncate(2**30 + 1)  # without blocks on the disk
    source = open_source(str(tmp_path))
    assert source.labels is None
    assert "dataset.json in" in source.labels_problem
    assert "has 1,024 MiB, too much for the labels of 1 images" in source.labels_problem


@pytest.mark.parametrize(
    "folder", ["@eaDir", "__MACOSX", ".thumbnails", "cats/@eaDir/a.png", "#recycle", "$RECYCLE.BIN"]
)
def test_thumbnails_and_hidden_folders_are_ignored_and_counted(tmp_path, folder):
    for name in ("cats/a.png", "dogs/b.png", f"{folder}/thumb.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True) if not path.parent.exists() else None
        path.write_bytes(png(flat(1)))
    source = open_source(str(tmp_path))
    assert source.items == ("cats/a.png", "dogs/b.png")
    assert source.class_names == ("cats", "dogs")
    assert (source.skipped, source.ignored) == (1, 1)


def test_images_may_be_left_out_for_their_size(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(flat(7)))
    with (tmp_path / "b.png").open("ab") as file:
        file.truncate(2**32)  # without blocks on the disk
    config = DecodeConfig(image_size=32, channels=3, skip_corrupt=True)
    data = decode_to_memory(open_source(str(tmp_path)), config, iter)
    assert len(data.images) == 1
    assert "b.png has over 256 MiB" in data.corrupt[0]


@pytest.fixture
def deep_folder(tmp_path):
    """A folder with 1100 parents, which pytest cannot remove: shutil.rmtree is recursive."""
    folder = tmp_path
    for _ in range(1100):
        folder = folder / "d"
        folder.mkdir()
    yield folder

    for path in folder.iterdir():
        path.unlink()
    while folder != tmp_path:
        folder.rmdir()
        folder = folder.parent


def test_folders_may_be_nested_a_thousand_deep(tmp_path, deep_folder):
    (deep_folder / "a.png").write_bytes(png(flat(1)))
    (item,) = open_source(str(tmp_path)).items
    assert item.count("/") == 1100


@pytest.mark.hostile("Folders nested thousands deep", "refused in one sentence")
def test_folders_nested_deeper_than_the_limit_are_refused(tmp_path, deep_folder, monkeypatch):
    monkeypatch.setattr(image_folder, "_MAX_DEPTH", 1000)
    (deep_folder / "a.png").write_bytes(png(flat(1)))
    with pytest.raises(TrainingError, match="nested more than 1,000 deep; move the images up"):
        open_source(str(tmp_path))


@pytest.mark.hostile(
    "Folders that all link to each other, so that there are 20! paths", "refused in one sentence"
)
def test_folders_that_all_link_to_each_other_are_refused(tmp_path):
    names = [f"folder{i}" for i in range(20)]
    for name in names:
        (tmp_path / name).mkdir()
        for other in names:
            (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
    with pytest.raises(TrainingError, match="lead to the folder .* in over 16 ways; remove them"):
        open_source(str(tmp_path))
