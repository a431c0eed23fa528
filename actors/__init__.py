"""Ray: the local classes hosted by actors. Without this package, single-process training works."""

import os

# Read by Ray when it is imported. The first would make every worker of a driver that `uv run` started install an
# environment of its own in a copy of the current folder; the second announces a default that is to change; with the
# third, a call after the end of a run, as from a thread that samples ahead, fails and starts no Ray of its own.
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
