"""The error of this part."""

from dcgan.zoo.errors import DcganError


class TrainingError(DcganError):
    """A recipe, a data source or a run folder that cannot be used as it is."""
