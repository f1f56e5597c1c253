"""The steps of an export: draft, fold, quantize, write, verify, describe, publish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dcgan.core.origin import Training
from dcgan.core.schema import dump_json
from dcgan.export.formats.writer import write_files
from dcgan.export.graph.stages import fold_for_release
from dcgan.export.int8.search import find_plan
from dcgan.export.options import ExportOptions
from dcgan.export.release.description import describe_release
from dcgan.export.release.manifest import draft_manifest
from dcgan.export.timing import timed
from dcgan.export.verify.gate import Verification, verify_files
from dcgan.export.verify.speed import compare_speed
from dcgan.export.verify.threads import one_torch_thread
from dcgan.training.run_folder import Run
from dcgan.zoo.manifest import Manifest
from dcgan.zoo.publishing import publish
from dcgan.zoo.release import Release, read_release


@one_torch_thread()
def export(
    run: Run, repository: Path, options: ExportOptions, show: Callable[[str], None]
) -> Release:
    """Makes a released model of a training run.

    Args:
        run: the training run.
        repository: folder of model folders.
        options: what to release.
        show: prints lines to the user.

    Raises:
        ExportError: if the run cannot be released.
        ParityError: if a written file is not the trained function.
        RepositoryError: if the version exists or the repository cannot be written.
        In each case nothing is published.
    """
    draft = draft_manifest(run, options)
    _warn_if_stopped_early(draft.training, show)

    with publish(repository, options.name, options.version) as folder:
        # Fold batch normalization, round the weights, and choose what runs in int8.
        with timed("fold the network"):
            stages = fold_for_release(run.generator, options.weights)
        with timed("choose what runs in int8"):
            plan = find_plan(stages.released) if options.int8 else None

        # Write every format.
        with timed("write the files"):
            files = write_files(
                stages.released, folder, options, metadata=dump_json(draft), plan=plan
            )

        # Load every file again, and compare it with the trained network.
        with timed("verify the files, in all"):
            verification = verify_files(stages, files, folder, draft)
        show(verification.report.table())
        verification.report.raise_failure()
        _show_speed(verification, draft, show)

        # Write golden images, samples, parity report, model card and manifest.
        with timed("describe the release"):
            describe_release(draft, files, stages.released, verification, folder)

    return read_release(repository / options.name / str(options.version))


def _warn_if_stopped_early(training: Training, show: Callable[[str], None]) -> None:
    if training.stopped_early:
        show(
            f"warning: the run was stopped early, after {training.steps} of "
            f"{training.planned_steps} steps; dcgan-train --resume finishes it"
        )


def _show_speed(verification: Verification, draft: Manifest, show: Callable[[str], None]) -> None:
    """Says whether int8 is faster here, if there is an int8 file."""
    speed = compare_speed(
        verification.backends, latent_size=draft.latent_size, classes=draft.classes
    )
    if speed is not None:
        show(speed)
