"""How every command ends when it does not end well."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from dcgan.core.command_line import CONTEXT_SETTINGS, Command, Group
from dcgan.core.errors import DcganError


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DcganError("the thing is broken; mend it"), 2, "Error: the thing is broken; mend it"),
        (KeyboardInterrupt(), 130, "stopped"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            2,
            "Error: this needs the package torch; install the extra train: "
            "in the checkout, pip install -c constraints.txt '.[train]'",
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
    @click.command("dcgan-it", cls=Command, context_settings=CONTEXT_SETTINGS)
    @click.option("--metrics-port", "number", type=int)
    def command(number: int) -> None:
        click.echo(number)

    environment = {"DCGAN_IT_METRICS_PORT": "9"}
    assert CliRunner().invoke(command, env=environment).output == "9\n"
    assert CliRunner().invoke(command, ["--metrics-port", "8"], env=environment).output == "8\n"


def test_an_option_of_a_group_and_of_its_commands_too():
    @click.group("dcgan-many", cls=Group, context_settings=CONTEXT_SETTINGS)
    @click.option("--index", "place")
    @click.pass_context
    def group(context: click.Context, place: str) -> None:
        context.obj = place

    @group.command("get")
    @click.option("--json", "as_json")
    @click.pass_obj
    def get(place: str, as_json: str) -> None:
        click.echo(place + as_json)

    environment = {"DCGAN_MANY_INDEX": "a", "DCGAN_MANY_GET_JSON": "b"}
    assert CliRunner().invoke(group, ["get"], env=environment).output == "ab\n"
