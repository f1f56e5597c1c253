"""`dcgan-generate`: images from a server, written to a file or a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dcgan.core.command_line import CONTEXT_SETTINGS, Command, UserError
from dcgan.core.parameter_types import PATH, TEXT
from dcgan.serving.cli.connection import connection_options, to_metadata
from dcgan.serving.cli.param_types import SECONDS, UINT64, IndexRanges

if TYPE_CHECKING:
    from dcgan.core.images import Pixels
    from dcgan.serving.cli.image_files import OutputPlan
    from dcgan.serving.cli.selection import Selection
    from dcgan.serving.client import Client

_LARGE_PIXELS = 2**25  # takes seconds to encode


@click.command("dcgan-generate", cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option(
    "--seed",
    type=UINT64,
    help="Seed of the images, any 64-bit number. Required unless --from is given.",
)
@click.option("-n", "n", type=click.IntRange(1, 2**32 - 1), default=1, help="How many images.")
@click.option("--offset", type=UINT64, default=0, help="Index of the first image.")
@click.option(
    "--index",
    type=IndexRanges(),
    help="Indices of the images, e.g. 3,17 or 0-9,20, in place of --offset and -n.",
)
@click.option(
    "--from",
    "favourites",
    type=PATH,
    help="File with favourites, as the page of dcgan-serve saves it, in place of --seed.",
)
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="A .png or .webp for a grid, a .webp or .gif for a walk, a .npy, or else a folder of "
    "PNGs. A file that exists is replaced; a folder must be new or empty.",
)
@click.option(
    "--target",
    default="127.0.0.1:8001",
    help="Address of the server, or of several with commas between them.",
)
@connection_options
@click.option(
    "--model", type=TEXT, default="", show_default="the server's", help="Name of a model."
)
@click.option(
    "--model-version",
    type=click.IntRange(1, 2**32 - 1),
    help="Version of the model.  [default: the newest]",
)
@click.option(
    "--label",
    type=TEXT,
    help="Class of all images, by number or name, for a conditional model.  "
    "[default: image i has class i mod classes]",
)
@click.option(
    "--truncation", type=click.FloatRange(0, 1, min_open=True), help="Scale of the latent vectors."
)
@click.option(
    "--to-seed",
    type=UINT64,
    help="Walk from image --index of --seed to image --to-index of this seed.",
)
@click.option("--to-index", type=UINT64, default=0, help="Index of the last image of a walk.")
@click.option(
    "--steps",
    type=click.IntRange(2, 10_000),
    default=24,
    help="Images of a walk, both ends included.",
)
@click.option(
    "--frame-ms",
    type=click.IntRange(20, 10_000),
    default=80,
    help="Duration of a frame of a walk, a multiple of 10.",
)
@click.option("--bounce", is_flag=True, help="Let a walk run back to its beginning.")
@click.option(
    "--scale",
    type=click.IntRange(1, 64),
    default=1,
    help="Enlarge pictures by this factor, without smoothing.",
)
@click.option(
    "--columns",
    type=click.IntRange(1, 65535),
    help="Images in a row of a grid.  [default: as many as rows, or one more]",
)
@click.option(
    "--captions", is_flag=True, help="Write the number of each image under it, in a grid."
)
@click.option(
    "--format",
    "named",
    type=click.Choice(["auto", "grid", "animation", "npy", "folder"]),
    default="auto",
    help="What to write; auto goes by the ending of --out.",
)
@click.option("--timeout-s", type=SECONDS, default=60.0, help="Time to wait for images.")
@click.pass_context
def main(
    ctx: click.Context,
    /,
    *,
    target: str,
    tls: bool,
    ca: Path | None,
    token: str | None,
    metadata: tuple[tuple[str, str], ...],
    timeout_s: float,
    **options: Any,  # noqa: ANN401 - click's values
) -> None:
    """Asks a server for images and writes them to a file or folder."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # errors are one sentence of ours
    from dcgan.serving.cli.image_files import check_size, write_images
    from dcgan.serving.cli.selection import describe_models
    from dcgan.serving.cli.selection_options import (
        SelectionOptions,
        build_selection,
        check_combination,
    )
    from dcgan.serving.client import Client

    given = _given_options(ctx)
    check_combination(given)
    plan = _plan_output(options, given)
    names = SelectionOptions.__dataclass_fields__
    selected = SelectionOptions(**{name: options[name] for name in names})

    client = Client(
        target,
        timeout_s=timeout_s,
        tls=tls,
        ca=ca,
        token=token,
        metadata=to_metadata(metadata),
    )
    with client:
        selection = build_selection(client, selected)
        check_size(plan, selection)
        parts = _draw(client, selection)

    _announce_encoding(plan, parts)
    replaced = write_images(parts, plan, selection)
    click.echo(
        f"wrote {selection.describe()}, drawn by {describe_models(selection.models)}, "
        f"to {plan.out}{' in place of what was there' if replaced else ''}"
    )


def _given_options(ctx: click.Context) -> set[str]:
    """Returns the names of the options that the command line or the environment sets."""
    given = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    return {name for name in ctx.params if ctx.get_parameter_source(name) in given}


def _plan_output(options: dict[str, Any], given: set[str]) -> OutputPlan:
    """Returns what to write.

    Raises:
        DcganError: if options do not suit what is written.
    """
    from dcgan.serving.cli.image_files import OutputPlan, choose_kind

    out = options["out"]
    kind = choose_kind(out, options["named"], is_walk="to_seed" in given)
    suits = {
        "columns": ("grid",),
        "captions": ("grid",),
        "frame_ms": ("animation",),
        "bounce": ("animation",),
        "scale": ("grid", "animation", "folder"),
    }
    for name, kinds in suits.items():
        if name in given and kind not in kinds:
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag} is for {' or '.join(kinds)}, not for {kind}; leave it out")
    if options["frame_ms"] % 10:
        raise UserError(f"--frame-ms must be a multiple of 10, not {options['frame_ms']}")

    suffix = out.suffix.lower()
    return OutputPlan(
        out=out,
        kind=kind,
        extension=suffix[1:] if suffix in (".webp", ".gif") else "png",
        columns=options["columns"],
        scale=options["scale"],
        captions=options["captions"],
        frame_ms=options["frame_ms"],
        bounce=options["bounce"],
    )


def _draw(client: Client, selection: Selection) -> list[Pixels]:
    """Returns the images of each part; many of them with their progress on standard error."""
    from dcgan.serving.cli.progress import show_progress
    from dcgan.serving.client.replies import ImageCollector, check_shape
    from dcgan.serving.client.requests import MAX_UNARY_IMAGES

    parts: list[Pixels] = []

    def chunks() -> Iterator[Pixels]:
        for part in selection.parts:
            collector = ImageCollector(part.n)
            for chunk in part.chunks(client):
                check_shape(chunk, part.model)
                collector.add(chunk)
                yield chunk
            parts.append(collector.images())

    n = sum(part.n for part in selection.parts)
    shown = chunks() if n <= MAX_UNARY_IMAGES else show_progress(chunks(), n, sys.stderr)
    for _ in shown:
        pass
    return parts


def _announce_encoding(plan: OutputPlan, parts: list[Pixels]) -> None:
    """Says so if the picture takes long to encode."""
    pixels = sum(part.size // part.shape[3] for part in parts) * plan.scale**2
    if plan.kind in ("grid", "animation") and pixels > _LARGE_PIXELS:
        click.echo(f"encoding {pixels / 2**20:,.0f} million pixels", err=True)
