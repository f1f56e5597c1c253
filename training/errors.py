"""Errors of training."""

from dcgan.core.errors import DcganError


class TrainingError(DcganError):
    """A recipe, data source or run folder that cannot be used; the message says how to fix it."""


class UnusableImageError(TrainingError):
    """An image that cannot be used.

    Args:
        problem: names the image and says what is wrong with it.
        cure: what the user can do. `--skip-corrupt` lists the problem alone.
    """

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__(f"{problem}; {cure}")
        self.problem = problem
