"""A class that could never act as it seems to is refused when it is decorated."""

import attrs
import pluggy
import pytest

from gancore import PluginError, component, hookimpl, memory, option
from gancore.component import card_of, options_of
from gancore.hooks import Chosen, Hooks


def decorate(body, **card):
    return component(source="a test", **card)(type("Trick", (), body))


def test_components_are_hashable_and_equal_only_to_themselves():
    Trick = decorate({"schedule": hookimpl(lambda self: [])})
    assert len({Trick(), Trick()}) == 2


def test_two_equal_components_may_be_registered_side_by_side():
    Trick = decorate({"schedule": hookimpl(lambda self: [])})
    assert len(Hooks([Chosen("a", "reg", Trick()), Chosen("b", "reg", Trick())]).implementations("schedule")) == 2


def test_a_method_named_like_a_hook_without_the_mark_is_refused():
    with pytest.raises(PluginError, match="acts on no hook"):
        decorate({"critic_view": lambda self, images: images, "schedule": hookimpl(lambda self: [])})


def test_a_misspelt_method_without_the_mark_is_refused_with_the_right_name():
    with pytest.raises(PluginError) as caught:
        decorate({"critic_veiw": lambda self, images: images})
    assert "def critic_view(self, images, labels, step, rng, shared_rng)" in caught.value.mend


def test_a_misspelt_hook_with_the_mark_is_refused_with_the_right_name():
    with pytest.raises(PluginError) as caught:
        decorate({"critic_term": hookimpl(lambda self, batch: {})})
    assert "critic_terms" in caught.value.mend


def test_overriding_an_inherited_hook_without_the_mark_is_refused():
    class Parent:
        @hookimpl
        def critic_view(self, images):
            return images

    class Child(Parent):
        def critic_view(self, images):
            return -images

    with pytest.raises(PluginError, match="acts on no hook"):
        component(source="a test")(Child)


def test_a_mark_of_another_project_counts_as_no_mark():
    other = pluggy.HookimplMarker("another")
    with pytest.raises(PluginError, match="acts on no hook"):
        decorate({"critic_view": other(lambda self, images: images)})


def test_an_argument_that_the_hook_does_not_give_is_refused_with_those_it_does():
    with pytest.raises(PluginError) as caught:
        decorate({"critic_view": hookimpl(lambda self, pictures: pictures)})
    assert "pictures" in caught.value.what
    assert "images, labels, step, rng, shared_rng" in caught.value.mend


def test_a_default_on_a_hook_argument_is_refused():
    with pytest.raises(PluginError, match="a default"):
        decorate({"critic_view": hookimpl(lambda self, images, step=0: images)})


def test_a_hook_wrapper_is_refused():
    def critic_view(self, images):
        yield

    with pytest.raises(PluginError, match="hook wrapper"):
        decorate({"critic_view": hookimpl(wrapper=True)(critic_view)})


def test_a_class_without_any_hook_is_refused():
    with pytest.raises(PluginError, match="implements no hook"):
        decorate({"helper": lambda self: 1})


def test_state_without_load_state_is_refused():
    with pytest.raises(PluginError, match="without the other"):
        decorate({"schedule": hookimpl(lambda self: []), "state": lambda self: {}})


def test_methods_that_resemble_no_hook_are_left_alone():
    Trick = decorate({"sigma_at": lambda self, step: step, "schedule": hookimpl(lambda self: [])})
    assert Trick().sigma_at(3) == 3


def test_options_keep_name_type_default_range_and_help():
    @component(source="a test")
    class Trick:
        weight_of_it: float = option(0.5, ge=0, lt=2, help="a weight")
        seen: list = memory(factory=list)

        @hookimpl
        def schedule(self):
            return []

    found = options_of(Trick)["weight-of-it"]
    assert (found.type, found.default, found.range, found.help) == (float, 0.5, "at least 0 and below 2", "a weight")
    assert list(options_of(Trick)) == ["weight-of-it"]
    assert Trick().seen is not Trick().seen


def test_a_value_out_of_range_is_refused_with_the_range_and_the_help():
    @component(source="a test")
    class Trick:
        sigma: float = option(0.1, ge=0, help="a standard deviation")

        @hookimpl
        def schedule(self):
            return []

    with pytest.raises(ValueError, match=r"sigma is -1, but must be at least 0 \(a standard deviation\)"):
        Trick(sigma=-1)


def test_an_undeclared_attribute_cannot_be_set():
    with pytest.raises(AttributeError):
        decorate({"schedule": hookimpl(lambda self: [])})().surprise = 1


def test_only_decorated_classes_have_a_card():
    with pytest.raises(PluginError, match="no component"):
        card_of(attrs.define(type("Plain", (), {})))
