"""What all commands share: errors, exit codes, environment variables, --version."""

from __future__ import annotations

import errno
import logging
from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from dcgan.core.command_line import CONTEXT_SETTINGS, Command, Group, PrintableFormatter
from dcgan.core.errors import DcganError


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DcganError("the thing is broken; fix it"), 2, "Error: the thing is broken; fix it"),
        (KeyboardInterrupt(), 130, "stopped"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            2,
            "Error: this needs the package torch; install the extra train: "
            "pip install 'dcgan-zoo[train]', or '.[train]' in the checkout",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            2,
            "Error: cannot write the output: No space left on device; make room for it",
        ),
        (
            DcganError("the name 'a\nError: forged \x1b[31m\u202e'"),
            2,
            "Error: the name 'a\\u000aError: forged \\u001b[31m\\u202e'",
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


def test_an_error_names_the_type_of_a_value_in_plain_words():
    @click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
    @click.option("--seed", type=click.IntRange(0, 9))
    @click.option("--rate", type=float)
    def command(seed: int, rate: float) -> None:
        click.echo((seed, rate))

    for flag, expected in (("--seed", "a whole number"), ("--rate", "a number")):
        result = CliRunner().invoke(command, [flag, "x"])
        error = f"Error: Invalid value for '{flag}': 'x' is not {expected}."
        assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, error)


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


@click.command("dcgan-it", cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option("--port", type=int, default=1)
@click.option("--out", default="")
def it(port: int, out: str) -> None:
    if out:
        raise DcganError(f"cannot write {out}; choose another --out")
    click.echo(port)


@click.group("dcgan-many", cls=Group, context_settings=CONTEXT_SETTINGS)
@click.option("--index", type=int)
def many(index: int | None) -> None:
    pass


@many.command("get")
@click.option("--version", type=int)
def get_version(version: int) -> None:
    raise DcganError(f"version {version} is not in --index")


def test_what_kubernetes_sets_for_a_service_is_ignored_with_a_warning():
    address = "tcp://10.96.12.7:8001"
    result = CliRunner().invoke(it, env={"DCGAN_IT_PORT": address})
    assert (result.exit_code, result.stdout) == (0, "1\n")
    assert result.stderr == (
        f"Warning: ignoring the variable DCGAN_IT_PORT={address}, "
        "which Kubernetes sets for a Service\n"
    )


def test_a_wrong_value_of_a_variable_is_an_error_that_names_it():
    result = CliRunner().invoke(it, env={"DCGAN_IT_PORT": "eight"})
    assert result.exit_code == 2
    assert "Invalid value for the variable DCGAN_IT_PORT (option --port)" in result.stderr
    assert "DCGAN" not in CliRunner().invoke(it, ["--port", "eight"]).stderr


def test_a_wrong_value_of_a_variable_of_a_group_names_it():
    result = CliRunner().invoke(many, ["get"], env={"DCGAN_MANY_INDEX": "x"})
    assert result.exit_code == 2
    assert "the variable DCGAN_MANY_INDEX (option --index)" in result.stderr


def test_an_error_about_an_option_that_a_variable_has_set_names_both():
    result = CliRunner().invoke(it, env={"DCGAN_IT_OUT": "x"})
    remark = " (--out was set by the variable DCGAN_IT_OUT)"
    assert result.stderr == f"Error: cannot write x; choose another --out{remark}\n"
    assert CliRunner().invoke(it, ["--out", "x"]).stderr == (
        "Error: cannot write x; choose another --out\n"
    )
    result = CliRunner().invoke(many, ["get"], env={"DCGAN_MANY_INDEX": "7"})
    assert "(--index was set by the variable DCGAN_MANY_INDEX)" in result.stderr


@pytest.mark.parametrize("option", ["--version", "-V"])
@pytest.mark.parametrize("command", [it, many])
def test_every_command_shows_its_version(command: click.Command, option: str):
    result = CliRunner().invoke(command, [option])
    assert (result.exit_code, result.stdout) == (0, f"{command.name} {version('dcgan-zoo')}\n")
    assert "-V, --version" in CliRunner().invoke(command, ["--help"]).stdout


def test_a_version_of_something_else_stays_what_it_is():
    result = CliRunner().invoke(many, ["get", "--version", "7"])
    assert "version 7 is not" in result.stderr

    @click.command("dcgan-other", cls=Command)
    @click.option("--version", type=int)
    def other(version: int) -> None:
        click.echo(version)

    assert CliRunner().invoke(other, ["--version", "7"]).stdout == "7\n"
    assert CliRunner().invoke(other, ["-V"]).stdout == f"dcgan-other {version('dcgan-zoo')}\n"


def test_log_lines_cannot_be_forged_or_coloured():
    record = logging.LogRecord("x", logging.INFO, "", 0, "id %s", ("a\nroot: \x1b[2J",), None)
    assert PrintableFormatter("%(message)s").format(record) == "id a\\u000aroot: \\u001b[2J"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_a_full_disk_behind_a_help_page_is_one_sentence(option: str, monkeypatch):
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    @click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
    def command() -> None:
        raise AssertionError

    monkeypatch.setattr("click.decorators.echo", fail)
    monkeypatch.setattr("click.echo", fail)
    with pytest.raises(
        click.ClickException, match="cannot write the output: No space left"
    ) as caught:
        command.main([option], standalone_mode=False)
    assert caught.value.exit_code == 2
