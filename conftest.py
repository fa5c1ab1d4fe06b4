"""Tests of plugins run from their own folders too; they share the cores, one process and one thread each."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads must not spin on a shared machine
os.environ.setdefault("OMP_NUM_THREADS", "1")
