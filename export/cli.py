"""The command `dcgan-export`."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dcgan.core.command_line import CONTEXT_SETTINGS, TEXT, Command
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
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option(
    "--out",
    "repository",
    type=click.Path(path_type=Path),
    help="Model repository to publish in.",
)
@click.option(
    "--checkpoint",
    type=click.Choice(["last", "best"]),
    default="last",
    help="Which generator of the run to export; best is the one with the smallest KD-Lite0 that "
    "dcgan-train --evaluate-every found.",
)
@click.option("--name", help="Name of the model: a-z, 0-9, '.', '_', '-'.")
@click.option(
    "--version",
    type=click.IntRange(1, 2**31 - 1),
    show_default="the next one",
    help="Version of the model.",
)
@click.option(
    "--onnx",
    is_flag=True,
    help="Write ONNX. If none of --onnx, --torchscript, --safetensors and --pt2 is given, "
    "the first three are written.",
)
@click.option("--torchscript", is_flag=True, help="Write TorchScript.")
@click.option(
    "--safetensors",
    is_flag=True,
    help="Write the weights as safetensors. RUN may then be a model folder that has none: "
    "a copy with them is published in --out.",
)
@click.option(
    "--pt2", is_flag=True, help="Write an exported program (torch.export), TorchScript's successor."
)
@click.option("--int8", is_flag=True, help="Also write an ONNX file quantized to int8, for CPUs.")
@click.option(
    "--fp16", is_flag=True, help="Also write an ONNX file that computes in float16, for CUDA."
)
@click.option(
    "--target",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    help="Provider on which the float32 ONNX graph should be fast; it runs on both.",
)
@click.option(
    "--weights",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    help="Release the weights as trained, or rounded to float16 at half the size.",
)
@click.option(
    "--license",
    type=TEXT,
    default=NO_LICENSE,
    metavar="SPDX",
    help="SPDX identifier of the model's licence.",
)
@click.option(
    "--description",
    type=TEXT,
    default="",
    show_default="the recipe's description",
    help="What the model generates, in a sentence.",
)
@click.option(
    "--triton",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also add the ONNX files to this Triton model repository; RUN may then be a model folder.",
)
@click.option(
    "--check",
    type=click.Path(path_type=Path),
    metavar="MODEL_FOLDER",
    help="Verify a released model again, and exit.",
)
@click.option(
    "--trust-code",
    is_flag=True,
    help="With --check, also load TorchScript and .pt2 files. Loading them can run code.",
)
@click.option(
    "--verbose",
    is_flag=True,
    help="Print the seconds of each step, and what ONNX Runtime logs, which is much on CUDA.",
)
@click.option("--dry-run", is_flag=True, help="Print the resolved options, and exit.")
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
        from dcgan.core.onnx_session import show_messages
        from dcgan.export.timing import show_timing

        show_messages()
        show_timing()

    if check is not None:
        _reverify(check, trust_code=trust_code)
        return
    if trust_code:
        raise click.UsageError("--trust-code goes with --check")

    is_model_folder = (repository, name) == (None, None)
    if run is not None and triton is not None and is_model_folder:
        _check_only_triton()
        _add_to_triton(run, triton)
        return

    if run is not None and repository is not None and _is_model_folder(run):
        _check_only_safetensors(safetensors=values["safetensors"])
        _republish(run, repository)
        return

    if run is None or repository is None or name is None:
        raise click.UsageError("give RUN, --out and --name; or --check and a model folder")
    options = _build_options(repository, name, values)
    _check_has_float32(options, triton)
    if dry_run:
        from dcgan.core.schema import dump_json

        click.echo(dump_json(options), nl=False)
        return

    if values["version"] is None and options.version > 1:
        click.echo(f"{repository / name} exists; the export becomes version {options.version}")
    _export(run, repository, options, triton, best=values["checkpoint"] == "best")


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


def _republish(folder: Path, repository: Path) -> None:
    """Publishes a copy of a released model that has its weights as safetensors, too."""
    from dcgan.export.release.republish import republish
    from dcgan.zoo.release import read_release

    release = republish(read_release(folder), repository, safetensors=True)
    click.echo(f"published {release.folder}")


def _hint_at_missing_facts(options: ExportOptions) -> None:
    """Prints which facts about the model, that only the user knows, are not given."""
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
    """Checks that the user gave a model folder, --out and --safetensors, and nothing else."""
    if not safetensors or len(_given()) > 3:
        raise click.UsageError(
            "of a model folder, --out DIR --safetensors publishes a copy with its weights; "
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
