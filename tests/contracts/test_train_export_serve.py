"""Train, export, serve and generate: the real commands, one after another, on real images."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan.serving.client import Client
from dcgan.serving.launch import launch_server

pytestmark = pytest.mark.slow

COMMANDS = Path(sys.executable).parent
TRAIN = ("dcgan-train", "--data", "digits", "--recipe", "digits", "--out", "run")


def run(cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the project from a folder that is not the checkout."""
    return subprocess.run(
        [str(COMMANDS / command[0]), *command[1:]],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def run_well(cwd: Path, *command: str) -> str:
    result = run(cwd, *command)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps on the digits, and the model exported from it."""
    folder = tmp_path_factory.mktemp("workspace")
    run_well(folder, *TRAIN, "--steps", "20")
    run_well(folder, "dcgan-export", "run", "--out", "models", "--name", "digits")
    return folder


def test_the_run_folder_tells_everything(workspace: Path):
    run_folder = workspace / "run"
    config = json.loads((run_folder / "config.json").read_text())
    assert str(workspace) not in json.dumps(config)
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 21))
    assert {"loss_D", "loss_G", "score_D", "score_G1", "score_G2"} <= lines[0].keys()
    assert (run_folder / "generator.safetensors").is_file()
    assert (run_folder / "discriminator.safetensors").is_file()
    assert (run_folder / "samples" / "real.png").is_file()


def test_the_model_folder_holds_both_formats_and_their_parity_report(workspace: Path):
    folder = workspace / "models" / "digits" / "1"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {file["path"] for file in manifest["files"]} | {"manifest.json"} == {
        p.name for p in folder.iterdir()
    }
    assert {"generator.onnx", "generator.ts", "generator.safetensors"} <= {
        p.name for p in folder.iterdir()
    }
    assert all(verdict["passed"] for verdict in manifest["parity"])
    assert {verdict["path"] for verdict in manifest["parity"]} >= {"generator.onnx", "generator.ts"}


@contextmanager
def serving(folder: Path, *more: str) -> Iterator[str]:
    """A server of the models in a folder, on a free port; gives its address."""
    options = ("--model-repository", "models", "--port", "0", "--metrics-port", "0", *more)
    command = [str(COMMANDS / "dcgan-serve"), *options]
    with launch_server(command, cwd=folder) as server:
        yield server.address
    assert server.process.returncode == 0


@pytest.fixture(scope="module")
def address(workspace: Path) -> Iterator[str]:
    """A server of the exported model."""
    with serving(workspace) as address:
        yield address


def test_generate_draws_a_grid_a_folder_and_an_array_of_the_same_images(
    workspace: Path, address: str
):
    options = ("--seed", "7", "-n", "6", "--target", address)
    for out in ("grid.png", "images.npy", "folder"):
        run_well(workspace, "dcgan-generate", *options, "--out", out)
    images = np.load(workspace / "images.npy")

    assert images.shape == (6, 32, 32, 1)
    files = sorted((workspace / "folder").iterdir())
    assert len(files) == 6
    assert all(
        np.array_equal(np.asarray(Image.open(file)), image[:, :, 0])
        for file, image in zip(files, images, strict=True)
    )
    grid = np.asarray(Image.open(workspace / "grid.png"))
    assert np.array_equal(grid[:32, :32], images[0, :, :, 0])


def test_an_offset_names_the_same_image(workspace: Path, address: str):
    for out, options in (("all.npy", ("-n", "5")), ("last.npy", ("--offset", "4"))):
        run_well(
            workspace, "dcgan-generate", "--seed", "9", *options, "--out", out, "--target", address
        )
    assert np.array_equal(np.load(workspace / "all.npy")[4:], np.load(workspace / "last.npy"))


def test_the_served_images_are_those_of_the_torchscript_file(workspace: Path, address: str):
    torch = pytest.importorskip("torch")
    from dcgan.core.noise import latents

    run_well(
        workspace,
        "dcgan-generate",
        "--seed",
        "3",
        "-n",
        "8",
        "--out",
        "served.npy",
        "--target",
        address,
    )
    folder = workspace / "models" / "digits" / "1"
    latent_size = json.loads((folder / "manifest.json").read_text())["latent_size"]
    with pytest.warns(Warning, match="torch.jit"):
        module = torch.jit.load(folder / "generator.ts")
    expected = module(torch.from_numpy(latents(3, 0, 8, latent_size))).numpy()
    difference = np.abs(np.load(workspace / "served.npy").astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001


def test_no_command_overwrites_what_is_there(workspace: Path):
    before = (workspace / "run" / "generator.safetensors").read_bytes()
    again = run(workspace, *TRAIN, "--steps", "1")

    assert again.returncode == 2
    assert len(again.stderr.strip().splitlines()[-1]) > 20
    assert "Traceback" not in again.stderr
    assert (workspace / "run" / "generator.safetensors").read_bytes() == before
    same = run(
        workspace, "dcgan-export", "run", "--out", "models", "--name", "digits", "--version", "1"
    )
    assert same.returncode == 2
    assert "never changed" in same.stderr


@pytest.fixture(scope="module")
def labelled_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with classes: a digit for each label, in every format."""
    folder = tmp_path_factory.mktemp("labelled")
    classes = ("--set", "generator.classes=10", "--set", "discriminator.classes=10")
    run_well(folder, *TRAIN, "--steps", "20", *classes)
    formats = ("--onnx", "--torchscript", "--pt2", "--safetensors", "--int8", "--fp16")
    run_well(folder, "dcgan-export", "run", "--out", "models", "--name", "digits", *formats)
    return folder


@pytest.fixture(scope="module", params=["fp32", "int8"])
def labelled_address(labelled_workspace: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A server of one of its precisions."""
    with serving(labelled_workspace, "--precision", request.param) as address:
        yield address


def test_a_label_asked_for_is_the_label_that_is_served(
    labelled_workspace: Path, labelled_address: str
):
    import onnxruntime

    from dcgan.core.noise import latents

    with Client(labelled_address) as client:
        (model,) = client.models()
        assert (model.classes, len(model.class_names)) == (10, 10)
        sevens = client.generate(seed=4, n=5, label=7)
        in_turn = client.generate(seed=4, n=12)
    name = "generator.onnx" if model.precision == "fp32" else f"generator.{model.precision}.onnx"
    session = onnxruntime.InferenceSession(
        labelled_workspace / "models" / "digits" / "1" / name, providers=["CPUExecutionProvider"]
    )
    z = latents(4, 0, 12, model.latent_size)
    expected = session.run(None, {"z": z[:5], "label": np.full(5, 7)})[0]
    assert np.array_equal(sevens, expected)
    assert np.array_equal(in_turn, session.run(None, {"z": z, "label": np.arange(12) % 10})[0])
    assert not np.array_equal(sevens, in_turn[:5])


def test_a_model_with_classes_is_checked_again_and_verified(labelled_workspace: Path):
    verified = run_well(
        labelled_workspace,
        "dcgan-zoo",
        "--model-repository",
        "models",
        "verify",
        "digits",
        "--parity",
    )
    *skipped, verdict = verified.splitlines()

    assert verdict.startswith("ok ")
    assert skipped
    assert all(line.startswith("skipped generator.") for line in skipped)
