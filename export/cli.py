"""The command `dcgan-export`."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dcgan.core.command_line import CONTEXT_SETTINGS, Command
from dcgan.export.command_options import export_options
from dcgan.zoo.license import NO_LICENSE, UNSTATED

if TYPE_CHECKING:
    from dcgan.export.options import ExportOptions


class GateFailure(click.ClickException):
    """A written file does not compute the trained function: one sentence and exit code 1."""

    exit_code = 1


class ExportCommand(Command):
    """A command with exit code 1 for a failed parity gate."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Runs the command."""
        from dcgan.export.errors import ParityError

        # SIGTERM ends the command as Ctrl-C does, which removes unfinished files.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            if isinstance(error.__cause__, ParityError):
                raise GateFailure(error.message) from error.__cause__
            raise


@click.command("dcgan-export", cls=ExportCommand, context_settings=CONTEXT_SETTINGS)
@export_options
def main(
    *,
    run: Path | None,
    repository: Path | None,
    name: str | None,
    triton: Path | None,
    check: Path | None,
    trust_code: bool,
    verbose: bool,
    dry_run: bool,
    **values: Any,  # noqa: ANN401 - click's values
) -> None:
    """Export the training run in folder RUN as a released model.

    The model is published as OUT/NAME/VERSION, completely or not at all. Each file is first
    compared with the trained network; exit code 1 means that one of them is not the same function.
    """
    if verbose:
        _show_details()
    republishes = run is not None and repository is not None and _is_model_folder(run)
    if trust_code and check is None and not republishes:
        raise click.UsageError("--trust-code goes with --check, or with a model folder")

    if check is not None:
        _reverify(check, trust_code=trust_code)
    elif run is not None and triton is not None and repository is None and name is None:
        _check_only_triton()
        _add_to_triton(run, triton)
    elif run is not None and repository is not None and republishes:
        _check_only_safetensors(safetensors=values["safetensors"])
        _republish(run, repository, trust_code=trust_code)
    elif run is None or repository is None or name is None:
        raise click.UsageError("give RUN, --out and --name; or --check and a model folder")
    else:
        options = _build_options(repository, name, values)
        _check_has_float32(options, triton)
        if dry_run:
            _show_options(options)
            return
        if values["version"] is None and options.version > 1:
            click.echo(f"{repository / name} exists; the export becomes version {options.version}")
        _export(run, repository, options, triton, best=values["checkpoint"] == "best")


def _show_details() -> None:
    """Prints the seconds of each step, and what ONNX Runtime logs."""
    from dcgan.core.onnx_session import show_messages
    from dcgan.export.timing import show_timing

    show_messages()
    show_timing()


def _show_options(options: ExportOptions) -> None:
    from dcgan.core.schema import dump_json

    click.echo(dump_json(options), nl=False)


def _build_options(repository: Path, name: str, values: Mapping[str, Any]) -> ExportOptions:
    from dcgan.export.options import DEFAULT_FORMATS, ExportOptions
    from dcgan.zoo.manifest import check_name

    check_name(name)
    formats = tuple(key for key in ("onnx", "torchscript", "pt2", "safetensors") if values[key])
    return ExportOptions(
        name=name,
        version=values["version"] or _next_version(repository, name),
        formats=formats or DEFAULT_FORMATS,
        weights=values["weights"],
        int8=values["int8"],
        fp16=values["fp16"],
        target=values["target"],
        license=values["license"],
        description=values["description"],
    )


def _reverify(folder: Path, *, trust_code: bool) -> None:
    from dcgan.export.verify.reverify import reverify

    reverify(folder, click.echo, trust_code=trust_code)


def _export(
    run: Path, repository: Path, options: ExportOptions, triton: Path | None, *, best: bool
) -> None:
    from dcgan.export.timing import timed

    with timed("import the libraries"):
        from dcgan.export.formats.triton import check_free
        from dcgan.export.pipeline import export
        from dcgan.training.run_folder import read_run

    # Check before the export that the Triton repository has no such model yet.
    if triton is not None:
        check_free(triton, options.name, options.version, options.onnx_precisions)

    _hint_at_missing_facts(options)
    with timed("read the run"):
        trained = read_run(run, best=best)
    with timed("export, in all"):
        release = export(trained, repository, options, click.echo)
    click.echo(f"published {release.folder}")
    if triton is not None:
        _add_to_triton(release.folder, triton)


def _is_model_folder(folder: Path) -> bool:
    from dcgan.zoo.manifest import FILE_NAME

    return (folder / FILE_NAME).is_file()


def _republish(folder: Path, repository: Path, *, trust_code: bool) -> None:
    """Publishes a copy of a released model that has its weights as safetensors, too."""
    from dcgan.export.release.republish import republish
    from dcgan.zoo.release import read_release

    release = republish(read_release(folder), repository, safetensors=True, trust_code=trust_code)
    click.echo(f"published {release.folder}")


def _hint_at_missing_facts(options: ExportOptions) -> None:
    """Names the facts about the model that only the user knows and that are not given."""
    missing = []
    if options.license == NO_LICENSE:
        missing.append(f"--license, an SPDX identifier such as CC-BY-4.0 (now: {UNSTATED})")
    if not options.description:
        missing.append("--description, a sentence (now: that of the recipe)")
    if missing:
        facts = " and ".join(missing)
        click.echo(f"hint: the model card can tell more; give {facts}", err=True)


def _next_version(repository: Path, name: str) -> int:
    """Returns the version after the newest one of a model."""
    from dcgan.zoo.repository import versions_of

    return max(versions_of(repository, name), default=0) + 1


def _check_has_float32(options: ExportOptions, triton: Path | None) -> None:
    """Checks that options which need the float32 ONNX file come with it."""
    needs = {"--int8": options.int8, "--fp16": options.fp16, "--triton": triton is not None}
    for flag, is_given in needs.items():
        if is_given and "onnx" not in options.formats:
            raise click.UsageError(f"{flag} needs the float32 file beside it; add --onnx")


def _check_only_safetensors(*, safetensors: bool) -> None:
    """Checks that --safetensors was given, and nothing that a model folder does not take."""
    if not safetensors or set(_given()) - {"run", "repository", "safetensors", "trust_code"}:
        raise click.UsageError(
            "with a model folder, --out DIR --safetensors publishes a copy that has its weights; "
            "leave other options out"
        )


def _given() -> list[str]:
    """Returns the parameters that the user gave."""
    context = click.get_current_context()
    default = click.core.ParameterSource.DEFAULT
    return [name for name in context.params if context.get_parameter_source(name) is not default]


def _check_only_triton() -> None:
    """Checks that the user gave RUN and --triton, and nothing else."""
    if len(_given()) > 2:
        raise click.UsageError(
            "--triton copies the files of a model folder as they are; leave other options out"
        )


def _add_to_triton(folder: Path, triton: Path) -> None:
    from dcgan.export.formats.triton import write_triton
    from dcgan.zoo.release import read_release

    write_triton(read_release(folder), triton, click.echo)
