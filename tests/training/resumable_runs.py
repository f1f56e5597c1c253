"""Runs that tests stop and resume: their options, their files, and the command."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from dcgan.training.cli import main

OPTIONS = [
    "--recipe", "digits",
    "--set", "generator.width=4", "--set", "discriminator.width=4",
    "--set", "discriminator.norm=spectral", "--set", "batch_size=8", "--set", "average_images=50",
    "--set", "decay_from=0.5", "--set", "flip=true",
    "--set", "augment=['colour','translation','cutout']",
    "--set", "sample_steps=10", "--set", "keep_epochs=2",
    "--checkpoint-steps", "3",
]  # fmt: skip


def content(folder: Path) -> dict[str, bytes]:
    """Returns all files without those that hold clock times (TensorBoard) or a commit (config)."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "config.json")
    files = (path for path in files if path.parent.name != "tensorboard")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def invoke(*options: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, options)])
