"""The command `dcgan-export`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import click

from dcgan.core.command_line import CONTEXT_SETTINGS, Command


class GateFailure(click.ClickException):
    """A file that is not the trained function: one sentence and exit code 1."""

    exit_code = 1


class ExportCommand(Command):
    """A command whose failed parity gate has an exit code of its own."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Runs the command."""
        from dcgan.export.errors import ParityError

        signal.signal(
            signal.SIGTERM, signal.default_int_handler
        )  # ends as Ctrl-C does: what was begun is removed
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
    help="Repository to publish the model in.",
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
    help="Write ONNX. Without this, --torchscript, --safetensors and --pt2, the first three are written.",
)
@click.option("--torchscript", is_flag=True, help="Write TorchScript.")
@click.option("--safetensors", is_flag=True, help="Write the weights alone.")
@click.option("--pt2", is_flag=True, help="Write an exported program, TorchScript's successor.")
@click.option(
    "--int8", is_flag=True, help="Write another ONNX file that computes in int8, for CPUs."
)
@click.option(
    "--fp16", is_flag=True, help="Write another ONNX file that computes in float16, for CUDA."
)
@click.option(
    "--target",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    help="Write the float32 ONNX graph in the form that is fastest there; it runs on both.",
)
@click.option(
    "--weights",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    help="Release the weights as they are, or rounded to float16 in half the space.",
)
@click.option(
    "--license",
    default="NOASSERTION",
    metavar="SPDX",
    help="SPDX identifier of the model's licence.",
)
@click.option(
    "--description",
    default="",
    show_default="the run's own",
    help="What the model makes, in a sentence.",
)
@click.option(
    "--triton",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also add the ONNX files to this model repository of Triton; RUN may then be a model folder.",
)
@click.option(
    "--check",
    type=click.Path(path_type=Path),
    metavar="MODEL_FOLDER",
    help="Check a released model again, and stop.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be released, and stop.")
def main(
    *,
    run: Path | None,
    repository: Path | None,
    name: str | None,
    version: int | None,
    onnx: bool,
    torchscript: bool,
    safetensors: bool,
    pt2: bool,
    int8: bool,
    fp16: bool,
    target: str,
    weights: str,
    license: str,
    description: str,
    triton: Path | None,
    check: Path | None,
    dry_run: bool,
) -> None:
    """Turn the training run in folder RUN into a released model.

    The model lands in OUT/NAME/VERSION, whole or not at all. Each file is first compared with the trained network;
    exit code 1 means that one is not the same function.
    """
    if check is not None:
        from dcgan.export.verify.reverify import recheck

        recheck(check, click.echo)
        return
    if run is not None and triton is not None and (repository, name) == (None, None):
        if len(_given()) > 2:
            raise click.UsageError(
                "--triton copies the files of a model folder as they are; leave other options out"
            )
        _write_triton(run, triton)
        return
    if run is None or repository is None or name is None:
        raise click.UsageError("give RUN, --out and --name; or --check and a model folder")
    from dcgan.core.schema import dump_json
    from dcgan.export.pipeline import FORMATS, Options, export
    from dcgan.training.run_folder import read_run
    from dcgan.zoo.manifest import check_name
    from dcgan.zoo.repository import versions_of

    check_name(name)
    named = {"onnx": onnx, "torchscript": torchscript, "pt2": pt2, "safetensors": safetensors}
    formats = tuple(key for key, wanted in named.items() if wanted) or FORMATS
    for flag, wanted in {"--int8": int8, "--fp16": fp16, "--triton": triton is not None}.items():
        if wanted and "onnx" not in formats:
            raise click.UsageError(f"{flag} needs the float32 file beside it; add --onnx")
    options = Options(
        name=name,
        version=version or max(versions_of(repository, name), default=0) + 1,
        formats=formats,
        weights=weights,
        int8=int8,
        fp16=fp16,
        target=target,
        license=license,
        description=description,
    )
    if dry_run:
        click.echo(dump_json(options), nl=False)
        return
    if triton is not None:
        from dcgan.export.formats.triton import check_free

        extra = {"int8": int8, "fp16": fp16}
        check_free(
            triton,
            name,
            options.version,
            ["fp32", *(key for key, wanted in extra.items() if wanted)],
        )
    release = export(read_run(run), repository, options, click.echo)
    click.echo(f"published {release.folder}")
    if triton is not None:
        _write_triton(release.folder, triton)


def _given() -> list[str]:
    """The arguments and options of this call that its user gave."""
    context = click.get_current_context()
    default = click.core.ParameterSource.DEFAULT
    return [name for name in context.params if context.get_parameter_source(name) is not default]


def _write_triton(folder: Path, triton: Path) -> None:
    from dcgan.export.formats.triton import write_triton
    from dcgan.zoo.repository import read_release

    write_triton(read_release(folder), triton, click.echo)
