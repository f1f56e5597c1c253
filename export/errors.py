"""What can go wrong between a run folder and a released model.

ExportError                the run, or a file made from it, cannot be released                       exit code 2
└── ParityError            a written file is not the trained function; one subclass for each way     exit code 1
    ├── InvalidGraphError       `onnx.checker` refuses the file, or it has a foreign operator set
    ├── WrongInterfaceError     an input or output has another name, type or shape
    ├── StaticBatchError        the batch axis has a fixed size
    ├── UnfoldedNormError       a batch normalisation is left in the graph
    ├── WrongProviderError      the file runs, in part or whole, on another execution provider
    ├── BatchDependenceError    an image depends on the batch it shares
    ├── FloatMismatchError      float images are further from the reference than allowed
    ├── LevelMismatchError      pixels are further from the reference, or more of them differ, than allowed
    ├── QualityError            the signal-to-noise ratio of an int8 file is below the limit
    ├── WeightMismatchError     a stored weight is not, bit for bit, that of the released network
    └── FailedRunError          the file fails while it runs, or gives images of another shape
"""

from __future__ import annotations

from dcgan.core.errors import DcganError


class ExportError(DcganError):
    """A run that cannot be released."""


class ParityError(ExportError):
    """A written file that does not compute what was trained."""


class InvalidGraphError(ParityError):
    """An ONNX file that the standard does not allow, or that needs more than the standard operators."""


class WrongInterfaceError(ParityError):
    """An input or output with another name, type or shape than the manifest promises."""


class StaticBatchError(ParityError):
    """A batch axis of a fixed size."""


class UnfoldedNormError(ParityError):
    """A batch normalisation that was not folded into its convolution."""


class WrongProviderError(ParityError):
    """A file that runs elsewhere than on the execution provider that was asked for."""


class BatchDependenceError(ParityError):
    """An image that changes with the batch it shares."""


class FloatMismatchError(ParityError):
    """Float images too far from the reference."""


class LevelMismatchError(ParityError):
    """Pixels too far from the reference, or too many that differ."""


class QualityError(ParityError):
    """An int8 file whose images are too far from those in float32, all in all."""


class WeightMismatchError(ParityError):
    """A stored weight that is not that of the released network."""


class FailedRunError(ParityError):
    """A file that fails on some batch, or gives images of another shape."""
