"""What `dcgan-generate` requests: images of a seed, favourites, or a walk between two images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dcgan.core.images import Pixels
from dcgan.core.text import printable
from dcgan.serving.client import Client, ImageOptions
from dcgan.serving.client.requests import MAX_UNARY_IMAGES
from dcgan.v1 import generator_pb2 as pb


@dataclass(frozen=True, kw_only=True)
class ImageRange:
    """Consecutive images of a seed.

    Attributes:
        model: that draws them; a request names its version.
        seed: seed of the images.
        first: index of the first image.
        n: number of images.
        label: class of all images; None for the default.
        truncation: factor on the latent vectors; None for the default.
    """

    model: pb.Model
    seed: int
    first: int
    n: int
    label: int | None = None
    truncation: float | None = None

    @property
    def indices(self) -> range:
        """Indices of the images."""
        return range(self.first, self.first + self.n)

    def chunks(self, client: Client) -> Iterator[Pixels]:
        """Generates the images; yields chunks, each uint8 [k, H, W, C]."""
        options = image_options(self.model, self.label, self.truncation)
        if self.n <= MAX_UNARY_IMAGES:
            return iter([client.generate(self.seed, self.n, offset=self.first, **options)])
        return client.stream(self.seed, self.n, offset=self.first, **options)

    def describe_indices(self) -> str:
        """Returns e.g. "3" or "3-9"."""
        return str(self.first) if self.n == 1 else f"{self.first}-{self.first + self.n - 1}"

    def text(self, indices: str) -> dict[str, str]:
        """Returns the text that a picture of these images carries.

        Args:
            indices: those of the images in the picture.
        """
        return _text_fields(
            self.model,
            seed=self.seed,
            index=indices,
            label=self.label,
            truncation=self.truncation,
        )


@dataclass(frozen=True, kw_only=True)
class SeedSelection:
    """Images of one seed.

    Attributes:
        parts: ranges that differ only in their indices; one or more.
    """

    parts: tuple[ImageRange, ...]

    @property
    def models(self) -> tuple[pb.Model, ...]:
        """The models that generate them."""
        return (self.parts[0].model,)

    def describe(self) -> str:
        """Returns what the images are, for messages."""
        first = self.parts[0]
        if len(self.parts) > 1:
            return f"images {self._indices(', ')} of seed {first.seed}"
        return f"images {first.first} to {first.first + first.n - 1} of seed {first.seed}"

    def captions(self) -> list[str]:
        """Returns the number under each image: its index."""
        return [str(index) for part in self.parts for index in part.indices]

    def file_names(self) -> Iterator[str]:
        """Yields a name for each image, without an extension."""
        return (f"{index:06d}" for part in self.parts for index in part.indices)

    def texts(self) -> Iterator[dict[str, str]]:
        """Yields the text that a picture of each image carries."""
        return (part.text(str(index)) for part in self.parts for index in part.indices)

    def text(self) -> dict[str, str]:
        """Returns the text that a picture of all images carries."""
        return self.parts[0].text(self._indices(","))

    def _indices(self, separator: str) -> str:
        return separator.join(part.describe_indices() for part in self.parts)


@dataclass(frozen=True, kw_only=True)
class FavouriteSelection:
    """Images of any models and seeds.

    Attributes:
        parts: ranges of one image each; one or more.
    """

    parts: tuple[ImageRange, ...]

    @property
    def models(self) -> tuple[pb.Model, ...]:
        """The models that generate them, each once."""
        return tuple({(each.name, each.version): each for each in self._models()}.values())

    def describe(self) -> str:
        """Returns what the images are, for messages."""
        return f"{len(self.parts)} favourite{'s' if len(self.parts) > 1 else ''}"

    def captions(self) -> list[str]:
        """Returns the numbers under each image: seed and index."""
        return [f"{part.seed}/{part.first}" for part in self.parts]

    def file_names(self) -> Iterator[str]:
        """Yields a name for each image, without an extension."""
        for number, part in enumerate(self.parts):
            yield f"{number:04d}-seed-{part.seed}-index-{part.first}"

    def texts(self) -> Iterator[dict[str, str]]:
        """Yields the text that a picture of each image carries."""
        return (part.text(str(part.first)) for part in self.parts)

    def text(self) -> dict[str, str]:
        """Returns the text that a picture of all images carries: their addresses."""
        addresses = (
            f"{printable(part.model.name)}/{part.model.version}/{part.seed}/{part.first}"
            for part in self.parts
        )
        return {"Software": "dcgan-generate", "dcgan:images": " ".join(addresses)}

    def _models(self) -> Iterator[pb.Model]:
        return (part.model for part in self.parts)


@dataclass(frozen=True, kw_only=True)
class WalkPart:
    """The images from one image to another, both included.

    Attributes:
        model: that draws them.
        seed: seed of the first image.
        index: index of the first image.
        to_seed: seed of the last image.
        to_index: index of the last image.
        n: number of images.
        label: class of all images; None for the default.
        truncation: factor on the latent vectors; None for the default.
    """

    model: pb.Model
    seed: int
    index: int
    to_seed: int
    to_index: int
    n: int
    label: int | None = None
    truncation: float | None = None

    def chunks(self, client: Client) -> Iterator[Pixels]:
        """Generates the images; yields chunks, each uint8 [k, H, W, C]."""
        return client.interpolate(
            self.seed,
            self.to_seed,
            self.n,
            offset_a=self.index,
            offset_b=self.to_index,
            **image_options(self.model, self.label, self.truncation),
        )


@dataclass(frozen=True, kw_only=True)
class WalkSelection:
    """A walk between two images.

    Attributes:
        part: the walk.
    """

    part: WalkPart

    @property
    def parts(self) -> tuple[WalkPart, ...]:
        """The walk alone."""
        return (self.part,)

    @property
    def models(self) -> tuple[pb.Model, ...]:
        """The model that generates them."""
        return (self.part.model,)

    def describe(self) -> str:
        """Returns what the images are, for messages."""
        part = self.part
        first = f"image {part.index} of seed {part.seed}"
        last = f"image {part.to_index} of seed {part.to_seed}"
        return f"{part.n} steps from {first} to {last}"

    def captions(self) -> list[str]:
        """Returns the number under each image: its step."""
        return [str(step) for step in range(self.part.n)]

    def file_names(self) -> Iterator[str]:
        """Yields a name for each image, without an extension."""
        return (f"{step:06d}" for step in range(self.part.n))

    def texts(self) -> Iterator[dict[str, str]]:
        """Yields the text that a picture of each image carries."""
        return (self.text() | {"dcgan:step": str(step)} for step in range(self.part.n))

    def text(self) -> dict[str, str]:
        """Returns the text that a picture of all images carries."""
        part = self.part
        return _text_fields(
            part.model,
            seed=part.seed,
            index=part.index,
            to_seed=part.to_seed,
            to_index=part.to_index,
            steps=part.n,
            label=part.label,
            truncation=part.truncation,
        )


Selection: TypeAlias = SeedSelection | FavouriteSelection | WalkSelection


def image_options(model: pb.Model, label: int | None, truncation: float | None) -> ImageOptions:
    """Returns the options of a request.

    They name model and version, so that a new default cannot take its place in between.
    """
    options: ImageOptions = {"model": model.name, "version": model.version}
    if label is not None:
        options["label"] = label
    if truncation is not None:
        options["truncation"] = truncation
    return options


def describe_models(models: Sequence[pb.Model]) -> str:
    """Returns e.g. "dcgan64 version 1 and dcgan64-tiny version 1"."""
    return " and ".join(f"{printable(each.name)} version {each.version}" for each in models)


def _text_fields(model: pb.Model, **fields: object) -> dict[str, str]:
    values = {
        "model": printable(model.name),
        "version": model.version,
        "digest": printable(model.digest),
        **fields,
    }
    text = {f"dcgan:{key}": str(value) for key, value in values.items() if value is not None}
    return {"Software": "dcgan-generate", **text}
