"""Types of the options of commands, beside those of click: text and paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dcgan.core.text import escape_unprintable, is_utf8


class _Text(click.types.StringParamType):
    """Text that UTF-8 can hold, unlike some names of files."""

    # The signature is that of click.
    def convert(
        self,
        value: Any,  # noqa: ANN401
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401
        text = super().convert(value, param, ctx)
        if not is_utf8(text):
            self.fail(f"'{escape_unprintable(text)}' is not valid UTF-8", param, ctx)
        return text


TEXT = _Text()
"""Type of options whose text goes into documents and messages, and does not name a file."""


class _Path(click.Path):
    """A path that is not empty, as a shell variable that is not set would be."""

    def convert(
        self,
        value: Any,  # noqa: ANN401
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


PATH = _Path(path_type=Path)
"""Type of options that name a file or a folder."""

FILE = _Path(path_type=Path, dir_okay=False)
"""Type of options that name a file."""
