"""The three standard streams of `gan`, any of which may be closed, broken, full, or missing."""

import io
import subprocess
import sys

import pytest

from gancore.process import standard_streams
from gancore.process.global_state import importing
from gancore.process.standard_streams import UnfailingStream, write_line

LOUD = """
import os
import sys
from gancore import component, hookimpl


@component(source="a test")
class Loud:
    \"\"\"Write to every stream at every step, as libraries do.\"\"\"

    @hookimpl
    def before_step(self, step):
        print("printed words")
        print("more words", file=sys.stderr)
        try:
            os.write(2, b"raw words")  # as a library in C does, which ignores that it fails
        except OSError:
            pass
        sys.stdin.read(1)
"""
RUN = [
    *(
        sys.executable,
        "-m",
        "gancore",
        "run",
        "--data",
        "mixture",
        "--gen",
        "mlp",
        "--critic",
        "mlp-critic",
    ),
    *(
        "--mlp.hidden",
        "4",
        "--mlp-critic.hidden",
        "4",
        "--batch",
        "4",
        "--log-every",
        "1",
        "--reg",
        "./loud.py",
    ),
]


@pytest.mark.parametrize(
    "streams",
    [
        "<&- >&- 2>&-",
        "</dev/null 2> >(head -1 >/dev/null)",
        pytest.param("2>&-", marks=pytest.mark.slow),
        pytest.param("</dev/null >&- 2>/dev/full", marks=pytest.mark.slow),
        pytest.param("</dev/null 2>/dev/null >&-", marks=pytest.mark.slow),
    ],
)
def test_a_run_trains_to_its_end_whatever_became_of_its_streams(tmp_path, streams):
    (tmp_path / "loud.py").write_text(LOUD)
    command = ["/bin/bash", "-c", f'"$@" {streams}', "-", *RUN, "--steps", "30", "--out", "r"]
    done = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, timeout=300, check=False)
    assert done.returncode == 0
    assert (tmp_path / "r" / "samples" / "final.png").exists()
    for path in (tmp_path / "r").rglob("*"):
        # a file that was opened under the number of a closed stream would hold what was written to
        # that stream
        assert not path.is_file() or b"words" not in path.read_bytes(), path


def test_a_stream_whose_reader_is_gone_is_silenced_and_the_exit_code_kept(tmp_path):
    program = (
        "import sys; from gancore.process.standard_streams import keep_streams, write_line; keep_streams();"
        "[write_line('x' * 10000) or sys.stderr.write('y' * 10000) for _ in range(50)]; sys.exit(3)"
    )
    words = ["/bin/bash", "-c", '"$@" 2> >(exit 0); echo $?', "-", sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "3\n"


class Broken(io.StringIO):
    """A stream that takes nothing."""

    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise ValueError("I/O operation on closed file")


def test_nothing_that_is_written_to_a_broken_stream_raises():
    lasting = UnfailingStream(Broken())
    assert lasting.write("abc") == 3
    lasting.writelines(["a", "b"])
    lasting.flush()
    print("x", file=lasting)
    write_line("x", Broken())
    assert not lasting.isatty()  # in all else it is the stream itself


def test_an_import_that_prints_needs_no_stream(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    with importing("a plugin", "a test"):
        print("hello")
    write_line("x")


def test_missing_streams_are_made(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)  # as pythonw has it
    standard_streams.keep_streams()
    assert [stream.fileno() for stream in (sys.stdin, sys.stdout, sys.stderr)] == [0, 1, 2]
    assert isinstance(sys.stderr, UnfailingStream)
