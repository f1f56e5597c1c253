"""Resuming a run: what is refused, and what starts over."""

import os
import shutil
from pathlib import Path

import pytest

from dcgan.training.engine.checkpoint import (
    CHECKPOINT,
    GOOD,
)
from tests.training.resumable_runs import OPTIONS, content, invoke

pytestmark = pytest.mark.slow


@pytest.fixture
def stopped(configure, dataset, images, tmp_path) -> Path:
    """A finished run of three steps."""
    out = tmp_path / "run"
    result = invoke("--data", images, *OPTIONS, "--steps", 3, "--out", out)
    assert result.exit_code == 0, result.output
    return out


def test_resuming_a_finished_run_changes_nothing(images, stopped):
    before = content(stopped)
    result = invoke("--data", images, "--out", stopped, "--resume")
    assert result.exit_code == 0, result.output
    assert "done after 3 of 3 steps" in result.output
    assert content(stopped) == before


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--recipe", "digits"], "recipe batch_size = 8, not 32"),
        (["--set", "batch_size=4"], "recipe batch_size = 8, not 4"),
        (["--seed", "1"], "seed = 0, not 1; resume it with the same options"),
        (["--steps", "4"], "steps = 3, not 4"),
        (["--epochs", "40"], "steps = 3, not 80"),
        (["--precision", "bf16"], "precision = fp32, not bf16"),
    ],
)
def test_a_run_is_resumed_only_with_its_own_options(images, stopped, options, what):
    before = content(stopped)
    result = invoke("--data", images, "--out", stopped, "--resume", *options)
    assert result.exit_code == 2
    assert f"was started with {what}" in result.stderr
    assert content(stopped) == before


def test_other_images_are_refused(stopped):
    result = invoke("--data", "digits", "--out", stopped, "--resume")
    assert result.exit_code == 2
    assert "was started with the images of images" in result.stderr
    assert "not scikit-learn digits (1797 of 10 x 10, digest " in result.stderr


def test_the_same_images_in_another_folder_are_accepted(images, stopped, tmp_path):
    shutil.copytree(images, tmp_path / "moved")
    result = invoke("--data", tmp_path / "moved", "--out", stopped, "--resume")
    assert result.exit_code == 0, result.output


def test_without_resume_an_existing_run_is_refused(images, stopped):
    result = invoke("--data", images, "--out", stopped)
    assert result.exit_code == 2
    assert "is not empty" in result.stderr


def test_resume_without_a_run_starts_one(images, tmp_path):
    result = invoke("--data", images, *OPTIONS, "--steps", 2, "--out", tmp_path / "run", "--resume")
    assert result.exit_code == 0, result.output
    assert "done after 2 of 2" in result.output


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_damaged_checkpoint_is_refused_and_nothing_is_changed(images, stopped, damage):
    path = stopped / CHECKPOINT
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-5] ^= 64
    path.write_bytes(
        {"cut": data[:-1], "flip": data, "empty": b"", "text": b"\x80\x04import os"}[damage]
    )
    before = content(stopped)
    result = invoke("--data", images, "--out", stopped, "--resume")

    assert result.exit_code == 2
    assert "checkpoint.safetensors is damaged" in result.stderr
    assert content(stopped) == before


def test_metrics_that_lack_steps_are_refused(images, stopped):
    path = stopped / "metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    result = invoke("--data", images, "--out", stopped, "--resume")
    assert result.exit_code == 2
    assert "metrics.jsonl lacks some of the first 3 steps" in result.stderr


@pytest.mark.parametrize("damage", ["text", "order", "bytes", "list"])
def test_damaged_metrics_are_refused(images, stopped, damage):
    path = stopped / "metrics.jsonl"
    first, second, third = path.read_bytes().splitlines(keepends=True)
    damaged = {"text": b"{\n", "order": third, "bytes": b"\xff\n", "list": b"[2]\n"}[damage]
    path.write_bytes(first + damaged + (second if damage == "order" else third))
    result = invoke("--data", images, "--out", stopped, "--resume")
    assert result.exit_code == 2
    assert "metrics.jsonl is damaged: its line 2 is not step 2" in result.stderr


@pytest.mark.parametrize(
    ("kept", "cure"),
    [
        (["good.safetensors"], "copy good.safetensors to that name"),
        (["generator.safetensors"], "restore it, or choose another --out"),
        (["metrics.jsonl"], "restore it, or choose another --out"),
    ],
)
def test_a_run_that_has_lost_its_checkpoint_does_not_start_over(images, stopped, kept, cure):
    for path in stopped.iterdir():
        if path.is_file() and path.name not in ["config.json", *kept]:
            path.unlink()
    before = content(stopped)
    result = invoke("--data", images, "--out", stopped, "--resume")

    assert result.exit_code == 2
    assert (
        f"checkpoint.safetensors is missing although the run has started; {cure}" in result.stderr
    )
    assert {name: data for name, data in content(stopped).items() if name != ".lock"} == {
        name: data for name, data in before.items() if name != ".lock"
    }


def test_the_good_checkpoint_can_replace_a_damaged_one(images, stopped):
    path = stopped / CHECKPOINT
    whole = path.read_bytes()
    with path.open("r+b") as file:  # in place: a second name of the same file would be damaged, too
        file.seek(-5, os.SEEK_END)
        file.write(b"\xff\x00\xff")
    result = invoke("--data", images, "--out", stopped, "--resume")

    assert result.exit_code == 2
    assert (
        "good.safetensors beside it is intact: copy it to checkpoint.safetensors and resume"
        in result.stderr
    )
    path.write_bytes((stopped / GOOD).read_bytes())
    assert path.read_bytes() == whole
    assert invoke("--data", images, "--out", stopped, "--resume").exit_code == 0
