"""True FID, KID and Inception score by torch-fidelity, on weights that the user brings."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dcgan.core.images import Pixels
from dcgan.evaluation.errors import EvaluationError

SHA256_PREFIX = "6726825d"

_CURE = "name pt_inception-2015-12-05-6726825d.pth of torch-fidelity or pytorch-fid"


def check_inception(path: Path) -> None:
    """Checks that a file holds the Inception weights that define FID.

    Raises:
        EvaluationError: if it is missing or another file.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EvaluationError(
            f"cannot read the Inception weights {path}: {error.strerror}; {_CURE}"
        ) from None
    if not found.startswith(SHA256_PREFIX):
        raise EvaluationError(
            f"the Inception weights {path} have sha256 {found[:8]}..., "
            f"not {SHA256_PREFIX}...; {_CURE}"
        )


def true_fid(images: Pixels, real: Pixels, weights: Path) -> dict[str, float]:
    """Computes FID, KID and the Inception score.

    Args:
        images: uint8 [n, H, H, C].
        real: uint8 [m, R, R, C].
        weights: a file that `check_inception` accepts.

    Returns:
        Values of torch-fidelity, under its names.
    """
    from torch_fidelity import calculate_metrics  # noqa: PLC0415 - part of the extra `evaluate`

    subset = min(1000, len(images), len(real))
    return cast(
        dict[str, float],
        calculate_metrics(
            input1=_Images(images),
            input2=_Images(real),
            fid=True,
            kid=True,
            isc=True,
            kid_subset_size=subset,
            cuda=torch.cuda.is_available(),
            feature_extractor_weights_path=str(weights),
            cache=False,
            verbose=False,
        ),
    )


class _Images(Dataset[Tensor]):
    """Images as torch-fidelity takes them: uint8 [3, H, H]."""

    def __init__(self, images: Pixels) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        image = torch.from_numpy(self._images[index].copy()).permute(2, 0, 1)
        return image.expand(3, -1, -1).contiguous()
