"""The command `dcgan-evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dcgan.core.command_line import CONTEXT_SETTINGS, Command
from dcgan.core.parameter_types import PATH

if TYPE_CHECKING:
    from dcgan.evaluation.evaluate import Evaluation
    from dcgan.evaluation.reference import Reference
    from dcgan.evaluation.report import Report
    from dcgan.evaluation.subject import Subject
    from dcgan.zoo.release import Release


@click.command("dcgan-evaluate", cls=Command, context_settings=CONTEXT_SETTINGS)
@click.argument("what", metavar="MODEL|RUN|FOLDER")
@click.option(
    "--reference",
    required=True,
    metavar="SOURCE",
    help="Real images: a folder, a StyleGAN2-ADA/EDM zip, cifar10 (downloaded) or digits.",
)
@click.option(
    "-n",
    type=click.IntRange(min=20),
    default=10_000,
    help="Images in each set; at most half of those in the reference.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    default="fp32",
    help="Which ONNX file of a model to evaluate; runs and images have fp32 only.",
)
@click.option(
    "--background",
    metavar="COLOR",
    default="white",
    help="Background color of transparent images of the reference, as in training: white, black or "
    "#rrggbb.",
)
@click.option(
    "--size",
    type=click.IntRange(min=1),
    show_default="the smaller of both",
    help="Height and width at which images are compared.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Seed of images and samples."
)
@click.option(
    "--frechet/--no-frechet", default=True, help="Compute the Frechet distance (n > 1,280)."
)
@click.option(
    "--baselines/--no-baselines",
    "with_baselines",
    default=True,
    help="Also evaluate real images that are blurred, noisy, compressed as JPEG, or lack half of "
    "the classes.",
)
@click.option(
    "--fid-weights",
    type=PATH,
    help="Also compute FID, KID and IS with these Inception weights (sha256 6726825d...).",
)
@click.option("--json", "report_path", type=PATH, help="Report to write.")
@click.option(
    "--publish",
    "repository",
    type=PATH,
    help="Publish a copy of the model, with the figures in its manifest and card, in this "
    "model repository.",
)
@click.option(
    "--grid",
    type=PATH,
    help="PNG to write: unselected images, and those nearest to and farthest from real ones.",
)
def main(
    *,
    what: str,
    reference: str,
    n: int,
    precision: str,
    background: str,
    size: int | None,
    seed: int,
    frechet: bool,
    with_baselines: bool,
    fid_weights: Path | None,
    report_path: Path | None,
    repository: Path | None,
    grid: Path | None,
) -> None:
    """Measure the quality of generated images by features of EfficientNet-Lite0.

    A model is judged by its exported ONNX file; a training run is exported first. Lower distances
    are better. Compare them with the baselines, which are the scores of real images.
    """
    from dcgan.evaluation.evaluate import EvaluationOptions, evaluate
    from dcgan.evaluation.features import Lite0
    from dcgan.evaluation.fidelity import check_inception
    from dcgan.evaluation.progress import show_progress
    from dcgan.evaluation.subject import open_subject
    from dcgan.zoo.publishing import check_publishable

    # Check everything that can be wrong before the long work.
    for path, option in ((report_path, "--json"), (grid, "--grid")):
        _check_output(path, option)
    if fid_weights is not None:
        check_inception(fid_weights)
    extractor = Lite0()
    subject = open_subject(
        what, precision=precision, seed=seed, progress=show_progress, show=click.echo
    )
    if repository is not None:
        if subject.release is None:
            raise click.UsageError("--publish takes a model; export the run or name a model folder")
        manifest = subject.release.manifest
        check_publishable(repository, manifest.name, manifest.version)
    real = _open_reference(reference, subject, n=n, seed=seed, background=background)
    options = EvaluationOptions(
        size=size or 0, seed=seed, frechet=frechet, with_baselines=with_baselines
    )
    evaluation = evaluate(subject, real, extractor, options, show_progress)
    report = _add_fid(evaluation, real, fid_weights)
    _show(report)
    if report_path is not None:
        _write_report(report, report_path)
    if grid is not None:
        _write_grid(evaluation, real, grid)
    if repository is not None and subject.release is not None:
        _publish(subject.release, report, repository)


def _check_output(path: Path | None, option: str) -> None:
    from dcgan.core.output import check_writable, explaining

    if path is not None:
        with explaining(path, option):
            path.parent.mkdir(parents=True, exist_ok=True)
        check_writable(path, option)


def _open_reference(
    source: str, subject: Subject, *, n: int, seed: int, background: str
) -> Reference:
    """Opens the real images; says so if there are fewer than were requested."""
    from dcgan.evaluation.reference import open_reference

    real = open_reference(
        source,
        image_size=subject.image_size,
        channels=subject.channels,
        n=n,
        seed=seed,
        background=background,
    )
    count = len(real.sample)
    if count < n:
        click.echo(f"{real.name} allows {count:,} images in each set, not {n:,}", err=True)
    return real


def _add_fid(evaluation: Evaluation, real: Reference, weights: Path | None) -> Report:
    from dcgan.evaluation.fidelity import true_fid
    from dcgan.evaluation.report import with_fid

    if weights is None:
        return evaluation.report
    return with_fid(evaluation.report, true_fid(evaluation.images, real.sample.images, weights))


def _show(report: Report) -> None:
    from dcgan.evaluation.report import table

    click.echo(table(report))
    if not report.fid:
        click.echo("FID, KID and IS need Inception weights, which are not shipped: --fid-weights")


def _publish(release: Release, report: Report, repository: Path) -> None:
    from dcgan.evaluation.report import metrics
    from dcgan.export.release.republish import republish

    published = republish(release, repository, metrics=metrics(report))
    click.echo(f"published {published.folder}")


def _write_report(report: Report, path: Path) -> None:
    from dcgan.core.output import write_output
    from dcgan.core.schema import dump_json

    write_output(path, "--json", dump_json(report).encode())


def _write_grid(evaluation: Evaluation, real: Reference, path: Path) -> None:
    from dcgan.core.output import write_output
    from dcgan.evaluation.grid import draw_grid

    png = draw_grid(evaluation.images, real.sample.images, evaluation.neighbours)
    write_output(path, "--grid", png)
