"""The error of this part."""

from dcgan.core.errors import DcganError


class TrainingError(DcganError):
    """A recipe, a data source or a run folder that cannot be used as it is."""


class CollapseError(TrainingError):
    """A run that no longer learns: it can go back to its last good checkpoint."""


class UnusableError(TrainingError):
    """An image that cannot be used.

    Args:
        problem: names it and says what is wrong; all that is of interest where it is left out.
        cure: what can be done.
    """

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__(f"{problem}; {cure}")
        self.problem = problem
