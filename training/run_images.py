"""The images of a run: loaded with a report on what was left out, or packed into a zip."""

from __future__ import annotations

from pathlib import Path

import click

from dcgan.core.text import escape_unprintable
from dcgan.training.config import Recipe
from dcgan.training.data.cache import load_dataset
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.decode import DecodeConfig
from dcgan.training.data.source import ImageSource
from dcgan.training.data.sources import open_source
from dcgan.training.data.stylegan_zip import check_absent, write_stylegan_zip
from dcgan.training.monitor.progress import decoding_progress
from dcgan.training.options import TrainOptions

# Images that cannot be used, of which the command prints so many.
_MAX_LISTED = 10


def load_images(
    data: str,
    recipe: Recipe,
    *,
    verbose: bool,
    skip_corrupt: bool,
    background: str,
    exact: bool = False,
) -> Dataset:
    """Decodes the images of a run, or reads them from the cache.

    Args:
        data: source, as `--data` names it.
        recipe: of the run, for the size of the images.
        verbose: whether to print what was left out, and how the images were read.
        skip_corrupt: leave out images that cannot be used.
        background: color on which transparent images are laid.
        exact: resize small images too, which a run resizes on the device.

    Raises:
        TrainingError: names what cannot be used, and the cure.
    """
    source = open_source(data)
    shape = recipe.generator
    config = DecodeConfig(
        image_size=shape.image_size,
        channels=shape.channels,
        skip_corrupt=skip_corrupt,
        exact=exact,
        background=background,
    )
    dataset = load_dataset(source, config, decoding_progress)
    if verbose:
        _report_images(source, dataset, recipe)
    return dataset


def _report_images(source: ImageSource, dataset: Dataset, recipe: Recipe) -> None:
    """Prints what was left out and how the images were read."""
    name = source.name
    other = source.skipped - source.ignored
    if other:
        types = f" ({source.skipped_types})" if source.skipped_types else ""
        _warn(f"files in {name} that are not images, and are left out: {other}{types}")
    if source.ignored:
        _warn(f"files in hidden and thumbnail folders of {name}, left out: {source.ignored}")
    for note in dataset.notes:
        _warn(note)
    if dataset.labels_problem is not None and not recipe.generator.classes:
        _warn(f"labels are not used: {dataset.labels_problem}")

    count = len(dataset.corrupt)
    if count:
        _warn(f"images in {name} that cannot be used, and are left out: {count}")
    for sentence in dataset.corrupt[:_MAX_LISTED]:
        _warn(f"  {sentence}")
    if count > _MAX_LISTED:
        _warn("  ...; skipped.txt in the run folder lists all of them")


def _warn(text: str) -> None:
    """Prints a line about the images; names of files may contain terminal escapes."""
    click.echo(escape_unprintable(text), err=True)


def pack_images(options: TrainOptions, source: str, out: str, *, skip_corrupt: bool) -> None:
    """Writes the images of a source as a StyleGAN zip."""
    check_absent(Path(out))
    recipe = options.resolve_recipe(None)
    dataset = load_images(
        source,
        recipe,
        verbose=True,
        skip_corrupt=skip_corrupt,
        background=options.resolve_background(None),
        exact=True,
    )
    write_stylegan_zip(dataset, Path(out))

    count, size = dataset.images.shape[:2]
    click.echo(f"{count} images of {size} x {size} are in {out}; --data {out} trains on them")
