"""The commands `dcgan-zoo pull` and `dcgan-zoo push`."""

from __future__ import annotations

import click

from dcgan.core.command_line import Command
from dcgan.zoo.command_options import NAME, VERSION, SearchPath


@click.command(cls=Command)
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--revision", show_default="the newest", help="Branch, tag or commit.")
def pull(repository: str, revision: str | None) -> None:
    """Pull a model from a Hugging Face repository into the cache and print its folder.

    HF_ENDPOINT, HF_HUB_OFFLINE and HF_TOKEN are obeyed. Files that can hold code are left out.
    """
    from dcgan.zoo.hub.pull import pull as pull_model

    click.echo(pull_model(repository, revision).folder)


@click.command(cls=Command)
@NAME
@click.argument("repository", metavar="OWNER/NAME")
@VERSION
@click.option("--private", is_flag=True, help="Create a private repository if there is none.")
@click.pass_obj
def push(
    search: SearchPath, name: str, repository: str, version: int | None, *, private: bool
) -> None:
    """Push a model to a Hugging Face repository: config.json, model.safetensors, card, ONNX.

    HF_ENDPOINT and HF_TOKEN are obeyed. Files that can hold code are left out.
    """
    from dcgan.zoo.catalog import get_model
    from dcgan.zoo.hub.push import push as push_model

    entry = get_model(name, version, repository=search.repository)
    click.echo(push_model(entry.release, repository, private=private))
