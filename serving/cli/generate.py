"""`dcgan-generate`: images from a server, written to a file or a folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dcgan.core.command_line import CONTEXT_SETTINGS, Command
from dcgan.serving.cli.connection import connection_options, to_metadata
from dcgan.serving.cli.param_types import SECONDS, UINT32, UINT64

if TYPE_CHECKING:
    from dcgan.core.images import Pixels
    from dcgan.serving.client import Client, ImageOptions
    from dcgan.v1 import generator_pb2 as pb


@click.command("dcgan-generate", cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option("--seed", type=UINT64, required=True, help="Any 64-bit number; it names the images.")
@click.option("-n", "n", type=click.IntRange(1, 2**32 - 1), default=1, help="How many images.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="A .png for a grid, a .npy, or else a folder of PNGs. A file that exists is replaced; a "
    "folder must be new or empty.",
)
@click.option(
    "--target",
    default="127.0.0.1:8001",
    help="Address of the server, or of several with commas between them.",
)
@connection_options
@click.option("--model", default="", show_default="the server's", help="Name of a model.")
@click.option(
    "--model-version",
    type=click.IntRange(1, 2**32 - 1),
    help="Version of it.  [default: the newest]",
)
@click.option("--offset", type=UINT64, default=0, help="Index of the first image.")
@click.option(
    "--label",
    type=UINT32,
    help="Class of all images, for a conditional model.  "
    "[default: image i has class i mod classes]",
)
@click.option(
    "--truncation", type=click.FloatRange(0, 1, min_open=True), help="Scale of the latent vectors."
)
@click.option(
    "--format",
    "named",
    type=click.Choice(["auto", "grid", "npy", "folder"]),
    default="auto",
    help="What to write; auto goes by the ending of --out.",
)
@click.option("--timeout-s", type=SECONDS, default=60.0, help="Time to wait for images.")
def main(
    *,
    seed: int,
    n: int,
    out: Path,
    target: str,
    tls: bool,
    ca: Path | None,
    token: str | None,
    metadata: tuple[tuple[str, str], ...],
    model: str,
    model_version: int | None,
    offset: int,
    label: int | None,
    truncation: float | None,
    named: str,
    timeout_s: float,
) -> None:
    """Asks a server for images and writes them to a file or folder."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # errors are one sentence of ours
    from dcgan.core.text import printable
    from dcgan.serving.cli.output import ImageSource, choose_format, write_images
    from dcgan.serving.client import Client

    chosen = choose_format(out, named)
    client = Client(
        target,
        timeout_s=timeout_s,
        tls=tls,
        ca=ca,
        token=token,
        metadata=to_metadata(metadata),
    )
    with client:
        # Name the model in the request, so that a new default cannot take its place in between.
        drawn_by = client.model(model, model_version)
        options = _image_options(drawn_by, label, truncation)
        images = _draw(client, seed, n, offset, options)

    source = ImageSource(
        model=printable(drawn_by.name),
        version=drawn_by.version,
        digest=printable(drawn_by.digest),
        seed=seed,
        offset=offset,
        label=label,
        truncation=truncation,
    )
    replaced = write_images(images, out, chosen, source)
    click.echo(
        f"wrote images {offset} to {offset + n - 1} of seed {seed}, drawn by {source.model} "
        f"version {drawn_by.version}, to {out}{' in place of what was there' if replaced else ''}"
    )


def _image_options(model: pb.Model, label: int | None, truncation: float | None) -> ImageOptions:
    options: ImageOptions = {"model": model.name, "version": model.version}
    if label is not None:
        options["label"] = label
    if truncation is not None:
        options["truncation"] = truncation
    return options


def _draw(client: Client, seed: int, n: int, offset: int, options: ImageOptions) -> Pixels:
    """Returns images; many of them as a stream, with their progress on standard error."""
    from dcgan.serving.cli.progress import show_progress
    from dcgan.serving.client.replies import collect_images
    from dcgan.serving.client.requests import MAX_UNARY_IMAGES

    if n <= MAX_UNARY_IMAGES:
        return client.generate(seed, n, offset=offset, **options)
    chunks = client.stream(seed, n, offset=offset, **options)
    return collect_images(show_progress(chunks, n, sys.stderr), n)
