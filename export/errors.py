"""The errors of an export.

ExportError                the run, or a file made from it, cannot be released                  exit
code 2 └── ParityError            a written file is not the trained function; one subclass per cause
  exit code 1
    ├── InvalidGraphError       `onnx.checker` rejects the file, or it needs foreign operators
    ├── WrongInterfaceError     an input or output has another name, type or shape
    ├── StaticBatchError        the batch axis has a fixed size
    ├── UnfoldedNormError       a batch normalization is left in the graph
    ├── WrongProviderError      the file runs, in part or whole, on another execution provider
    ├── BatchDependenceError    an image depends on the batch that it is in
    ├── FloatMismatchError      float images are further from the reference than allowed
    ├── LevelMismatchError      pixels are further from the reference, or more differ, than allowed
    ├── QualityError            the signal-to-noise ratio of an int8 or float16 file is too low
    ├── WeightMismatchError     a stored weight is not, bit for bit, that of the released network
    └── FailedRunError          the file cannot be loaded, fails, or returns another shape
"""

from __future__ import annotations

from dcgan.core.errors import DcganError


class ExportError(DcganError):
    """A run that cannot be released."""


class ParityError(ExportError):
    """A written file that does not compute what was trained."""


class InvalidGraphError(ParityError):
    """An ONNX file that is invalid, or needs more than the standard operators."""


class WrongInterfaceError(ParityError):
    """An input or output with another name, type or shape than the manifest promises."""


class StaticBatchError(ParityError):
    """A batch axis of a fixed size."""


class UnfoldedNormError(ParityError):
    """A batch normalization that was not folded into its convolution."""


class WrongProviderError(ParityError):
    """A file that runs on another execution provider than the one that was asked for."""


class BatchDependenceError(ParityError):
    """An image that changes with the batch that it is in."""


class FloatMismatchError(ParityError):
    """Float images too far from the reference."""


class LevelMismatchError(ParityError):
    """Pixels too far from the reference, or too many that differ."""


class QualityError(ParityError):
    """A reduced-precision file whose images are too far from those in float32."""


class WeightMismatchError(ParityError):
    """A stored weight that is not that of the released network."""


class FailedRunError(ParityError):
    """A file that cannot be loaded, fails on some batch, or returns images of another shape."""
