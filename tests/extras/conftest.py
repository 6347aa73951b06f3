"""Tests that need more than a bare install run under `make test-extras`, each folder in its own environment."""

import os

collect_ignore_glob = [] if "HEADRACE_EXTRA" in os.environ else ["*"]
