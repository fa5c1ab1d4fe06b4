"""Tests of plugins run from their own folders too; they share the cores, one process and one thread
each.
"""

import os
import sys

import pytest

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # waiting threads must not spin on a shared machine
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection():
    """Keep the tests' rewritten bytecode while they are collected, also where Python is told to
    write none.

    Rewriting them takes nine seconds of every worker. The tests themselves change modules faster
    than their times of change tell, so that they must not keep any.
    """
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = False
    try:
        return (yield)
    finally:
        sys.dont_write_bytecode = before
