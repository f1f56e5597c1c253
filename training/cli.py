"""`dcgan-train`: trains a generator on images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dcgan.core.command_line import CONTEXT_SETTINGS, Command
from dcgan.core.parameter_types import PATH

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@click.command("dcgan-train", cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option(
    "--data", help="Images: a folder, a StyleGAN2-ADA/EDM zip, cifar10 (downloaded) or digits."
)
@click.option(
    "--skip-corrupt", is_flag=True, help="Skip images that cannot be decoded, and list them."
)
@click.option(
    "--background",
    metavar="COLOR",
    show_default="white",
    help="Background color of transparent images: white, black or #rrggbb.",
)
@click.option("--recipe", show_default="dcgan64", help="Name of a shipped recipe, or a .toml file.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one value of the recipe. Repeatable.",
)
@click.option("--out", type=PATH, help="Run folder to create.")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the run in --out, with the same result as if it had not stopped; give --data "
    "and --device again. Starts a new run if there is none.",
)
@click.option(
    "--init-from",
    type=PATH,
    metavar="RUN",
    help="Begin a new run with the networks and the EMA of the run in this folder, and its recipe "
    "unless --recipe names another of the same shape; optimizers and steps start anew.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), help="Training steps (batches). [default: from --epochs]"
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Passes over the data. [default: the recipe's]"
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    show_default="0",
    help="Seed of all random numbers of the run.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    help="Device to train on.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    show_default="auto",
    help="Precision of convolutions; auto chooses the faster one.",
)
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=1),
    default=300,
    help="Time between two checkpoints.",
)
@click.option(
    "--checkpoint-steps",
    type=click.IntRange(min=1),
    help="Steps between two checkpoints, in addition to --checkpoint-seconds.",
)
@click.option(
    "--evaluate-every",
    type=click.IntRange(min=1),
    metavar="STEPS",
    help="Steps between two measurements of KD-Lite0 of 2,000 images; keeps the best generator for "
    "dcgan-export --checkpoint best. Needs the extra `evaluate`.",
)
@click.option(
    "--on-collapse",
    type=click.Choice(["continue", "stop", "rollback"]),
    default="continue",
    help="What to do when the run collapses; rollback returns to the last good checkpoint and "
    "continues with other random numbers.",
)
@click.option(
    "--deterministic",
    is_flag=True,
    help="On a GPU, use only kernels that give the same bits each time; slower.",
)
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and exit.")
@click.option(
    "--pack",
    nargs=2,
    metavar="SOURCE OUT.zip",
    help="Write the images of a source, in the size of the recipe, as a StyleGAN2-ADA/EDM zip, and "
    "exit.",
)
def main(
    *,
    data: str | None,
    out: Path | None,
    skip_corrupt: bool,
    dry_run: bool,
    pack: tuple[str, str] | None,
    **values: Any,  # noqa: ANN401 - click's values
) -> None:
    """Trains a generator on images.

    The run folder gets the weights, the metrics of each step and sample grids; dcgan-export turns
    it into a model that can be served. Ctrl-C saves and stops; --resume continues with the options
    of the run. Options about saving, evaluation and collapse (--checkpoint-..., --evaluate-every,
    --on-collapse) and --skip-corrupt are not remembered and can be changed.
    """
    from dcgan.training.options import TrainOptions
    from dcgan.training.run_images import pack_images
    from dcgan.training.session import Session, run_session

    options = TrainOptions(**_fields_of(TrainOptions, values))
    if pack is not None:
        pack_images(options, *pack, skip_corrupt=skip_corrupt)
        return

    if data is None or (out is None and not dry_run):
        raise click.UsageError(f"Missing option '{'--data' if data is None else '--out'}'.")
    session = Session(
        data=data,
        out=out,
        skip_corrupt=skip_corrupt,
        dry_run=dry_run,
        **_fields_of(Session, values),
    )
    run_session(options, session)


def _fields_of(kind: type[DataclassInstance], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of the options that have the name of a field."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in values.items() if name in names}
