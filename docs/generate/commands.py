"""Reference pages of the commands, from their click definitions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import distribution

import click

from docs.generate.markdown import cell, code


def command_pages() -> dict[str, str]:
    """Returns a page for each installed command, by its name."""
    points = distribution("dcgan-zoo").entry_points.select(group="console_scripts")
    return {point.name: _page(point.name, point.load()) for point in points}


def _page(name: str, command: click.Command) -> str:
    context = _context(command, name)
    sections = [f"# {name}\n", *_describe(context)]

    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            child = command.get_command(context, verb)
            assert child is not None
            sections += [f"## {name} {verb}\n", *_describe(_context(child, verb, context))]

    return "\n".join(sections)


def _context(
    command: click.Command, name: str, parent: click.Context | None = None
) -> click.Context:
    return click.Context(command, info_name=name, parent=parent, **command.context_settings)


def _describe(context: click.Context) -> Iterator[str]:
    """Yields the help text, the usage line and every option of one command."""
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"{_prose(command.help or '')}\n"
    yield f"```text\n{usage}\n```\n"

    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield _option(parameter, context)


def _option(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    assert record is not None
    flags, prose = record
    facts: list[str] = []
    while match := re.fullmatch(r"(.*?)\s+\[([^\[\]]+)\]", prose, flags=re.DOTALL):
        prose = match[1]
        facts = [*re.split(r"; (?![^(]*\))", match[2]), *facts]

    sentences = [cell(prose), *map(_fact, facts)]
    if isinstance(option.envvar, str):
        sentences.append(f"Variable: {code(option.envvar)}.")
    return f"{code(flags.replace(' RANGE', ''))}\n: {' '.join(sentences)}\n"


def _fact(text: str) -> str:
    """Returns a fact that click shows in brackets as a sentence."""
    if text == "required":
        return "Required."
    if not text.startswith("default: "):
        return f"Range: {code(text)}."

    default = text.removeprefix("default: ")
    in_words = " " in default or default.startswith("(")
    return f"Default: {cell(default.strip('()')) if in_words else code(default)}."


def _prose(text: str) -> str:
    r"""Returns help text as Markdown: paragraphs after \b keep their line breaks."""
    paragraphs = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):
            paragraphs.append(f"```text\n{paragraph[1:].strip()}\n```")
        else:
            paragraphs.append(cell(paragraph))
    return "\n\n".join(paragraphs)
