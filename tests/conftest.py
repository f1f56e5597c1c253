"""What holds for all tests."""

import os

# Servers that tests start side by side must not meet on the default port of HTTP.
os.environ.setdefault("DCGAN_SERVE_HTTP_PORT", "0")
