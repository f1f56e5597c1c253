"""dcgan-generate: walks, favourites, WebP and GIF, enlarged pictures and captions."""

import io
import json
import urllib.request

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dcgan.core.captions import add_captions
from dcgan.core.images import decode_png, tile
from dcgan.serving.cli.generate import main


@pytest.fixture
def ask(server, tmp_path):
    """Runs dcgan-generate with an output; gives exit code, what it printed, and the path."""

    def run(name: str, *arguments: str):
        out = tmp_path / "out" / name
        options = ["--target", server.target, "--out", str(out), *arguments]
        result = CliRunner().invoke(main, options)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output, out

    return run


@pytest.fixture
def count_images(server, read_metrics):
    """Counts the images that the server has drawn."""

    def count() -> float:
        series = read_metrics(server).items()
        return sum(value for name, value in series if name.startswith("dcgan_images_total"))

    return count


@pytest.fixture
def write_favourites(tmp_path):
    """Writes a file of favourites, each given by what differs from the first image of tiny."""

    def write(*changes: dict) -> str:
        entry = {"model": "tiny", "version": 2, "seed": "7", "index": "0"}
        path = tmp_path / "favourites.json"
        entries = [entry | change for change in changes]
        path.write_text(json.dumps({"schema_version": 1, "favourites": entries}))
        return str(path)

    return write


def read_frames(path) -> list[np.ndarray]:
    frames = []
    with Image.open(path) as picture:
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            frames.append(np.asarray(picture.convert("RGB")))
    return frames


def walk(client, steps: int, **options) -> np.ndarray:
    return np.concatenate(list(client.interpolate(7, 8, steps, **options)))


def test_a_webp_grid_has_the_pixels_of_the_png(ask, client):
    code, _, out = ask("grid.webp", "--seed", "7", "-n", "5")
    (frame,) = read_frames(out)
    assert code == 0
    assert np.array_equal(frame, tile(client.generate(7, 5)))
    with Image.open(out) as picture:
        assert json.loads(picture.getexif()[0x010E])["dcgan:index"] == "0-4"


def test_a_walk_is_an_animation_with_every_step(ask, client):
    options = ["--seed", "7", "--to-seed", "8", "--steps", "5", "--frame-ms", "50"]
    code, output, out = ask("walk.webp", *options)

    assert code == 0
    assert output == (
        "wrote 5 steps from image 0 of seed 7 to image 0 of seed 8, drawn by tiny version 2, "
        f"to {out}\n"
    )
    assert np.array_equal(read_frames(out), walk(client, 5))
    with Image.open(out) as picture:
        text = json.loads(picture.getexif()[0x010E])
    assert (text["dcgan:to_seed"], text["dcgan:steps"]) == ("8", "5")


def test_a_gif_walk_is_endless_and_bounces(ask, client):
    options = ["--seed", "7", "--to-seed", "8", "--steps", "4", "--bounce", "--scale", "3"]
    code, _, out = ask("walk.gif", *options)
    assert code == 0
    frames = read_frames(out)
    assert len(frames) == 6
    # 8 x 8 pixels have at most 64 colours, which fit in the palette.
    wanted = walk(client, 4).repeat(3, axis=1).repeat(3, axis=2)
    assert np.array_equal(frames, [*wanted, wanted[2], wanted[1]])
    with Image.open(out) as picture:
        assert (picture.info["loop"], picture.info["duration"]) == (0, 80)


def test_the_animation_of_http_has_the_same_frames(ask, server):
    code, _, out = ask("walk.webp", "--seed", "7", "--to-seed", "8", "--steps", "4")
    address = f"{server.url}/v1/models/tiny/2/walks/7-8.webp?steps=4"
    with urllib.request.urlopen(address, timeout=20) as response:
        served = response.read()
    assert code == 0
    assert np.array_equal(read_frames(out), read_frames(io.BytesIO(served)))


def test_a_walk_can_start_and_end_at_any_index_and_be_an_array_or_a_folder(ask, client):
    options = ["--seed", "7", "--to-seed", "8", "--index", "3", "--to-index", "9", "--steps", "3"]
    wanted = walk(client, 3, offset_a=3, offset_b=9)
    assert ask("walk.npy", *options)[0] == 0
    assert np.array_equal(np.load(ask("walk.npy", *options)[2]), wanted)

    code, _, out = ask("walk", *options)
    names = ["000000.png", "000001.png", "000002.png"]
    assert (code, sorted(path.name for path in out.iterdir())) == (0, names)
    assert np.array_equal([decode_png((out / name).read_bytes()) for name in names], wanted)

    code, _, out = ask("sheet.webp", *options, "--format", "grid", "--columns", "3")
    assert np.array_equal(read_frames(out)[0], tile(wanted, 3))


def test_scale_and_columns_shape_a_grid(ask, client):
    options = ["--seed", "7", "-n", "5", "--scale", "4", "--columns", "5"]
    code, _, out = ask("grid.png", *options)
    wanted = tile(client.generate(7, 5).repeat(4, axis=1).repeat(4, axis=2), 5)
    assert (code, wanted.shape) == (0, (32, 160, 3))
    assert np.array_equal(decode_png(out.read_bytes()), wanted)

    code, _, out = ask("folder", "--seed", "7", "--scale", "4")
    assert np.array_equal(decode_png((out / "000000.png").read_bytes()), wanted[:, :32])


def test_indices_are_drawn_in_the_order_given(ask, client):
    code, output, out = ask("some.npy", "--seed", "7", "--index", "17,3,20-22")
    assert (code, "wrote images 17, 3, 20-22 of seed 7" in output) == (0, True)
    wanted = client.generate(7, 23)[[17, 3, 20, 21, 22]]
    assert np.array_equal(np.load(out), wanted)

    code, _, out = ask("some.png", "--seed", "7", "--index", "17,3")
    with Image.open(out) as picture:
        assert picture.text["dcgan:index"] == "17,3"
    code, _, out = ask("some", "--seed", "7", "--index", f"17,{2**64 - 1}")
    assert sorted(path.name for path in out.iterdir()) == ["000017.png", f"{2**64 - 1}.png"]


def test_captions_are_the_indices(ask, client):
    code, _, out = ask("grid.png", "--seed", "7", "--index", "3,17", "--captions", "--scale", "4")
    images = client.generate(7, 18)[[3, 17]].repeat(4, axis=1).repeat(4, axis=2)
    assert code == 0
    assert np.array_equal(decode_png(out.read_bytes()), tile(add_captions(images, ["3", "17"])))


def test_a_label_can_be_given_by_number_only_where_classes_have_no_names(ask, client):
    code, _, out = ask("a.npy", "--seed", "7", "--model", "classy", "--label", "2")
    assert code == 0
    assert np.array_equal(np.load(out), client.generate(7, model="classy", label=2))
    code, output, _ = ask("b.npy", "--seed", "7", "--model", "classy", "--label", "cat")
    assert (code, output) == (2, "Error: --label of model classy must be 0 to 2, not 'cat'\n")


def test_favourites_become_a_grid_of_one_size_in_colour(ask, client, write_favourites):
    grey = {"model": "classy", "seed": "8", "label": 2, "truncation": 0.5}
    file = write_favourites({"index": "3"}, grey)
    code, output, out = ask("grid.png", "--from", file)
    said = "wrote 2 favourites, drawn by tiny version 2 and classy version 2, to"
    assert (code, output) == (0, f"{said} {out}\n")

    first = client.generate(7, offset=3)
    second = client.generate(8, model="classy", label=2, truncation=0.5)
    wanted = tile(np.concatenate([first, second.repeat(3, axis=3)]))
    assert np.array_equal(decode_png(out.read_bytes()), wanted)
    with Image.open(out) as picture:
        assert picture.text["dcgan:images"] == "tiny/2/7/3 classy/2/8/0"

    code, _, out = ask("grid.webp", "--from", file, "--captions")
    assert (code, read_frames(out)[0].shape[1]) == (0, 16)


def test_favourites_become_a_folder_in_their_order(ask, client, write_favourites):
    file = write_favourites({"index": "3"}, {"model": "classy"}, {"index": "3"})
    code, _, out = ask("folder", "--from", file)
    names = [f"{i:04d}-seed-7-index-{index}.png" for i, index in enumerate((3, 0, 3))]
    assert (code, sorted(path.name for path in out.iterdir())) == (0, names)
    with Image.open(out / names[1]) as picture:
        assert (picture.mode, picture.text["dcgan:model"]) == ("L", "classy")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 1}, "there is no model 'tiny' version 1"),
        ({"model": "gone"}, "there is no model 'gone' version 2"),
        ({"label": 1}, "].label must be null, not 1"),
        ({"model": "classy", "label": 3}, "].label must be 0 to 2, not 3"),
    ],
)
def test_a_favourite_that_is_not_served_is_named(ask, write_favourites, change, said):
    code, output, out = ask("grid.png", "--from", write_favourites({}, change))
    assert (code, output.count("\n"), said in output) == (2, 1, True), output
    assert "favourites.json'.favourites[1]" in output
    assert not out.parent.exists()


ONE = ("--seed", "7")
WALK = (*ONE, "--to-seed", "8")


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("a.png", (), "give --seed, or a file with favourites as --from"),
        ("a.png", (*ONE, "--from", "f.json"), "--from names the images itself; leave --seed out"),
        ("a.png", ("--from", "f.json", "-n", "1"), "leave -n out"),
        ("a.png", ("--from", "f.json"), "cannot read 'f.json'"),
        ("a.png", (*ONE, "--index", "3", "-n", "2"), "--index names the images itself"),
        ("a.png", (*ONE, "--index", "3", "--offset", "2"), "leave --offset out"),
        ("a.png", (*ONE, "--index", "3,,4"), "is not a list of indices such as 3,17 or 0-9,20"),
        ("a.png", (*ONE, "--index", "9-3"), "is not a list of indices"),
        ("a.png", (*ONE, "--index", str(2**64)), "is not a list of indices"),
        ("a.png", (*ONE, "--index", "0-5,3"), "names image 3 twice"),
        ("a.png", (*ONE, "--steps", "9"), "--to-seed is missing; leave --steps out"),
        ("a.png", (*WALK, "-n", "9"), "leave -n out"),
        ("a.gif", (*WALK, "--index", "3,4"), "a walk begins at one image"),
        ("a.gif", (*WALK, "--frame-ms", "25"), "--frame-ms must be a multiple of 10, not 25"),
        ("a.gif", (*WALK, "--captions"), "--captions is for grid, not for animation"),
        ("a.png", (*WALK, "--bounce"), "--bounce is for animation, not for grid"),
        ("a.npy", (*ONE, "--scale", "2"), "--scale is for grid or animation or folder, not"),
        ("a", (*ONE, "--columns", "2"), "--columns is for grid, not for folder"),
        ("a.gif", ONE, "a .gif holds an animation from --seed to --to-seed"),
        ("a.png", (*WALK, "--format", "animation"), "an animation is a .webp or .gif"),
        ("a.gif", (*ONE, "--format", "animation"), "give --to-seed"),
        ("a.png", (*ONE, "-n", "4294967295"), "pixels, and 268435456 are allowed"),
        ("a.webp", (*WALK, "--steps", "9999", "--scale", "64"), "268435456 are allowed"),
        ("a.webp", (*ONE, "-n", "64", "--columns", "64", "--scale", "40"), "at most 16383"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_image(
    ask, count_images, name, arguments, said
):
    before = count_images()
    code, output, out = ask(name, *arguments)
    assert (code, output.splitlines()[-1].startswith("Error: ")) == (2, True)
    assert said in output
    assert not out.parent.exists()
    assert count_images() == before


def test_an_array_holds_one_shape(ask, write_favourites):
    code, output, _ = ask("a.npy", "--from", write_favourites({}, {"model": "classy"}))
    assert (code, "an array holds images of one shape" in output) == (2, True)
