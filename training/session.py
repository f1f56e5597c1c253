"""One session of a training run: from the options to the files of the run folder."""

from __future__ import annotations

from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from dcgan.core.schema import dump_json, parse_json
from dcgan.core.text import escape_unprintable
from dcgan.training.data.dataset import Dataset
from dcgan.training.device import configure_backends, resolve_device
from dcgan.training.distributed import (
    DistributedContext,
    init_distributed,
    shutdown_distributed,
)
from dcgan.training.engine.checkpoint import checkpoint_tensors, find_checkpoint
from dcgan.training.engine.checkpoint_schedule import CheckpointSchedule
from dcgan.training.engine.loop import train
from dcgan.training.engine.signals import StopSignal
from dcgan.training.engine.trainer import Trainer
from dcgan.training.monitor.estimate import long_run_hint
from dcgan.training.monitor.progress import Progress
from dcgan.training.monitor.quality import EvaluationPlan, load_evaluator
from dcgan.training.options import TrainOptions
from dcgan.training.parent_run import Parent, load_parent, read_parent
from dcgan.training.run_comparison import check_processes_agree, check_resumable
from dcgan.training.run_config import (
    CONFIG,
    RunConfig,
    parse_config,
    read_config,
)
from dcgan.training.run_folder import SKIPPED, RunFolder, check_free
from dcgan.training.run_images import load_images

_MIRRORED = (
    "half of the images are mirrored at random; for text, flags and the like use --set flip=false"
)


@dataclass(frozen=True, kw_only=True)
class Session:
    """Options of one session of a run, which a resumed run does not remember.

    Attributes:
        data: see `open_source`.
        out: run folder; None for a dry run without one.
        resume: continue the run in the folder, if there is one.
        init_from: folder of the run from whose networks a new run begins; None for random weights.
        skip_corrupt: leave out images that cannot be used.
        dry_run: print the configuration and exit.
        on_collapse: see `dcgan.training.engine.loop.train`.
        checkpoint_seconds: time between two checkpoints.
        checkpoint_steps: write a checkpoint every this many steps, too.
        evaluate_every: evaluate the generator every this many steps; None for never.
    """

    data: str
    out: Path | None
    resume: bool
    init_from: Path | None
    skip_corrupt: bool
    dry_run: bool
    on_collapse: str
    checkpoint_seconds: float
    checkpoint_steps: int | None
    evaluate_every: int | None = None


def run_session(options: TrainOptions, session: Session) -> None:
    """Resolves the configuration and trains, or prints it in a dry run.

    Raises:
        TrainingError: names what cannot be used, and the cure.
    """
    context = init_distributed(resolve_device(options.device))
    try:
        # Load the images in the size of the recipe.
        saved = _read_saved_config(session, context)
        parent = _read_parent(session.init_from, context)
        recipe = options.resolve_recipe(saved, parent)
        dataset = load_images(
            session.data,
            recipe,
            verbose=context.is_main,
            skip_corrupt=session.skip_corrupt,
            background=options.resolve_background(saved),
        )

        # Resolve the configuration, and check it against the other processes and the resumed run.
        config = options.resolve_config(recipe, dataset, saved, context, parent)
        check_processes_agree(context, config)
        if saved is not None:
            check_resumable(saved, config)
        if context.is_main:
            _show_config(config, session)

        if context.is_main and recipe.flip:
            click.echo(_MIRRORED, err=True)
        if session.out is not None and not session.dry_run:
            _train(config, dataset, session.out, context, session, is_new=saved is None)
    finally:
        shutdown_distributed(context)


def _show_config(config: RunConfig, session: Session) -> None:
    """Prints a summary of the run; in a dry run on standard error, before the configuration."""
    recipe = config.recipe
    shape = (recipe.generator.image_size, recipe.generator.image_size, recipe.generator.channels)
    epochs = config.steps / recipe.steps_per_epoch(config.data.images)
    click.echo(
        f"recipe {recipe.name}: {config.data.images:,} images of {'x'.join(map(str, shape))}, "
        f"{config.steps:,} steps of {recipe.batch_size} images ({epochs:.4g} epochs), "
        f"seed {config.seed}, {config.precision} on {config.device}",
        err=session.dry_run,
    )
    if session.dry_run:
        click.echo(escape_unprintable(dump_json(config), keep="\n"), nl=False)


def _read_saved_config(session: Session, context: DistributedContext) -> RunConfig | None:
    """Reads the configuration of the run to resume, in the main process; None for a new run."""
    out = session.out
    text = None
    if context.is_main and out is not None:
        if session.resume and (out / CONFIG).is_file():
            text = dump_json(read_config(out))
        else:
            check_free(out)
            if session.resume:
                click.echo(f"there is no run in {out} to resume; starting a new one", err=True)

    text = context.broadcast_text(text)
    return None if text is None else parse_config(text, CONFIG)


def _read_parent(folder: Path | None, context: DistributedContext) -> Parent | None:
    """Reads the run from which a new run begins, in the main process."""
    text = None
    if context.is_main and folder is not None:
        text = dump_json(read_parent(folder))
    text = context.broadcast_text(text)
    return None if text is None else parse_json(Parent, text, "the run of --init-from")


def _train(
    config: RunConfig,
    dataset: Dataset,
    out: Path,
    context: DistributedContext,
    session: Session,
    *,
    is_new: bool,
) -> None:
    """Trains in a run folder; after a signal, exits with the code of that signal."""
    configure_backends(deterministic=config.deterministic)
    schedule = CheckpointSchedule(session.checkpoint_seconds, session.checkpoint_steps)
    evaluation = _plan_evaluation(session, dataset, config.device) if context.is_main else None
    folder = RunFolder(out)
    trainer = Trainer(config, dataset, context)
    stop = StopSignal()

    with folder.lock() if context.is_main else nullcontext(), stop.installed():
        # Prepare the folder and continue from its checkpoint, if there is one.
        if context.is_main:
            _prepare_folder(folder, config, dataset, is_new=is_new)
            _load_state(trainer, out, session.init_from)
        trainer.broadcast_state()

        hint = partial(long_run_hint, config)
        with closing(Progress(config.steps, trainer.step, device=config.device, hint=hint)) as bar:
            train(
                trainer,
                folder,
                bar,
                stop,
                schedule,
                on_collapse=session.on_collapse,
                evaluation=evaluation,
            )

    if context.is_main:
        _report_end(trainer, out)
    if stop.received is not None and not trainer.done:
        raise click.exceptions.Exit(128 + stop.received)  # as a shell reports it


def _plan_evaluation(session: Session, dataset: Dataset, device: str) -> EvaluationPlan | None:
    if session.evaluate_every is None:
        return None
    return EvaluationPlan(every=session.evaluate_every, evaluate=load_evaluator(dataset, device))


def _prepare_folder(
    folder: RunFolder, config: RunConfig, dataset: Dataset, *, is_new: bool
) -> None:
    if is_new:
        folder.create(config)
    else:
        folder.check_links()
    if dataset.corrupt:
        lines = [escape_unprintable(sentence) + "\n" for sentence in dataset.corrupt]
        folder.write(SKIPPED, "".join(lines).encode())


def _load_state(trainer: Trainer, out: Path, init_from: Path | None) -> None:
    """Loads the last checkpoint of the run, or else the networks of its parent run."""
    path = find_checkpoint(out, checkpoint_tensors(trainer.state, trainer.ema))
    if path is not None:
        trainer.load_checkpoint(path)
    elif trainer.config.init_from is not None:
        load_parent(trainer, init_from, trainer.config.init_from)


def _report_end(trainer: Trainer, out: Path) -> None:
    steps = trainer.config.steps
    state = "done" if trainer.done else "stopped"
    click.echo(
        f"{state} after {trainer.step} of {steps} steps; the generator and its samples are in {out}"
    )
    if not trainer.done:
        click.echo("the same command with --resume continues")
