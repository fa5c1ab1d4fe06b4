"""Tests of plugins run from their own folders too; waiting threads must not spin on a shared machine."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
