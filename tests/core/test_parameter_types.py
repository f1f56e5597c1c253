"""Types of options: text and paths."""

from importlib.metadata import EntryPoint, distribution

import click
import pytest
from click.testing import CliRunner

from dcgan.core.command_line import CONTEXT_SETTINGS, Command
from dcgan.core.parameter_types import PATH, TEXT

COMMANDS = distribution("dcgan-zoo").entry_points.select(group="console_scripts")


def test_text_that_is_not_utf_8_is_refused():
    @click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
    @click.option("--description", type=TEXT)
    def command(description: str) -> None:
        click.echo(description)

    assert CliRunner().invoke(command, ["--description", "café"]).output == "café\n"
    result = CliRunner().invoke(command, ["--description", "caf\udce9"])
    assert result.exit_code == 2
    assert "Invalid value for '--description': 'caf\\udce9' is not valid UTF-8" in result.stderr


@pytest.mark.parametrize("point", COMMANDS, ids=lambda point: point.name)
def test_no_path_may_be_empty(point: EntryPoint):
    command = point.load()
    commands = [command, *getattr(command, "commands", {}).values()]
    paths = [
        parameter
        for each in commands
        for parameter in each.params
        if isinstance(parameter.type, click.Path)
    ]
    assert paths
    for parameter in paths:
        with pytest.raises(click.BadParameter, match="the path is empty"):
            parameter.type.convert("", parameter, None)


def test_an_empty_path_is_one_sentence():
    @click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
    @click.option("--out", type=PATH)
    def command(out: object) -> None:
        click.echo(out)

    result = CliRunner().invoke(command, ["--out", ""])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: Invalid value for '--out': the path is empty" in result.stderr
