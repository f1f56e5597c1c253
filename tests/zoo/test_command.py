"""How every command ends when it does not end well."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from dcgan.zoo.command import CONTEXT_SETTINGS, Command
from dcgan.zoo.errors import DcganError


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DcganError("the thing is broken; mend it"), 2, "Error: the thing is broken; mend it"),
        (KeyboardInterrupt(), 130, "stopped"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            2,
            "Error: this needs the package torch; install dcgan-zoo[train]",
        ),
    ],
)
def test_an_end_has_one_sentence_and_its_code(error: BaseException, code: int, message: str):
    @click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
    def command() -> None:
        raise error

    result = CliRunner().invoke(command)
    assert (result.exit_code, result.stderr.strip()) == (code, message)


def test_an_option_can_come_from_the_environment():
    @click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
    @click.option("--metrics-port", type=int)
    def command(metrics_port: int) -> None:
        click.echo(metrics_port)

    assert CliRunner().invoke(command, env={"DCGAN_METRICS_PORT": "9"}).output == "9\n"
    assert CliRunner().invoke(command, ["--metrics-port", "8"], env={"DCGAN_METRICS_PORT": "9"}).output == "8\n"
