"""What holds for all tests."""

import os

from hypothesis import settings

# Servers that tests start side by side must not meet on the default port of HTTP.
os.environ.setdefault("DCGAN_SERVE_HTTP_PORT", "0")

# A busy machine takes its time for an example now and then, which is no failure.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
