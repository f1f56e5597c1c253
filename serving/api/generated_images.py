"""Images that were made for a request."""

from __future__ import annotations

from dataclasses import dataclass

from dcgan.serving.scheduling.image_job import Images


@dataclass(frozen=True, slots=True)
class GeneratedImages:
    """Images of a request, or of one chunk of a stream.

    Attributes:
        start: position of the first image in the request.
        count: number of images.
        images: pixels and times.
        files: PNG files; None if the request is for pixels.
        png_s: time that the PNG queue took.
    """

    start: int
    count: int
    images: Images
    files: list[bytes] | None = None
    png_s: float = 0.0


def from_cache(start: int, count: int, files: list[bytes] | None) -> GeneratedImages:
    """Returns images whose PNG files were in the cache, so that nothing was made for them."""
    return GeneratedImages(start, count, Images((), queue_s=0.0, compute_s=0.0), files)
