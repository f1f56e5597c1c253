"""Options and arguments that several commands of `dcgan-zoo` have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dcgan.zoo.signature import PublicKey

NAME = click.argument("name")
VERSION = click.option(
    "--version", type=click.IntRange(1), show_default="the newest", help="Version of the model."
)


@dataclass(frozen=True, kw_only=True)
class SearchPath:
    """Places to look for models in addition to the cache and the package."""

    repository: Path | None
    index: str | None
    index_key: str | None

    @property
    def key(self) -> PublicKey | None:
        """The key that must have signed the index; None for no check.

        Raises:
            SignatureError: if --index-key is not a public key.
        """
        from dcgan.zoo.signature import read_public_key  # noqa: PLC0415 - only with --index-key

        return read_public_key(self.index_key) if self.index_key is not None else None
