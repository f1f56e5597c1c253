"""The error of this part."""

from dcgan.zoo.errors import DcganError


class TrainingError(DcganError):
    """A recipe, a data source or a run folder that cannot be used as it is."""


class CollapseError(TrainingError):
    """A run that no longer learns: it can go back to its last good checkpoint."""
