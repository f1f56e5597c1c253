"""dcgan-generate: what it writes, and what it says when that does not work."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dcgan.core.images import decode_png, tile
from dcgan.serving.cli.generate import main


@pytest.fixture
def ask(server):
    """dcgan-generate against the server: gives its exit code and what it printed."""

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["--target", server.target, *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output

    return run


def test_a_grid_an_array_and_a_folder_hold_the_same_images(ask, client, tmp_path):
    wanted = client.generate(7, 10, offset=5)
    for name in ("grid.png", "images.npy", "folder"):
        code, output = ask(
            "--seed", "7", "-n", "10", "--offset", "5", "--out", str(tmp_path / name)
        )
        said = "wrote images 5 to 14 of seed 7, drawn by tiny version 2, to"
        assert (code, output) == (0, f"{said} {tmp_path / name}\n")

    np.testing.assert_array_equal(decode_png((tmp_path / "grid.png").read_bytes()), tile(wanted))
    np.testing.assert_array_equal(np.load(tmp_path / "images.npy"), wanted)
    pictures = sorted((tmp_path / "folder").iterdir())
    assert [picture.name for picture in pictures] == [f"{i:06d}.png" for i in range(5, 15)]
    np.testing.assert_array_equal(
        [decode_png(picture.read_bytes()) for picture in pictures], wanted
    )
    assert {path.name for path in tmp_path.iterdir()} == {"grid.png", "images.npy", "folder"}


def test_options_reach_the_server(ask, client, tmp_path):
    out = tmp_path / "images"
    options = [
        "--model",
        "classy",
        "--model-version",
        "2",
        "--label",
        "1",
        "--truncation",
        "0.5",
        "--format",
        "npy",
    ]

    assert ask("--seed", "3", "-n", "4", "--out", str(out), *options)[0] == 0
    np.testing.assert_array_equal(
        np.load(out), client.generate(3, 4, model="classy", label=1, truncation=0.5)
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "nobody"), "there is no model 'nobody'"),
        (("--label", "1"), "leave --label out"),
        (("--seed", "-1"), "--seed"),
        (("-n", "0"), "-n"),
    ],
)
def test_a_refusal_is_one_sentence_and_nothing_is_written(ask, tmp_path, options, said):
    out = tmp_path / "grid.png"
    code, output = ask("--seed", "7", "--out", str(out), *options)
    assert code == 2
    assert said in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_without_a_server_it_says_what_to_do(nobody, tmp_path):
    result = CliRunner().invoke(
        main, ["--seed", "7", "--out", str(tmp_path / "a.png"), "--target", nobody]
    )
    assert result.exit_code == 2
    assert result.output == (
        f"Error: no server answers at {nobody}; "
        "start one with dcgan-serve, or name the right target\n"
    )


def test_a_folder_with_something_in_it_is_left_alone(ask, tmp_path):
    (tmp_path / "mine").write_text("precious")
    code, output = ask("--seed", "7", "--out", str(tmp_path))
    assert (code, "is not an empty folder" in output) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["pics.jpg", "pics.AVIF"])
def test_a_picture_of_another_format_is_refused_and_is_no_folder(ask, tmp_path, name):
    code, output = ask("--seed", "7", "--out", str(tmp_path / name))
    said = "the formats for pictures are .png, .webp and .gif"
    assert (code, said in output) == (2, True)
    assert list(tmp_path.iterdir()) == []
    assert ask("--seed", "7", "--out", str(tmp_path / name), "--format", "folder")[0] == 0


def test_a_place_that_cannot_be_written_is_said(ask, tmp_path):
    (tmp_path / "file").write_text("")
    code, output = ask("--seed", "7", "--out", str(tmp_path / "file" / "grid.png"))
    assert (code, "cannot write" in output) == (2, True)


def test_more_images_than_there_is_memory_for_are_refused(ask, tmp_path):
    code, output = ask(
        "--seed",
        "7",
        "-n",
        "4294967295",
        "--out",
        str(tmp_path / "all.npy"),
        "--timeout-s",
        "86400",
    )

    assert (code, output.count("\n")) == (2, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_is_said(ask, tmp_path):
    code, output = ask("--seed", "7", "--out", str(tmp_path / ("x" * 300)))
    assert (code, "cannot write" in output) == (2, True)


def test_many_images_are_shown_as_they_come(ask, client, tmp_path):
    code, output = ask("--seed", "7", "-n", "300", "--out", str(tmp_path / "many.npy"))
    # There is no terminal, and so no bar.
    said = "wrote images 0 to 299 of seed 7, drawn by tiny version 2, to"
    assert (code, output) == (0, f"{said} {tmp_path / 'many.npy'}\n")
    np.testing.assert_array_equal(np.load(tmp_path / "many.npy"), client.generate(7, 300))


def test_a_png_says_what_it_shows(ask, client, tmp_path):
    options = ["--model", "classy", "--label", "1", "--truncation", "0.5", "--offset", "5"]
    assert ask("--seed", "7", "-n", "3", "--out", str(tmp_path / "grid.png"), *options)[0] == 0
    assert ask("--seed", "7", "-n", "3", "--out", str(tmp_path / "folder"), *options)[0] == 0
    text = {
        "Software": "dcgan-generate",
        "dcgan:model": "classy",
        "dcgan:version": "2",
        "dcgan:digest": client.model("classy").digest,
        "dcgan:seed": "7",
        "dcgan:label": "1",
        "dcgan:truncation": "0.5",
    }

    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.text == text | {"dcgan:index": "5-7"}
    with Image.open(tmp_path / "folder" / "000006.png") as picture:
        assert picture.text == text | {"dcgan:index": "6"}


def test_equal_requests_write_equal_files(ask, tmp_path):
    for name in ("a.png", "b.png"):
        ask("--seed", "7", "-n", "3", "--out", str(tmp_path / name))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_array_is_what_numpy_writes(ask, client, tmp_path):
    ask("--seed", "7", "-n", "3", "--out", str(tmp_path / "a.npy"))
    np.save(tmp_path / "b.npy", client.generate(7, 3))
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_a_file_is_replaced_and_that_is_said(ask, tmp_path):
    out = tmp_path / "grid.png"
    for n, said in ((1, f"to {out}\n"), (2, f"to {out} in place of what was there\n")):
        code, output = ask("--seed", "7", "-n", str(n), "--out", str(out))
        assert (code, output.endswith(said)) == (0, True)


@pytest.mark.hostile("A full disk under `dcgan-generate`", "one sentence with the reason")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("named", ["npy", "grid"])
def test_a_full_disk_is_said_with_its_reason(ask, named):
    code, output = ask("--seed", "7", "-n", "64", "--out", "/dev/full", "--format", named)
    problem = "cannot write '/dev/full': No space left on device; name another --out"
    assert (code, output) == (2, f"Error: {problem}\n")
    assert Path("/dev/full").is_char_device()


@pytest.mark.slow
def test_what_was_there_stays_when_there_is_no_room(server, entry_point, tmp_path):
    for name in ("grid.png", "images.npy"):
        out = tmp_path / name
        out.write_text("precious")
        options = ["--target", server.target, "--seed", "7", "-n", "64", "--out", str(out)]
        done = run_with_small_files([*entry_point("generate"), *options])
        assert done.returncode == 2
        assert done.stderr.endswith("File too large; name another --out\n")
        assert out.read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.hostile("A full disk under `dcgan-bench --json`", "a whole report, or none")
def test_a_report_is_whole_or_not_written(server, entry_point, tmp_path):
    out = tmp_path / "report.json"
    options = ["--target", server.target, "--duration-s", "0.1", "--warmup-s", "0"]
    done = run_with_small_files([*entry_point("bench"), *options, "--json", str(out)])
    assert done.returncode == 2
    assert done.stderr.endswith("File too large; name another --json\n")
    assert list(tmp_path.iterdir()) == []


def run_with_small_files(command: list[str]) -> subprocess.CompletedProcess:
    """Runs a command that can write no file of more than 100 bytes, bytecode included."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    # Bytecode that is cut off at the limit would break every later import.
    limit += "; import sys; sys.dont_write_bytecode = True"
    command = [command[0], "-c", f"{limit}; {command[2]}", *command[3:]]
    # Coverage would not fit into 100 bytes either, and say so on standard error.
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("COVERAGE_")}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=environment
    )
