"""The options of `dcgan-export`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dcgan.core.parameter_types import PATH, TEXT
from dcgan.zoo.license import NO_LICENSE

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("run", type=PATH, required=False),
    click.option(
        "--out",
        "repository",
        type=PATH,
        help="Model repository to publish in.",
    ),
    click.option(
        "--checkpoint",
        type=click.Choice(["last", "best"]),
        default="last",
        help="Which generator of the run to export; best is the one with the smallest KD-Lite0 "
        "that dcgan-train --evaluate-every found.",
    ),
    click.option("--name", help="Name of the model: a-z, 0-9, '.', '_', '-'."),
    click.option(
        "--version",
        type=click.IntRange(1, 2**31 - 1),
        show_default="the next one",
        help="Version of the model.",
    ),
    click.option(
        "--onnx",
        is_flag=True,
        help="Write ONNX. If none of --onnx, --torchscript, --safetensors and --pt2 is given, "
        "the first three are written.",
    ),
    click.option("--torchscript", is_flag=True, help="Write TorchScript."),
    click.option(
        "--safetensors",
        is_flag=True,
        help="Write the weights as safetensors. RUN may then be a model folder that has none: "
        "a copy with them is published in --out.",
    ),
    click.option(
        "--pt2",
        is_flag=True,
        help="Write an exported program (torch.export), TorchScript's successor.",
    ),
    click.option(
        "--int8", is_flag=True, help="Also write an ONNX file quantized to int8, for CPUs."
    ),
    click.option(
        "--fp16", is_flag=True, help="Also write an ONNX file that computes in float16, for CUDA."
    ),
    click.option(
        "--target",
        type=click.Choice(["cpu", "cuda"]),
        default="cpu",
        help="Provider on which the float32 ONNX graph should be fast; it runs on both.",
    ),
    click.option(
        "--weights",
        type=click.Choice(["fp32", "fp16"]),
        default="fp32",
        help="Release the weights as trained, or rounded to float16 at half the size.",
    ),
    click.option(
        "--license",
        type=TEXT,
        default=NO_LICENSE,
        metavar="SPDX",
        help="SPDX identifier of the model's licence.",
    ),
    click.option(
        "--description",
        type=TEXT,
        default="",
        show_default="the recipe's description",
        help="What the model generates, in a sentence.",
    ),
    click.option(
        "--triton",
        type=PATH,
        metavar="DIR",
        help="Also add the ONNX files to this Triton model repository; RUN may then be a model "
        "folder.",
    ),
    click.option(
        "--check",
        type=PATH,
        metavar="MODEL_FOLDER",
        help="Verify a released model again, and exit.",
    ),
    click.option(
        "--trust-code",
        is_flag=True,
        help="With --check or a model folder, also load TorchScript and .pt2 files, which can run "
        "code.",
    ),
    click.option(
        "--verbose",
        is_flag=True,
        help="Print the seconds of each step, and what ONNX Runtime logs (a lot on CUDA).",
    ),
    click.option("--dry-run", is_flag=True, help="Print the resolved options, and exit."),
)


def export_options(command: F) -> F:
    """Adds the options to a command, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
