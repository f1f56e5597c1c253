"""`dcgan-train`: images to a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dcgan.zoo.command import CONTEXT_SETTINGS, Command

if TYPE_CHECKING:
    from dcgan.training.checkpoint import Cadence
    from dcgan.training.dataset import Dataset
    from dcgan.training.run import RunConfig


@click.command("dcgan-train", cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option(
    "--data", required=True, help="Images: a folder, a StyleGAN2-ADA/EDM zip, cifar10 (downloaded) or digits."
)
@click.option("--recipe", show_default="dcgan64", help="Name of a shipped recipe, or a .toml file.")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change one value of the recipe. Repeatable."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run folder to make.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, exactly as if it had never stopped.")
@click.option("--steps", type=click.IntRange(min=1), help="Batches to train with. [default: from --epochs]")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the data. [default: the recipe's]")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), show_default="0", help="Of every random number of the run.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="What to compute on.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    show_default="auto",
    help="bf16 computes convolutions in 16 bits; auto takes the faster one.",
)
@click.option(
    "--checkpoint-seconds", type=click.FloatRange(min=1), default=300, help="Time from one checkpoint to the next."
)
@click.option(
    "--checkpoint-steps", type=click.IntRange(min=1), help="Write a checkpoint after every so many steps too."
)
@click.option(
    "--on-collapse",
    type=click.Choice(["continue", "stop"]),
    default="continue",
    help="What to do when the discriminator has won, beyond saying so.",
)
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and stop.")
def main(
    *,
    data: str,
    recipe: str | None,
    changes: tuple[str, ...],
    out: Path,
    resume: bool,
    steps: int | None,
    epochs: int | None,
    seed: int | None,
    device: str,
    precision: str | None,
    checkpoint_seconds: float,
    checkpoint_steps: int | None,
    on_collapse: str,
    dry_run: bool,
) -> None:
    """Trains a generator on images.

    The run folder holds the weights, a line of metrics for each step and grids of samples; dcgan-export turns it into
    a model that can be served. Ctrl-C saves and stops; --resume goes on, with the options of the run unless they are
    given again.
    """
    from dcgan.training.checkpoint import Cadence
    from dcgan.training.dataset import decode
    from dcgan.training.progress import counting
    from dcgan.training.run import CONFIG, check_free, read_config
    from dcgan.training.sources import open_source
    from dcgan.training.wishes import Wishes, check_same
    from dcgan.zoo.record import dump_json

    saved = read_config(out) if resume and os.path.isfile(out / CONFIG) else None
    if resume and saved is None:
        click.echo(f"there is no run in {out} to resume: this is a new one", err=True)
    if saved is None:
        check_free(out)
    wishes = Wishes(
        recipe=recipe, changes=changes, steps=steps, epochs=epochs, seed=seed, device=device, precision=precision
    )
    resolved = wishes.resolve_recipe(saved)
    source = open_source(data)
    if source.skipped:
        click.echo(f"{source.skipped} files in {source.name} are no images and are left out", err=True)
    dataset = decode(source, resolved.generator.image_size, resolved.generator.channels, counting)
    config = wishes.configure(resolved, dataset, saved)
    if saved is not None:
        check_same(saved, config)
    click.echo(dump_json(config), nl=False)
    if not dry_run:
        cadence = Cadence(checkpoint_seconds, checkpoint_steps)
        _train(config, dataset, out, cadence, resume=saved is not None, stop_on_collapse=on_collapse == "stop")


def _train(
    config: RunConfig, dataset: Dataset, out: Path, cadence: Cadence, *, resume: bool, stop_on_collapse: bool
) -> None:
    from dcgan.training.loop import Stop, Trainer, train
    from dcgan.training.progress import Progress
    from dcgan.training.run import RunFolder

    folder, trainer, stop = RunFolder(out), Trainer(config, dataset), Stop()
    with stop.listening():
        if resume:
            trainer.resume(folder)
        else:
            folder.create(config)
        progress = Progress(config.steps, trainer.step)
        train(trainer, folder, progress, stop, cadence, stop_on_collapse=stop_on_collapse)
    progress.close()
    state = "done" if trainer.step == config.steps else "stopped"
    click.echo(f"{state} after {trainer.step} of {config.steps} steps; the generator and its samples are in {out}")
    if state == "stopped":
        click.echo("the same command with --resume goes on")
