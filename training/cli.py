"""`dcgan-train`: images to a run folder."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dcgan.core.command_line import CONTEXT_SETTINGS, Command

if TYPE_CHECKING:
    from dcgan.training.data.dataset import Dataset
    from dcgan.training.distributed import Team
    from dcgan.training.engine.checkpoint import Cadence
    from dcgan.training.engine.trainer import Trainer
    from dcgan.training.models.networks import GeneratorConfig
    from dcgan.training.options import Wishes
    from dcgan.training.run_folder import RunConfig, RunFolder

_LISTED = 10  # of the images that are left out


@click.command("dcgan-train", cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option(
    "--data", help="Images: a folder, a StyleGAN2-ADA/EDM zip, cifar10 (downloaded) or digits."
)
@click.option(
    "--skip-corrupt", is_flag=True, help="Leave out images that cannot be used, and list them."
)
@click.option("--recipe", show_default="dcgan64", help="Name of a shipped recipe, or a .toml file.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one value of the recipe. Repeatable.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Run folder to make.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run in --out, exactly as if it had never stopped; give --data again, and --device. Where "
    "there is no run yet, one begins.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), help="Batches to train with. [default: from --epochs]"
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Passes over the data. [default: the recipe's]"
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    show_default="0",
    help="Seed of every random number of the run.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    help="What to compute on.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    show_default="auto",
    help="bf16 computes convolutions in 16 bits; auto takes the faster one.",
)
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=1),
    default=300,
    help="Time from one checkpoint to the next.",
)
@click.option(
    "--checkpoint-steps",
    type=click.IntRange(min=1),
    help="Write a checkpoint after every so many steps too.",
)
@click.option(
    "--on-collapse",
    type=click.Choice(["continue", "stop", "rollback"]),
    default="continue",
    help="What to do when the run has collapsed, beyond saying so; rollback goes back to the last good checkpoint, and "
    "on with other random numbers.",
)
@click.option(
    "--deterministic",
    is_flag=True,
    help="On a GPU, take only kernels that give the same bits each time; slower.",
)
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and stop.")
@click.option(
    "--pack",
    nargs=2,
    metavar="SOURCE OUT.zip",
    help="Write the images of a source, in the size of the recipe, as a StyleGAN2-ADA/EDM zip, and stop.",
)
def main(
    *,
    data: str | None,
    skip_corrupt: bool,
    recipe: str | None,
    changes: tuple[str, ...],
    out: Path | None,
    resume: bool,
    steps: int | None,
    epochs: int | None,
    seed: int | None,
    device: str,
    precision: str | None,
    checkpoint_seconds: float,
    checkpoint_steps: int | None,
    on_collapse: str,
    deterministic: bool,
    dry_run: bool,
    pack: tuple[str, str] | None,
) -> None:
    """Trains a generator on images.

    The run folder holds the weights, a line of metrics for each step and grids of samples; dcgan-export turns it into
    a model that can be served. Ctrl-C saves and stops; --resume goes on, with the options of the run, but for those
    about saving and collapse (--checkpoint-..., --on-collapse) and --skip-corrupt, which are given anew.
    """
    from dcgan.training.device import choose_device
    from dcgan.training.distributed import join_team, leave_team
    from dcgan.training.engine.checkpoint import Cadence
    from dcgan.training.options import Wishes, check_same, check_team

    wishes = Wishes(
        recipe=recipe,
        changes=changes,
        steps=steps,
        epochs=epochs,
        seed=seed,
        device=device,
        precision=precision,
        deterministic=deterministic,
    )
    if pack is not None:
        _pack(wishes, *pack, skip_corrupt=skip_corrupt)
        return
    if data is None or (out is None and not dry_run):
        raise click.UsageError(f"Missing option '{'--data' if data is None else '--out'}'.")
    team = join_team(choose_device(device))
    cadence = Cadence(checkpoint_seconds, checkpoint_steps)
    try:
        saved = _saved(team, out, resume=resume)
        resolved = wishes.resolve_recipe(saved)
        dataset = _load(data, resolved.generator, team, skip_corrupt=skip_corrupt)
        config = wishes.configure(resolved, dataset, saved, team)
        check_team(team, config)
        if saved is not None:
            check_same(saved, config)
        if team.leads:
            click.echo(dump(config), nl=False)
        if out is not None and not dry_run:
            _train(
                config,
                dataset,
                out,
                team,
                cadence,
                resume=saved is not None,
                on_collapse=on_collapse,
            )
    finally:
        leave_team(team)


def dump(config: RunConfig) -> str:
    """The configuration as it is printed and saved."""
    from dcgan.core.schema import dump_json

    return dump_json(config)


def _saved(team: Team, out: Path | None, *, resume: bool) -> RunConfig | None:
    """The configuration of the run that is to go on, if there is one; the leader of a team reads it."""
    from dcgan.training.run_folder import CONFIG, check_free, parse_config, read_config

    text = None
    if team.leads and out is not None:
        if resume and os.path.isfile(out / CONFIG):
            text = dump(read_config(out))
        else:
            check_free(out)
            if resume:
                click.echo(f"there is no run in {out} to resume: this is a new one", err=True)
    text = team.text_of_first(text)
    return None if text is None else parse_config(text, CONFIG)


def _load(data: str, shape: GeneratorConfig, team: Team, **options: bool) -> Dataset:
    from dcgan.training.data.cache import load
    from dcgan.training.data.dataset import Wanted
    from dcgan.training.data.sources import open_source
    from dcgan.training.monitor.progress import counting

    source = open_source(data)
    wanted = Wanted(image_size=shape.image_size, channels=shape.channels, **options)
    dataset = load(source, wanted, counting)
    if team.leads and source.skipped:
        click.echo(
            f"files in {source.name} that are no images, and are left out: {source.skipped}",
            err=True,
        )
    if team.leads and dataset.corrupt:
        click.echo(
            f"images in {source.name} that cannot be used, and are left out: {len(dataset.corrupt)}",
            err=True,
        )
        for sentence in dataset.corrupt[:_LISTED]:
            click.echo(f"  {sentence}", err=True)
        if len(dataset.corrupt) > _LISTED:
            click.echo("  and so on; skipped.txt of the run folder has all of them", err=True)
    return dataset


def _pack(wishes: Wishes, source: str, out: str, *, skip_corrupt: bool) -> None:
    from dcgan.training.data.stylegan_zip import check_absent, pack
    from dcgan.training.distributed import ALONE

    check_absent(Path(out))
    shape = wishes.resolve_recipe(None).generator
    dataset = _load(source, shape, ALONE, skip_corrupt=skip_corrupt, exact=True)
    pack(dataset, Path(out))
    count, size = dataset.images.shape[:2]
    click.echo(f"{count} images of {size} x {size} are in {out}; --data {out} trains on them")


def _prepare(folder: RunFolder, config: RunConfig, dataset: Dataset, *, resume: bool) -> None:
    from dcgan.training.run_folder import SKIPPED

    if not resume:
        folder.create(config)
    if dataset.corrupt:
        folder.write(SKIPPED, "".join(f"{sentence}\n" for sentence in dataset.corrupt).encode())


def _go_on(trainer: Trainer, out: Path, team: Team) -> None:
    """Takes up the checkpoint, if there is one; the leader of a team reads it."""
    from dcgan.training.engine.checkpoint import find

    path = find(out) if team.leads else None
    if team.text_of_first(None if path is None else "yes"):
        trainer.resume(path or out)


def _train(
    config: RunConfig,
    dataset: Dataset,
    out: Path,
    team: Team,
    cadence: Cadence,
    *,
    resume: bool,
    on_collapse: str,
) -> None:
    from dcgan.training.device import be_exact
    from dcgan.training.engine.loop import train
    from dcgan.training.engine.signals import Stop
    from dcgan.training.engine.trainer import Trainer
    from dcgan.training.monitor.progress import Progress
    from dcgan.training.run_folder import RunFolder

    be_exact(deterministic=config.deterministic)
    folder, trainer, stop = RunFolder(out), Trainer(config, dataset, team), Stop()
    with folder.held() if team.leads else nullcontext(), stop.listening():
        if team.leads:
            _prepare(folder, config, dataset, resume=resume)
        _go_on(trainer, out, team)
        progress = Progress(config.steps, trainer.step, device=config.device)
        train(trainer, folder, progress, stop, cadence, on_collapse=on_collapse)
    if not team.leads:
        return
    progress.close()
    state = "done" if trainer.step == config.steps else "stopped"
    click.echo(
        f"{state} after {trainer.step} of {config.steps} steps; the generator and its samples are in {out}"
    )
    if state == "stopped":
        click.echo("the same command with --resume goes on")
