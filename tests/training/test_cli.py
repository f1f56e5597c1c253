"""The command as a user runs it: in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from dcgan.training.cli import main
from dcgan.training.run_folder import read_run

COMMAND = [sys.executable, "-m", "dcgan.training"]
SMALL = ["--recipe", "digits", "--set", "generator.width=4", "--set", "discriminator.width=4"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=ENVIRONMENT
    )


@pytest.mark.slow
def test_images_become_a_run_folder(tmp_path, images):
    result = run(
        "--data",
        images,
        *SMALL,
        "--set",
        "batch_size=8",
        "--epochs",
        "1",
        "--out",
        tmp_path / "run",
    )

    assert result.returncode == 0, result.stderr
    assert "done after 2 of 2 steps" in result.stdout
    assert "2 steps of 8 images (" in result.stdout.splitlines()[0]
    assert "{" not in result.stdout  # the configuration is in config.json
    assert read_run(tmp_path / "run").training.images_seen == 16
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["class_names"] == ["cats", "dogs"]
    assert config["precision"] == "fp32"
    assert str(tmp_path) not in json.dumps(config)


@pytest.mark.slow
def test_a_dry_run_needs_no_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["--data", "digits", *SMALL, "--dry-run"])
    assert (result.exit_code, json.loads(result.stdout)["data"]["images"]) == (0, 1797)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_prints_the_configuration_and_writes_nothing(tmp_path):
    result = CliRunner().invoke(
        main, ["--data", "digits", *SMALL, "--out", str(tmp_path / "run"), "--dry-run"]
    )
    assert result.exit_code == 0, result.output
    config = json.loads(result.stdout)
    assert f"{config['steps']:,} steps of " in result.stderr
    assert config["recipe"]["generator"]["width"] == 4
    assert config["steps"] == config["recipe"]["epochs"] * (1797 // config["recipe"]["batch_size"])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bound", "augment"), [(19, []), (20, []), (21, ["colour"]), (0, ["colour"])]
)
def test_many_images_are_not_augmented(tmp_path, images, bound, augment):
    """The folder has 20 images."""
    chosen = [
        "--set",
        "batch_size=20",
        "--set",
        "augment=['colour']",
        "--set",
        f"augment_below={bound}",
    ]
    arguments = ["--data", images, *SMALL, *chosen, "--steps", "1", "--out", tmp_path / "run"]

    for more in ([], ["--resume"]):  # by its name, the recipe means the same when the run goes on
        result = CliRunner().invoke(main, [str(each) for each in arguments + more])
        assert result.exit_code == 0, result.output
        config = json.loads((tmp_path / "run" / "config.json").read_text())
        assert config["recipe"]["augment"] == augment


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_exits_with_its_code(tmp_path, number, code):
    options = ["--data", "digits", *SMALL, "--steps", "100000", "--out", str(tmp_path / "run")]
    command = [*COMMAND, *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not (metrics.exists() and metrics.stat().st_size) and process.poll() is None:
        time.sleep(0.01)  # until it has taken its first steps
    process.send_signal(number)
    out, errors = process.communicate(timeout=60)

    assert process.returncode == code, errors
    assert "stopped after" in out
    assert "Traceback" not in errors
    steps = len(metrics.read_text().splitlines())
    assert f"stopped after {steps} of 100000" in out
    assert read_run(tmp_path / "run").training.images_seen > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere", "--out", "run"], "there is no data source 'nowhere'"),
        (
            ["--data", "digits", "--out", "run", "--recipe", "dcgan64-sed"],
            "did you mean 'dcgan64-seed'",
        ),
        (["--data", "digits", "--out", "run", "--set", "generator_adam.rate=0"], "above 0"),
        (
            ["--data", "digits", "--out", "run", "--set", "batch_size=2000"],
            "fewer images (1797) than a batch (2000)",
        ),
        (
            [
                "--data",
                "digits",
                "--out",
                "run",
                "--recipe",
                "cdcgan64",
                "--set",
                "generator.classes=7",
                "--set",
                "discriminator.classes=7",
                "--set",
                "generator.channels=1",
                "--set",
                "discriminator.channels=1",
            ],
            "needs 7 classes but scikit-learn digits has 10; use --set generator.classes=10",
        ),
        (
            ["--data", "digits", "--out", "run", "--steps", "5", "--epochs", "5"],
            "exclude each other",
        ),
        (["--data", "digits", "--out", "run", "--steps", "0"], "--steps"),
        (["--data", "digits", "--out", "run", "--seed", "-1"], "--seed"),
        (["--data", "digits", "--out", "."], "is not empty"),
        (
            ["--data", "digits", "--out", "run", "--set", "name=mine"],
            "--set cannot change the name of a recipe",
        ),
        (["--data", "digits"], "--out"),
        (["--out", "run"], "--data"),
        (["--data", "digits", "--out", "run", "--set", "generator_adam.rate=nan"], "finite"),
    ],
)
def test_mistakes_end_with_code_2_and_a_sentence(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("something").write_text("mine")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["something"]


def test_one_image_is_fewer_than_a_batch_and_trains_as_a_batch_of_one(tmp_path):
    (tmp_path / "one").mkdir()
    Image.new("L", (50, 40), 99).save(tmp_path / "one" / "a.png")
    options = [
        "--data",
        str(tmp_path / "one"),
        *SMALL,
        "--out",
        str(tmp_path / "run"),
        "--steps",
        "2",
    ]
    result = CliRunner().invoke(main, options)

    assert result.exit_code == 2
    assert (
        "one has fewer images (1) than a batch (32); add some, or use --set batch_size=1"
        in result.stderr
    )
    result = CliRunner().invoke(main, [*options, "--set", "batch_size=1"])
    assert result.exit_code == 0, result.output
    assert read_run(tmp_path / "run").training.images_seen == 2


@pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="there is a GPU")
def test_cuda_where_there_is_none_is_refused(tmp_path):
    result = CliRunner().invoke(
        main, ["--data", "digits", "--device", "cuda", "--out", str(tmp_path / "run")]
    )
    assert result.exit_code == 2
    assert "no CUDA device" in result.stderr


def test_help_comes_without_torch():
    code = (
        "import sys; from dcgan.training.cli import main; main(['--help'], standalone_mode=False)"
    )
    code += "; assert 'torch' not in sys.modules"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "--recipe" in result.stdout


@pytest.mark.hostile("Terminal escapes in file names of a data set", "shown as `\\u001b`")
def test_what_is_left_out_is_counted_and_shown_without_terminal_escapes(tmp_path):
    data = tmp_path / "photos"
    for name in ("a.png", "b.png", "bad\x1b[31m.png", "@eaDir/a.png/thumb.png", "notes.txt"):
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 40), 99).save(path, format="PNG")
    (data / "bad\x1b[31m.png").write_bytes(b"no image")
    (data / "dataset.json").write_text('{"labels": [["a.png", [0.5, 0.5]], ["b.png", 1]]}')
    out = tmp_path / "run"
    options = ["--data", str(data), *SMALL, "--set", "batch_size=2", "--steps", "1"]
    result = CliRunner().invoke(main, [*options, "--out", str(out), "--skip-corrupt"])

    assert result.exit_code == 0, result.output
    assert "files in photos that are not images, and are left out: 1 (1 .txt)" in result.stderr
    assert "files in hidden and thumbnail folders of photos, left out: 1" in result.stderr
    assert "images in photos that cannot be used, and are left out: 1" in result.stderr
    assert "labels are not used: dataset.json in" in result.stderr
    assert "the image bad\\u001b[31m.png in photos cannot be decoded" in result.stderr
    for text in (result.stderr, (out / "skipped.txt").read_text()):
        assert "\x1b" not in text


def test_recipes_that_mirror_images_say_so(tmp_path):
    result = CliRunner().invoke(
        main, ["--data", "digits", *SMALL, "--set", "flip=true", "--dry-run"]
    )
    assert "half of the images are mirrored at random" in result.stderr
    assert "--set flip=false" in result.stderr


def test_the_background_is_told_recorded_and_kept(tmp_path):
    images = tmp_path / "icons"
    images.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("LA", (32, 32), (200, 0)).save(images / name)
    options = [
        "--data",
        str(images),
        *SMALL,
        "--set",
        "batch_size=2",
        "--out",
        str(tmp_path / "run"),
    ]
    result = CliRunner().invoke(main, [*options, "--steps", "1", "--background", "#000000"])
    assert result.exit_code == 0, result.output
    assert "transparent images in icons, laid on black: 2" in result.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["background"] == "black"
    assert read_run(tmp_path / "run").training.data == (
        "icons, 2 images, transparent pixels on black"
    )

    assert CliRunner().invoke(main, [*options, "--resume"]).exit_code == 0
    result = CliRunner().invoke(main, [*options, "--resume", "--background", "white"])
    assert (result.exit_code, "background = black, not white" in result.output) == (2, True)
