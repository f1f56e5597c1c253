import subprocess
import sys

import pytest

PROGRAM = """
import resource
from dcgan.serving.file_limit import raise_file_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (100, {hard}))
print(raise_file_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize("hard", [100, 150])
def test_the_limit_is_raised_as_far_as_it_may_be(hard):
    program = PROGRAM.format(hard=hard)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(hard), str(hard)]
