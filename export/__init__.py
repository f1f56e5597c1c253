"""From weights to a model folder that is proven to be the same function."""

import os

# ONNX Runtime reports to its makers, and keeps a number for this machine in the user's cache folder, unless it is told
# not to before it is first imported. Whoever wants that sets the variable themselves.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
