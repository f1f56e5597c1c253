"""`python -m dcgan.training` is `dcgan-train`; torchrun calls it so."""

import os
import sys

from dcgan.training.cli import main


def _leave_at_once(code: int) -> None:
    """Ends a process of a team without Python's own last steps.

    A thread of gloo may then still let go of a tensor, for which it wants the interpreter, and the process is aborted
    although all is done (pytorch/pytorch#190489).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        if "RANK" in os.environ and (end.code is None or isinstance(end.code, int)):
            _leave_at_once(end.code or 0)
        raise
