"""Check every row of a table in one test, and name all rows that fail."""

import contextlib
import functools
import inspect
import shutil
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ParameterSet = type(pytest.param())


def every_row(names, rows, ids=None):
    """Run the test below on each row of a table; it fails once, with every row that failed and why.

    The arguments are those of `pytest.mark.parametrize`. Every row starts with what the test's
    fixtures put into `tmp_path`, whatever the row before left there, and its `monkeypatch` is
    undone after it.
    """
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    rows = list(rows)

    def decorate(test):
        signature = inspect.signature(test)
        kept = [each for name, each in signature.parameters.items() if name not in names]
        if "tmp_path" not in signature.parameters:  # fixtures that the test takes may lie there
            kept.append(inspect.Parameter("tmp_path", inspect.Parameter.KEYWORD_ONLY))

        @functools.wraps(test)
        def check_all(**fixtures):
            failed = []
            folder = fixtures["tmp_path"]
            if "tmp_path" not in signature.parameters:
                del fixtures["tmp_path"]
            with _restored(folder) as restore:
                for number, row in enumerate(rows):
                    values = _values(row, len(names))
                    try:
                        _check_row(test, fixtures, dict(zip(names, values, strict=True)))
                    except (Exception, pytest.fail.Exception) as error:
                        failed.append(f"── {_name(number, row, ids)}\n{_told(error)}")
                    restore()
            assert rows, "the table is empty"
            if failed:
                pytest.fail(
                    f"{len(failed)} of {len(rows)} rows fail\n" + "\n".join(failed), pytrace=False
                )

        check_all.__signature__ = signature.replace(parameters=kept)
        return check_all

    return decorate


def _values(row, count):
    """Return the arguments of a row, which may be a `pytest.param` that bears an id and no marks."""
    if isinstance(row, ParameterSet):
        assert not row.marks, "a row of a table has no marks"
        return row.values
    return row if count > 1 else [row]


def _check_row(test, fixtures, values):
    if "monkeypatch" not in fixtures:
        test(**fixtures, **values)
        return
    with fixtures["monkeypatch"].context() as own:
        test(**{**fixtures, "monkeypatch": own}, **values)


@contextlib.contextmanager
def _restored(folder):
    """Give a function that makes a folder again what it is now."""
    with TemporaryDirectory() as place:
        before = shutil.copytree(folder, Path(place) / "before", symlinks=True)

        def restore():
            for entry in folder.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            shutil.copytree(before, folder, symlinks=True, dirs_exist_ok=True)

        yield restore


def _name(number, row, ids):
    if isinstance(row, ParameterSet) and row.id:
        return f"row {number}: {row.id}"
    if ids and not callable(ids):
        return f"row {number}: {ids[number]}"
    return f"row {number}: {repr(row)[:200]}"


def _told(error):
    """Return the line of the test that failed, and the error."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if frame.filename != __file__]
    place = f"{inside[0].filename}:{inside[0].lineno}: " if inside else ""
    return place + "".join(traceback.format_exception_only(error)).strip()[:2000]
