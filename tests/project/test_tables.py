"""A test over a table reports every row that fails, and no row sees what another left behind."""

import os

import pytest
from support.tables import every_row


def test_every_failing_row_is_named_with_its_reason(tmp_path):
    @every_row(("one", "other"), [(1, 1), (1, 2), pytest.param(2, 3, id="both"), (4, 4)])
    def equal(one, other):
        assert one == other

    with pytest.raises(pytest.fail.Exception, match="2 of 4 rows fail") as caught:
        equal(tmp_path=tmp_path)
    assert "── row 1: (1, 2)\n" in str(caught.value)
    assert "── row 2: both\n" in str(caught.value)
    assert str(caught.value).count("test_tables.py:") == 2


def test_a_row_that_expects_an_error_and_gets_none_fails(tmp_path):
    @every_row("text", ["1", "x"])
    def refused(text):
        with pytest.raises(ValueError, match="invalid literal"):
            int(text)

    with pytest.raises(pytest.fail.Exception, match="1 of 2 rows fail"):
        refused(tmp_path=tmp_path)


@pytest.fixture
def begun(tmp_path):
    (tmp_path / "begun").write_text("as the fixture left it")
    return tmp_path / "begun"


@every_row("name", ["a", "b"])
@every_row("number", [1, 2])
def test_every_row_finds_the_folder_of_the_fixtures(begun, tmp_path, monkeypatch, name, number):
    assert begun.read_text() == "as the fixture left it"
    assert list(tmp_path.iterdir()) == [begun]
    assert "OF_A_ROW" not in os.environ
    monkeypatch.setenv("OF_A_ROW", name)
    begun.write_text(f"{name}{number}")
    (tmp_path / name).mkdir()


def test_an_empty_table_is_no_test(tmp_path):
    @every_row("name", [])
    def check(name):
        pass

    with pytest.raises(AssertionError, match="the table is empty"):
        check(tmp_path=tmp_path)
