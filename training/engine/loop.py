"""The training loop."""

from __future__ import annotations

from contextlib import closing
from enum import IntEnum

import torch

from dcgan.training.engine.checkpoint_schedule import CheckpointSchedule
from dcgan.training.engine.recorder import RunRecorder
from dcgan.training.engine.rollback import roll_back
from dcgan.training.engine.signals import StopSignal
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.monitor.collapse import Collapse, CollapseDetector, check_weights
from dcgan.training.monitor.metrics_log import flush_interval
from dcgan.training.monitor.progress import Progress
from dcgan.training.monitor.quality import EvaluationPlan
from dcgan.training.run_folder import RunFolder


class LoopAction(IntEnum):
    """What to do after a step. In a distributed run, the largest value of all processes counts."""

    CONTINUE = 0
    STOP = 1
    ROLL_BACK = 2


def train(
    trainer: Trainer,
    folder: RunFolder,
    progress: Progress,
    stop: StopSignal,
    schedule: CheckpointSchedule,
    *,
    on_collapse: str = "continue",
    evaluation: EvaluationPlan | None = None,
) -> None:
    """Trains until the last step or until it is stopped; in both cases everything is saved.

    Args:
        trainer: what is trained.
        folder: where the main process writes.
        progress: where to show each step.
        stop: request to stop.
        schedule: when to write checkpoints.
        on_collapse: "continue", "stop", or "rollback" to the last good checkpoint.
        evaluation: of the generator, in the main process.

    Raises:
        TrainingError: if a loss or a weight is NaN or infinite, or the disk reports an error. The
            last checkpoint is good then.
    """
    if trainer.context.is_main:
        with closing(RunRecorder(trainer, folder, progress, evaluation)) as recorder:
            _train_main(trainer, recorder, progress, stop, schedule, on_collapse=on_collapse)
    else:
        _train_follower(trainer, stop)


def _train_main(
    trainer: Trainer,
    recorder: RunRecorder,
    progress: Progress,
    stop: StopSignal,
    schedule: CheckpointSchedule,
    *,
    on_collapse: str,
) -> None:
    """Trains in the process that writes the run folder."""
    detector = CollapseDetector()
    detector.reset(recorder.log.recent)
    _raise_if_fatal(check_weights(trainer.state.weights()))
    recorder.start(healthy=detector.healthy)

    action = LoopAction.CONTINUE
    reason = ""
    while not trainer.done:
        rows = recorder.record_step(trainer.train_step())

        # Read all metrics before anything is saved.
        stopping = stop.requested
        checkpoint_due = schedule.due(trainer.step)
        saving = stopping or checkpoint_due or recorder.epoch_ends or trainer.done
        if saving:
            rows += recorder.flush_metrics()

        # Check for a collapse.
        collapse = detector.update(rows)
        if collapse is None and saving:
            collapse = check_weights(trainer.state.weights())
        wanted = _decide(collapse, on_collapse, stopping=stopping)
        if collapse is not None and action != LoopAction.ROLL_BACK:
            reason = collapse.reason
            progress.print(f"step {trainer.step}: {reason}")
        action = max(action, wanted)

        # Save what is due, unless the run is rolled back.
        if action != LoopAction.ROLL_BACK:
            recorder.save_samples_and_weights()
            if checkpoint_due:
                recorder.save_checkpoint(healthy=detector.healthy)

        # Agree with the other processes on what to do next.
        agreed = _agree(trainer, action)
        if agreed == LoopAction.STOP:
            break
        if agreed == LoopAction.ROLL_BACK:
            roll_back(trainer, recorder.folder, recorder.log, reason)
            _restart_after_rollback(trainer, recorder, detector, progress)
            action = LoopAction.CONTINUE

    _raise_if_fatal(detector.update(recorder.flush_metrics()))
    _raise_if_fatal(check_weights(trainer.state.weights()))
    recorder.finish(healthy=detector.healthy)


def _restart_after_rollback(
    trainer: Trainer, recorder: RunRecorder, detector: CollapseDetector, progress: Progress
) -> None:
    trainer.broadcast_state()
    recorder.restart_tensorboard()
    detector.reset(recorder.log.recent)
    progress.print(
        f"rolled back to step {trainer.step}; training continues with other random numbers "
        f"(rollback {trainer.rollbacks})"
    )


def _train_follower(trainer: Trainer, stop: StopSignal) -> None:
    """Trains in a process of a distributed run that writes nothing."""
    while not trainer.done:
        trainer.train_step()
        action = LoopAction.STOP if stop.requested else LoopAction.CONTINUE
        agreed = _agree(trainer, action)
        if agreed == LoopAction.ROLL_BACK:
            trainer.broadcast_state()
        elif agreed == LoopAction.STOP:
            break


def _decide(collapse: Collapse | None, on_collapse: str, *, stopping: bool) -> LoopAction:
    """Returns the action that this process requests.

    Raises:
        TrainingError: if training cannot continue and the run is not to be rolled back.
    """
    if collapse is not None and on_collapse == "rollback":
        return LoopAction.ROLL_BACK
    _raise_if_fatal(collapse)
    collapsed = collapse is not None and on_collapse == "stop"
    return LoopAction.STOP if stopping or collapsed else LoopAction.CONTINUE


def _agree(trainer: Trainer, action: LoopAction) -> LoopAction:
    """Returns the action that all processes agree on every few steps; in between, to continue."""
    device = torch.device(trainer.config.device)
    together = trainer.step % flush_interval(device) == 0 or trainer.done
    if trainer.context.world_size > 1 and not together:
        return LoopAction.CONTINUE
    return LoopAction(trainer.context.all_reduce_max(action, device))


def _raise_if_fatal(collapse: Collapse | None) -> None:
    if collapse is not None and collapse.fatal:
        raise TrainingError(collapse.reason)
