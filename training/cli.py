"""`dcgan-train`: images to a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dcgan.zoo.command import CONTEXT_SETTINGS, Command

if TYPE_CHECKING:
    from dcgan.training.config import Recipe
    from dcgan.training.dataset import Dataset
    from dcgan.training.run import RunConfig


@click.command("dcgan-train", cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option(
    "--data", required=True, help="Images: a folder, a StyleGAN2-ADA/EDM zip, cifar10 (downloaded) or digits."
)
@click.option("--recipe", default="dcgan64-seed", help="Name of a shipped recipe, or a .toml file.")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change one value of the recipe. Repeatable."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run folder to make.")
@click.option("--steps", type=click.IntRange(min=1), help="Batches to train with. [default: from --epochs]")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the data. [default: the recipe's]")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of every random number of the run.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="What to compute on.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    help="bf16 computes convolutions in 16 bits; auto takes the faster one.",
)
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and stop.")
def main(
    *,
    data: str,
    recipe: str,
    changes: tuple[str, ...],
    out: Path,
    steps: int | None,
    epochs: int | None,
    seed: int,
    device: str,
    precision: str,
    dry_run: bool,
) -> None:
    """Trains a generator on images.

    The run folder holds the weights, a line of metrics for each step and grids of samples; dcgan-export turns it into
    a model that can be served. Ctrl-C saves and stops.
    """
    from dcgan.training.config import load_recipe
    from dcgan.training.dataset import decode
    from dcgan.training.progress import counting
    from dcgan.training.run import check_free
    from dcgan.training.sources import open_source
    from dcgan.zoo.record import dump_json

    if steps and epochs:
        raise click.UsageError("--steps and --epochs exclude each other; give one of them.")
    resolved = load_recipe(recipe, changes)
    check_free(out)
    source = open_source(data)
    shape = resolved.generator
    dataset = decode(source, shape.image_size, shape.channels, counting)
    config = _configure(
        recipe=resolved, dataset=dataset, steps=steps, epochs=epochs, seed=seed, device=device, precision=precision
    )
    click.echo(dump_json(config), nl=False)
    if not dry_run:
        _train(config, dataset, out)


def _configure(
    *,
    recipe: Recipe,
    dataset: Dataset,
    steps: int | None,
    epochs: int | None,
    seed: int,
    device: str,
    precision: str,
) -> RunConfig:
    from dcgan.training import machine
    from dcgan.training.errors import TrainingError
    from dcgan.training.run import SCHEMA_VERSION, DataFacts, RunConfig

    images = len(dataset.images)
    if images < recipe.batch_size:
        raise TrainingError(
            f"{dataset.name} has {images} images, fewer than a batch; use --set batch_size={images} or more images"
        )
    device = machine.choose_device(device)
    return RunConfig(
        schema_version=SCHEMA_VERSION,
        recipe=recipe,
        data=DataFacts(
            name=dataset.name,
            images=images,
            image_size=dataset.images.shape[1],
            sha256=dataset.sha256,
            class_names=dataset.class_names,
        ),
        seed=seed,
        steps=steps or (epochs or recipe.epochs) * recipe.steps_per_epoch(images),
        device=device,
        precision=machine.choose_precision(precision, device, recipe),
        hardware=machine.describe_hardware(device),
        versions=machine.library_versions(),
        commit=machine.project_commit(),
    )


def _train(config: RunConfig, dataset: Dataset, out: Path) -> None:
    from dcgan.training.loop import Stop, Trainer, train
    from dcgan.training.progress import Progress
    from dcgan.training.run import RunFolder

    folder = RunFolder(out)
    folder.create(config)
    trainer, stop = Trainer(config, dataset), Stop()
    progress = Progress(config.steps)
    with stop.listening():
        train(trainer, folder, progress, stop)
    progress.close()
    state = "done" if trainer.step == config.steps else "stopped"
    click.echo(f"{state} after {trainer.step} of {config.steps} steps; the generator and its samples are in {out}")
