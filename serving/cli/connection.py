"""The options of the commands that connect to a server."""

from __future__ import annotations

from collections.abc import Iterable

import click

from dcgan.core.command_line import UserError, with_options
from dcgan.core.parameter_types import FILE
from dcgan.serving.cli.param_types import KeyValue

connection_options = with_options(
    click.option("--tls", is_flag=True, help="Encrypt the connection."),
    click.option(
        "--ca",
        type=FILE,
        help="PEM file with the certificates to trust; implies --tls.  [default: gRPC's own]",
    ),
    click.option(
        "--token",
        help="Bearer token; sent only over TLS, or to this machine. Others can see command lines, "
        "so prefer the environment variable.",
    ),
    click.option(
        "--metadata",
        type=KeyValue(),
        multiple=True,
        help="Metadata to send with each request, as KEY=VALUE; may be repeated.",
    ),
)


def to_metadata(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns the values of --metadata by key.

    Raises:
        UserError: if a key is repeated.
    """
    metadata: dict[str, str] = {}
    for key, value in pairs:
        if key in metadata:
            raise UserError(f"--metadata has the key {key!r:.80} twice; give it once")
        metadata[key] = value
    return metadata
