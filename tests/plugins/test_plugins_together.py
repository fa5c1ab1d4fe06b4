"""Components that do not go together are refused with a reason; those that do are left alone."""

import json

import pytest
from support.plugin_shelf import FINE, RUN, VIEW, loss, trick
from support.tables import every_row


def test_options_of_one_name_belong_each_to_their_component_P25(gan_here, shelf, tmp_path):
    code = trick(f"batch: int = option(1, ge=0, help='like a setting of the run')\n{VIEW}")
    shelf.publish(code)
    shelf.publish(code, name="other")
    gan_here(*RUN, "--reg", "faulty", "--reg", "other", "--faulty.batch", "2", "--other.batch", "3")
    text = (tmp_path / "r" / "recipe.toml").read_text()
    assert "batch = 4" in text
    assert "[faulty]\nbatch = 2" in text
    assert "[other]\nbatch = 3" in text


@every_row(
    ("declared", "words", "code", "said"),
    [
        pytest.param(
            "complex = option(1, help='h')",
            ["--faulty.size", "2"],
            2,
            "of a type that options",
            id="P25-type",
        ),
        pytest.param(
            "int = option(-1, ge=0, help='h')",
            [],
            2,
            "size is -1, but must be at least 0",
            id="P25-default",
        ),
        pytest.param(
            "list = option([1], help='h')", [], 1, "which all objects would share", id="P25-mutable"
        ),
        pytest.param(
            "dict = option({}, help='h')",
            [],
            1,
            "which all objects would share",
            id="P25-mutable-dict",
        ),
    ],
)
def test_a_bad_declaration_of_an_option_is_refused(gan_here, shelf, declared, words, code, said):
    shelf.publish(trick(f"size: {declared}\n{VIEW}"))
    assert said in gan_here(*RUN, "--reg", "faulty", *words, check=code).stderr


def test_components_that_ask_for_each_other_in_a_circle_are_named_P26(refused, shelf):
    shelf.publish(loss(), kind="loss")
    # with the default loss it wants the faulty one, and with that, which has no targets, the
    # default again
    shelf.publish(
        trick(VIEW, card='source="a test", defaults_with={"loss.targets": {"loss": "faulty"}}'),
        name="asks",
    )
    said = refused(*RUN, "--reg", "asks", code=2)
    assert "choose each other in a circle" in said
    assert "asks" in said


@every_row(
    ("card", "said"),
    [
        pytest.param(
            'rules=[requires("a.thing", "it stands on it")]', "it stands on it", id="P26-missing"
        ),
        pytest.param(
            'provides=["own"], rules=[requires("other", "it stands on it")]',
            "it stands on it",
            id="P26-not-by-itself",
        ),
        pytest.param(
            'defaults={"reg": ["nowhere"]}', "is called 'nowhere'", id="P26-asks-for-nobody"
        ),
    ],
)
def test_what_a_component_needs_and_nobody_gives_is_refused(refused, shelf, card, said):
    shelf.publish(trick(VIEW, card=f'source="a test", {card}'))
    assert said in refused(*RUN, "--reg", "faulty", code=2)


def test_a_component_that_asks_for_itself_is_chosen_once_P26(gan_here, shelf):
    shelf.publish(trick(VIEW, card='source="a test", defaults={"reg": ["faulty"]}'))
    gan_here(*RUN, "--reg", "faulty")


def test_components_that_refuse_each_other_are_named_and_wary_ones_noted_P27(
    gan_here, refused, shelf
):
    shelf.publish(
        trick(VIEW, card='source="a test", rules=[conflicts("a.thing", "they pull apart")]')
    )
    shelf.publish(trick(VIEW, card='source="a test", provides=["a.thing"]'), name="other")
    said = refused(*RUN, "--reg", "faulty", "--reg", "other", code=2)
    assert "'faulty' and 'other' cannot be composed: they pull apart" in said
    shelf.publish(
        trick(VIEW, card='source="a test", rules=[warns_with("a.thing", "they pull apart")]')
    )
    assert (
        "unusual pair: they pull apart"
        in gan_here(*RUN, "--reg", "faulty", "--reg", "other").stderr
    )


def test_a_component_used_twice_needs_an_alias_P28(gan_here, refused, shelf, tmp_path):
    shelf.publish(trick(f"by: float = option(0.0, help='what is added')\n{VIEW}"))
    gan_here(*RUN, "--reg", "faulty", "--reg", "more=faulty", "--more.by", "2")
    recipe = (tmp_path / "r" / "recipe.toml").read_text()
    assert "[more]\nby = 2.0" in recipe
    shelf.publish(trick(VIEW), name="more")
    said = refused(*RUN[:-1], "s", "--reg", "more", "--reg", "more=faulty", code=2)
    assert "'more' is chosen twice" in said
    assert "give one an alias" in said


def test_what_a_plugin_leaves_running_does_not_keep_the_process_P30(gan, shelf, monkeypatch):
    head = """
        import threading, time
        def forever():
            while True: time.sleep(1)
        threading.Thread(target=forever, name="the-lasting-thread").start()
    """
    shelf.publish(trick(VIEW, head=head))
    monkeypatch.setenv("PYTHONPATH", str(shelf.folder))
    done = gan(*RUN, "--reg", "faulty", "--json")
    assert "a plugin left the-lasting-thread running; it is ended" in done.stderr
    assert json.loads(done.stdout)["run"] == "r"


@every_row(
    ("text", "name", "said"),
    [
        pytest.param(None, "mine.py", "there is no file", id="P31-missing"),
        pytest.param("x = 1\n", "mine.py", "holds 0 components (none)", id="P31-none"),
        pytest.param(
            FINE + FINE.replace("Trick", "Other"), "mine.py", "(Trick, Other)", id="P31-two"
        ),
        pytest.param(FINE, "mine.py:Nobody", "it holds Trick", id="P31-another-name"),
    ],
)
def test_a_component_file_that_names_no_one_component_is_refused(
    refused, tmp_path, text, name, said
):
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    assert said in refused(*RUN, "--reg", f"./{name}", code=2)


def test_a_component_of_a_file_with_two_is_chosen_by_its_name_P31(gan_here, tmp_path):
    (tmp_path / "mine.py").write_text(FINE + FINE.replace("Trick", "Other"))
    gan_here(*RUN, "--reg", "./mine.py:Other")


@every_row(
    ("text", "said"),
    [
        pytest.param("def broken(:\n", "SyntaxError", id="P31-syntax"),
        pytest.param("raise OSError('gone')\n", "mine.py, line 1", id="P31-raises"),
        pytest.param(
            trick("@hookimpl\ndef los(self):\n    pass\n"), "no such hook", id="P31-misspelt"
        ),
        pytest.param(
            trick(VIEW, head="torch.set_num_threads(9)"),
            "changes torch's number of threads",
            id="P31-changes",
        ),
    ],
)
def test_a_component_file_that_is_broken_is_named(refused, tmp_path, same_process, text, said):
    (tmp_path / "mine.py").write_text(text)
    error = refused(*RUN, "--reg", "./mine.py")
    assert said in error
    assert "mine.py" in error
