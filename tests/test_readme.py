"""What the README tells people to type is what the commands and the library take."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

from dcgan.serving.launch import launch_server

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    """Every call of one of our commands in a bash block, continuation lines joined."""
    lines = [
        line
        for kind, text in BLOCKS
        if kind == "bash"
        for line in text.replace("\\\n", " ").splitlines()
    ]
    calls = [line.partition("#")[0].strip().removesuffix("&").strip() for line in lines]
    return [
        re.sub(r"^\.venv/bin/", "", call)
        for call in calls
        if re.match(r"(\.venv/bin/)?dcgan-", call)
    ]


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_readme_is_understood(line: str):
    name, *arguments = shlex.split(line)
    command = next(
        point for point in entry_points(group="console_scripts") if point.name == name
    ).load()
    if isinstance(command, click.Group):  # dcgan-zoo [OPTIONS] COMMAND ...
        command.make_context(name, list(arguments))
        place = next(i for i, word in enumerate(arguments) if word in command.commands)
        command, arguments = command.commands[arguments[place]], arguments[place + 1 :]
    command.make_context(name, arguments)


def test_there_are_commands_to_check():
    assert len(commands()) >= 5


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z]+)", README))))
def test_a_make_target_of_the_readme_exists(target: str):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_the_python_of_the_readme_runs(tmp_path: Path):
    """Against the shipped model, served on the port that the README names as the default, moved to a free one."""
    programs = [text for kind, text in BLOCKS if kind == "python"]
    assert programs
    serve = [str(Path(sys.executable).parent / "dcgan-serve"), "--port", "0", "--metrics-port", "0"]
    with launch_server(serve, cwd=tmp_path) as server:
        for program in programs:
            moved = program.replace("127.0.0.1:8001", server.address)
            assert moved != program, "a program of the README must name 127.0.0.1:8001"
            subprocess.run(
                [sys.executable, "-W", "error", "-c", moved], cwd=tmp_path, check=True, timeout=120
            )
    assert server.process.returncode == 0


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!http|#)([^)#]+)", README))))
def test_a_link_of_the_readme_leads_somewhere(path: str):
    assert (ROOT / path).exists()
