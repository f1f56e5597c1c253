"""How every command line of the project behaves: help, environment, errors, exit codes.

An option such as `--metrics-port` of `dcgan-serve` can be given as DCGAN_SERVE_METRICS_PORT in the environment.
Mistakes and faults the user can mend are one sentence on standard error and exit code 2; Ctrl-C is exit code 130.
"""

from __future__ import annotations

from typing import Any

import click

from dcgan.core.errors import DcganError

INTERRUPTED = 130  # as a shell reports a process that SIGINT ended

# What a base install lacks, by the extra that brings it.
_EXTRAS = dict.fromkeys(
    ("matplotlib", "safetensors", "sklearn", "torch", "torchvision", "tqdm"), "train"
) | {"onnx": "export"}

CONTEXT_SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "show_default": True,
    "max_content_width": 100,
}


class UserError(click.ClickException):
    """One sentence and exit code 2."""

    exit_code = 2


class Command(click.Command):
    """A click command that shows a DcganError as one sentence, with exit code 2."""

    def __init__(self, name: str | None, **attributes: Any) -> None:  # noqa: ANN401 - click's signature
        super().__init__(name, **attributes)
        _name_variables(self, name)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except DcganError as error:
            raise UserError(str(error)) from error
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get(str(error.name).partition(".")[0])
            if extra is None:
                raise
            cure = f"install the extra {extra}: in the checkout, pip install -c constraints.txt '.[{extra}]'"
            raise UserError(f"this needs the package {error.name}; {cure}") from error
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(INTERRUPTED)


class Group(click.Group):
    """A click group whose commands are `Command`s."""

    command_class = Command

    def __init__(self, name: str | None = None, **attributes: Any) -> None:  # noqa: ANN401 - click's signature
        super().__init__(name, **attributes)
        _name_variables(self, name)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Adds a command, whose variables begin with the name of the group."""
        super().add_command(cmd, name)
        _name_variables(cmd, f"{self.name} {name or cmd.name}")


def _name_variables(command: click.Command, name: str | None) -> None:
    """Lets every option be given in the environment, by the name it has on the command line and that of its command."""
    for option in command.params:
        if isinstance(option, click.Option) and name:
            flag = max(option.opts, key=len).lstrip("-")
            option.envvar = f"{name} {flag}".upper().replace("-", "_").replace(" ", "_")
