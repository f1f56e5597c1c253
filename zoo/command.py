"""How every command line of the project behaves: help, environment, errors, exit codes.

An option of command `dcgan-serve` such as `--metrics-port` can be given as DCGAN_METRICS_PORT in the environment.
Mistakes and faults the user can mend are one sentence on standard error and exit code 2; Ctrl-C is exit code 130.
"""

from __future__ import annotations

from typing import Any

import click

from dcgan.zoo.errors import DcganError

ENVIRONMENT_PREFIX = "DCGAN"
INTERRUPTED = 130  # as a shell reports a process that SIGINT ended

# What a base install lacks, by the extra that brings it.
_EXTRAS = dict.fromkeys(("matplotlib", "safetensors", "sklearn", "torch", "torchvision", "tqdm"), "train") | {
    "onnx": "export"
}

CONTEXT_SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "show_default": True,
    "max_content_width": 100,
    "auto_envvar_prefix": ENVIRONMENT_PREFIX,
}


class UserError(click.ClickException):
    """One sentence and exit code 2."""

    exit_code = 2


class Command(click.Command):
    """A click command that shows a DcganError as one sentence, with exit code 2."""

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
            raise UserError(f"this needs the package {error.name}; install dcgan-zoo[{extra}]") from error
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(INTERRUPTED)


class Group(click.Group):
    """A click group whose commands are `Command`s."""

    command_class = Command
