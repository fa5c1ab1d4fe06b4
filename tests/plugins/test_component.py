"""A class that could never act as it seems to is refused when it is decorated."""

import attrs
import pluggy
import pytest
from support.tables import every_row

from gancore import (
    PluginError,
    cached,
    component,
    hookimpl,
    hookspecs,
    name_of,
    option,
    preset,
    requires,
)
from gancore.plugins.calling import Component, Hooks
from gancore.plugins.component import info_of, options_of


def decorate(body, **card):
    return component(source="a test", **card)(type("Trick", (), body))


def test_components_are_hashable_and_equal_only_to_themselves():
    Trick = decorate({"schedule": hookimpl(lambda self: [])})
    assert len({Trick(), Trick()}) == 2


def test_two_equal_components_may_be_registered_side_by_side():
    Trick = decorate({"schedule": hookimpl(lambda self: [])})
    assert (
        len(
            Hooks([Component("a", "reg", Trick()), Component("b", "reg", Trick())]).implementations(
                "schedule"
            )
        )
        == 2
    )


def test_a_method_named_like_a_hook_without_the_mark_is_refused():
    with pytest.raises(PluginError, match="acts on no hook"):
        decorate(
            {"critic_view": lambda self, images: images, "schedule": hookimpl(lambda self: [])}
        )


def test_a_misspelt_method_without_the_mark_is_refused_with_the_right_name():
    with pytest.raises(PluginError) as caught:
        decorate({"critic_veiw": lambda self, images: images})
    assert "def critic_view(self, images, labels, step, rng, shared_rng)" in caught.value.fix


def test_a_misspelt_hook_with_the_mark_is_refused_with_the_right_name():
    with pytest.raises(PluginError) as caught:
        decorate({"critic_term": hookimpl(lambda self, batch: {})})
    assert "critic_terms" in caught.value.fix


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
    assert "images, labels, step, rng, shared_rng" in caught.value.fix


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


def test_state_dict_without_load_state_dict_is_refused():
    with pytest.raises(PluginError, match="without the other"):
        decorate({"schedule": hookimpl(lambda self: []), "state_dict": lambda self: {}})


def test_methods_that_resemble_no_hook_are_left_alone():
    Trick = decorate({"sigma_at": lambda self, step: step, "schedule": hookimpl(lambda self: [])})
    assert Trick().sigma_at(3) == 3


def test_options_keep_name_type_default_range_and_help():
    @component(source="a test")
    class Trick:
        weight_of_it: float = option(0.5, ge=0, lt=2, help="a weight")
        seen: list = cached(factory=list)

        @hookimpl
        def schedule(self):
            return []

    found = options_of(Trick)["weight-of-it"]
    assert (found.type, found.default, found.range, found.help) == (
        float,
        0.5,
        "at least 0 and below 2",
        "a weight",
    )
    assert list(options_of(Trick)) == ["weight-of-it"]
    assert Trick().seen is not Trick().seen


def test_a_value_out_of_range_is_refused_with_the_range_and_the_help():
    @component(source="a test")
    class Trick:
        sigma: float = option(0.1, ge=0, help="a standard deviation")

        @hookimpl
        def schedule(self):
            return []

    with pytest.raises(
        ValueError, match=r"sigma is -1, but must be at least 0 \(a standard deviation\)"
    ):
        Trick(sigma=-1)


def test_an_undeclared_attribute_cannot_be_set():
    with pytest.raises(AttributeError):
        decorate({"schedule": hookimpl(lambda self: [])})().surprise = 1


def test_only_decorated_classes_have_a_card():
    with pytest.raises(PluginError, match="no component"):
        info_of(attrs.define(type("Plain", (), {})))


def test_a_hook_without_self_is_refused_with_its_definition():
    with pytest.raises(PluginError, match=r"Trick\.critic_view has no self") as caught:
        decorate({"critic_view": hookimpl(lambda images: images)})
    assert caught.value.fix == "def critic_view(self, images, labels, step, rng, shared_rng)"
    with pytest.raises(PluginError, match="has no self"):
        decorate({"schedule": hookimpl(lambda: [])})


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_a_hook_that_is_no_method_of_an_object_is_refused(kind):
    with pytest.raises(PluginError, match=f"is a {kind.__name__}"):
        decorate(
            {
                "critic_view": kind(hookimpl(lambda images: images)),
                "schedule": hookimpl(lambda self: []),
            }
        )


def test_a_decorator_without_parentheses_is_refused_with_its_form():
    with pytest.raises(
        PluginError, match="Trick is decorated with @component without parentheses"
    ) as caught:
        component(type("Trick", (), {"schedule": hookimpl(lambda self: [])}))
    assert "@component(source=" in caught.value.fix


@every_row("card", [{}, {"source": ""}, {"source": " "}])
def test_a_component_without_a_source_is_refused_with_its_form(card):
    with pytest.raises(PluginError, match="Trick cites no source") as caught:
        component(**card)(type("Trick", (), {"schedule": hookimpl(lambda self: [])}))
    assert "@component(source=" in caught.value.fix


def test_a_resumable_option_is_refused_for_only_settings_of_a_run_may_change():
    weight = option(0.5, help="a weight", resumable=True)
    body = {
        "weight": weight,
        "__annotations__": {"weight": float},
        "schedule": hookimpl(lambda self: []),
    }
    with pytest.raises(PluginError, match=r"Trick\.weight is resumable"):
        decorate(body)


@pytest.mark.parametrize("more", [{}, {"help": ""}])
def test_an_option_without_help_is_refused_by_name(more):
    body = {
        "weight": option(0.5, **more),
        "__annotations__": {"weight": float},
        "schedule": hookimpl(lambda self: []),
    }
    with pytest.raises(PluginError, match=r"Trick\.weight has no help") as caught:
        decorate(body)
    assert "option(0.5, help=" in caught.value.fix


def test_an_undeclared_attribute_is_refused_with_the_declaration_it_needs():
    trick = decorate({"schedule": hookimpl(lambda self: []), "count": 0})()
    for name in ("surprise", "count"):
        said = rf"no field '{name}' that may change; declare one: `{name}: int = state\(0\)`"
        with pytest.raises(AttributeError, match=said):
            setattr(trick, name, 1)


def test_a_component_of_an_older_supported_version_works_and_a_newer_one_is_refused(monkeypatch):
    body = {"schedule": hookimpl(lambda self: [])}
    monkeypatch.setattr(hookspecs, "API", 4)
    monkeypatch.setattr(hookspecs, "OLDEST_API", 2)
    for api in (2, 3, 4, None):
        decorate(body, api=api)
    with pytest.raises(
        PluginError, match="version 5, but this gancore supports versions 2 to 4"
    ) as newer:
        decorate(body, api=5)
    assert newer.value.fix == "upgrade gancore"
    with pytest.raises(PluginError, match="version 1, but") as older:
        decorate(body, api=1)
    assert older.value.fix == "upgrade the plugin"


def test_a_component_learns_the_name_it_goes_by():
    trick = decorate({"schedule": hookimpl(lambda self: [])})()
    assert name_of(trick) == "trick"
    Hooks([Component("published-so", "reg", trick)])
    assert name_of(trick) == "published-so"


def test_a_component_that_cannot_be_hashed_is_refused():
    with pytest.raises(PluginError, match="Trick cannot be hashed"):
        decorate({"schedule": hookimpl(lambda self: []), "__eq__": lambda self, other: True})


# ── presets ───────────────────────────────────────────────────────────────────────────────────────


@component(
    source="a test",
    provides=["tag"],
    rules=[requires("other", "a reason")],
    defaults={"reg": ["one"]},
)
class Plain:
    """Say what it is."""

    width: int = option(3, ge=1, help="a width")

    @hookimpl
    def schedule(self):
        return []


@preset(defaults={"reg": ["two"]}, known_as={"another": "a remark"})
class Chosen(Plain):
    """Say what the preset is."""


def test_a_preset_inherits_all_but_defaults_and_the_words_it_is_known_as():
    plain, chosen = info_of(Plain), info_of(Chosen)
    assert attrs.evolve(chosen, defaults=plain.defaults, known_as=plain.known_as) == plain
    assert (chosen.defaults, chosen.known_as) == ({"reg": ["two"]}, {"another": "a remark"})
    assert info_of(Plain).defaults == {"reg": ["one"]}
    assert Chosen.__doc__ == "Say what the preset is."


def test_a_preset_has_the_options_and_hooks_of_its_component():
    assert options_of(Chosen) == options_of(Plain)
    made = Chosen(width=5)
    assert made.width == 5
    (found,) = Hooks([Component("chosen", "test", made)]).implementations("schedule")
    assert found.function() == []


def test_a_preset_may_lie_in_another_module_than_its_component():
    made = preset(defaults={})(type("Elsewhere", (Plain,), {"__module__": "elsewhere"}))
    assert options_of(made) == options_of(Plain)


def test_an_undeclared_attribute_of_a_preset_is_refused_too():
    with pytest.raises(AttributeError):
        Chosen().undeclared = 1


@pytest.mark.parametrize(
    "body", [{"schedule": hookimpl(lambda self: [])}, {"__annotations__": {"more": int}}]
)
def test_a_preset_with_a_body_of_its_own_is_refused(body):
    with pytest.raises(PluginError, match="of its own"):
        preset(defaults={})(type("Own", (Plain,), body))


@pytest.mark.parametrize("bases", [(object,), (Plain, type("Other", (), {"__slots__": ()}))])
def test_a_preset_of_no_component_is_refused(bases):
    with pytest.raises(PluginError, match="is not a subclass of one component"):
        preset(defaults={})(type("Alone", bases, {}))
