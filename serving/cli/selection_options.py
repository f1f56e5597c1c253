"""From the options of `dcgan-generate` to the images that they name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dcgan.core.command_line import UserError
from dcgan.core.labels import describe_labels, find_label
from dcgan.core.text import printable
from dcgan.serving.cli.favourites import Favourite, read_favourites
from dcgan.serving.cli.selection import (
    FavouriteSelection,
    ImageRange,
    SeedSelection,
    Selection,
    WalkPart,
    WalkSelection,
)
from dcgan.serving.client import Client, RefusedError
from dcgan.v1 import generator_pb2 as pb

_FLAGS = {"n": "-n", "favourites": "--from"}
_OF_WALKS = ("to_index", "steps", "frame_ms", "bounce")
_OF_SEEDS = (
    "seed",
    "n",
    "offset",
    "index",
    "to_seed",
    *_OF_WALKS,
    "model",
    "model_version",
    "label",
    "truncation",
)
_OF_RANGES = ("n", "offset")


@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """Values of the options that name images.

    Attributes:
        seed: of the images; None if not given.
        n: number of images.
        offset: index of the first image.
        index: ranges of indices, each its first and its number; None for `offset` and `n`.
        to_seed: seed of the last image of a walk; None if there is none.
        to_index: index of the last image of a walk.
        steps: number of images of a walk.
        favourites: file of favourites; None if there is none.
        model: name of the model; empty for the server's default.
        model_version: version of the model; None for the newest.
        label: number or name of the class of all images; None for the default.
        truncation: factor on the latent vectors; None for the default.
    """

    seed: int | None
    n: int
    offset: int
    index: tuple[tuple[int, int], ...] | None
    to_seed: int | None
    to_index: int
    steps: int
    favourites: Path | None
    model: str
    model_version: int | None
    label: str | None
    truncation: float | None


def check_combination(given: Collection[str]) -> None:
    """Checks that options do not contradict one another.

    Args:
        given: names of the parameters that have been given a value.

    Raises:
        UserError: names the two options.
    """
    if "favourites" in given:
        _refuse(given, _OF_SEEDS, "--from names the images itself")
        return

    if "seed" not in given:
        raise UserError("no images are named; give --seed, or a file with favourites as --from")
    if "index" in given:
        _refuse(given, _OF_RANGES, "--index names the images itself")
    if "to_seed" in given:
        _refuse(given, _OF_RANGES, "--to-seed asks for a walk, which has --index and --steps")
    else:
        _refuse(given, _OF_WALKS, "only a walk has it, and --to-seed is missing")


def build_selection(client: Client, options: SelectionOptions) -> Selection:
    """Asks the server for its models, and returns the images that the options name.

    Raises:
        DcganError: if a model or a class does not exist, or the file of favourites is damaged.
    """
    if options.favourites is not None:
        favourites = read_favourites(options.favourites)
        return _select_favourites(client, favourites, options.favourites)
    if options.seed is None:
        raise ValueError("neither a seed nor favourites")

    model = client.model(options.model, options.model_version)
    label = None if options.label is None else _read_label(options.label, model)
    if options.to_seed is not None:
        return _select_walk(options, options.seed, options.to_seed, model, label)

    return SeedSelection(
        parts=tuple(
            ImageRange(
                model=model,
                seed=options.seed,
                first=first,
                n=n,
                label=label,
                truncation=options.truncation,
            )
            for first, n in options.index or ((options.offset, options.n),)
        )
    )


def _refuse(given: Collection[str], names: Collection[str], reason: str) -> None:
    for name in names:
        if name in given:
            flag = _FLAGS.get(name, "--" + name.replace("_", "-"))
            raise UserError(f"{reason}; leave {flag} out")


def _select_walk(
    options: SelectionOptions, seed: int, to_seed: int, model: pb.Model, label: int | None
) -> WalkSelection:
    ranges = options.index or ((0, 1),)
    if len(ranges) > 1 or ranges[0][1] > 1:
        raise UserError("a walk begins at one image; give --index one number")
    return WalkSelection(
        part=WalkPart(
            model=model,
            seed=seed,
            index=ranges[0][0],
            to_seed=to_seed,
            to_index=options.to_index,
            n=options.steps,
            label=label,
            truncation=options.truncation,
        )
    )


def _select_favourites(
    client: Client, favourites: tuple[Favourite, ...], file: Path
) -> FavouriteSelection:
    models: dict[tuple[str, int], pb.Model] = {}
    parts = []
    for number, favourite in enumerate(favourites):
        where = f"{str(file)!r:.100}.favourites[{number}]"
        address = (favourite.model, favourite.version)
        if address not in models:
            models[address] = _find_model(client, favourite, where)
        model = models[address]

        label = favourite.label
        if label is not None and label >= model.classes:
            known = f"be 0 to {model.classes - 1}" if model.classes else "be null"
            raise UserError(f"{where}.label must {known}, not {label}")
        parts.append(
            ImageRange(
                model=model,
                seed=favourite.seed,
                first=favourite.index,
                n=1,
                label=label,
                truncation=None if favourite.truncation == 1 else favourite.truncation,
            )
        )
    return FavouriteSelection(parts=tuple(parts))


def _find_model(client: Client, favourite: Favourite, where: str) -> pb.Model:
    try:
        return client.model(favourite.model, favourite.version)
    except RefusedError as error:
        raise UserError(f"{where}: {error}") from None


def _read_label(text: str, model: pb.Model) -> int:
    name = printable(model.name)
    if not model.classes:
        raise UserError(f"leave --label out: model {name} has no classes")
    label = find_label(text, model.classes, model.class_names)
    if label is None:
        known = printable(describe_labels(model.classes, model.class_names), 1000)
        raise UserError(f"--label of model {name} must be {known}, not {text[:60]!a}")
    return label
