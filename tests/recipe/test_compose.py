"""How choices become a composition: layers, defaults, aliases, rules, refusals."""

import pytest
import tomli_w
from support.tables import every_row

from gancore import CompositionError, PluginError, UsageError, compose
from gancore.plugins import discovery
from gancore.plugins.component import info_of
from gancore.recipe.compose import resolve
from gancore.recipe.options import Given
from gancore.recipe.toml import layer_of


def component(made, name):
    return next(each.component for each in made.chosen if each.name == name)


def test_nothing_chosen_is_the_default_recipe():
    made = compose()
    assert made.slots["data"] == ("sprites",)
    origins = {slot: made.origins[slot].split(":")[0] for slot in ("data", "upsample")}
    assert origins == {"data": "recipe base", "upsample": "recipe default"}


def test_recipes_lie_on_base_whatever_the_default_is(tmp_path):
    (tmp_path / "plain.toml").write_text("[run]\nsteps = 7\n")
    (tmp_path / "new.toml").write_text('extends = "default"\n[run]\nsteps = 7\n')
    base = compose(recipe="base").recipe()
    default = compose().recipe()
    assert base != default
    for name, wanted in (("plain", base), ("new", default)):
        wanted["run"]["steps"] = 7
        assert compose(recipe=tmp_path / f"{name}.toml").recipe() == wanted


def test_the_recipe_base_lies_below_the_defaults_of_components():
    """Chosen by name it is what it is below other recipes: `wgan-gp` asks for a norm of its own."""
    assert compose(recipe="base", loss="wgan-gp").slots["critic-norm"] == ("layer",)
    assert compose(recipe="default", loss="wgan-gp").recipe() == compose(loss="wgan-gp").recipe()


def test_a_component_has_defaults_and_the_user_has_the_last_word():
    asked = compose(loss="wgan-gp")
    assert (component(asked, "adam").lr, component(asked, "n-critic").critic) == (1e-4, 5)
    assert asked.slots["critic-norm"] == ("layer",)
    assert asked.origins["adam.lr"] == "default of wgan-gp"
    own = compose(loss="wgan-gp", critic_norm="none", options={"adam.lr": 3e-4})
    assert component(own, "adam").lr == 3e-4
    assert own.slots["critic-norm"] == ("none",)


def test_defaults_beside_a_tag_win_over_plain_ones():
    made = compose(gen="colorpicker", loss="wgan-gp")
    assert made.origins["adam.lr"] == "default of colorpicker with critic.gradient-penalty"
    assert compose(gen="colorpicker").origins["adam.lr"] == "default of colorpicker"


def test_none_stands_for_the_steps_of_the_run_which_its_recipe_then_states():
    options = {"linear-decay.end": None}
    made = compose(reg=["linear-decay"], settings={"steps": 40}, options=options)
    assert component(made, "linear-decay").end == 40
    stored = made.recipe()
    assert stored["linear-decay"]["end"] == 40
    # as a resume for more steps reads it
    longer = {**stored, "run": {**stored["run"], "steps": 80}}
    again = resolve([layer_of("recipe.toml", longer)], exact=True)
    assert component(again, "linear-decay").end == 40


def test_the_steps_of_a_run_that_is_counted_in_epochs_are_not_known():
    options = {"linear-decay.end": None}
    with pytest.raises(UsageError, match="linear-decay.end is to be the number of steps"):
        compose(reg=["linear-decay"], settings={"epochs": 2}, options=options)


def test_a_preset_is_its_component_with_other_defaults():
    plain = compose(recipe="base", loss="wasserstein")
    preset = compose(recipe="base", loss="wgan")
    loss = component(preset, "wgan")
    assert isinstance(loss, type(component(plain, "wasserstein")))
    assert type(loss).critic_terms is type(component(plain, "wasserstein")).critic_terms
    assert preset.slots["reg"] == ("weight-clipping",)
    assert "reg" not in plain.slots


@pytest.mark.parametrize(
    "word",
    ["small", "compat", "sweep", "study", "about", "extends", "run", "gen", "norm", "without"],
)
def test_no_component_may_be_called_like_a_key_of_a_recipe(word):
    assert discovery.refusal(word) == f"the name {word!r} is a word of gancore's own"


def test_a_component_brings_another_and_without_leaves_it_out():
    made = compose(recipe="base", loss="wgan-gp")
    assert made.slots["reg"] == ("gradient-penalty",)
    made = compose(recipe="base", loss="wgan-gp", without=["gradient-penalty"])
    assert "reg" not in made.slots


def test_what_is_brought_and_chosen_too_is_there_once():
    made = compose(recipe="base", loss="wgan-gp", reg=["gradient-penalty", "instance-noise"])
    assert made.slots["reg"] == ("gradient-penalty", "instance-noise")


def test_call_order_is_the_order_given():
    made = compose(reg=["experience-replay", "instance-noise"])
    assert [each.name for each in made.chosen if each.kind == "reg"] == [
        *compose().slots["reg"],
        "experience-replay",
        "instance-noise",
    ]


def test_one_component_in_two_slots_is_one_object_for_both_players():
    made = compose(norm="batch")
    (norm,) = [each for each in made.chosen if each.kind == "norm"]
    assert norm.roles == {"generator", "critic"}


def test_each_player_may_have_its_own_norm_and_optimiser():
    made = compose(gen_norm="batch", critic_norm="layer", gen_optim="adam", critic_optim="rmsprop")
    roles = {each.name: set(each.roles) for each in made.chosen if each.kind in ("norm", "optim")}
    assert roles == {
        "batch": {"generator"},
        "layer": {"critic"},
        "adam": {"generator"},
        "rmsprop": {"critic"},
    }


def test_an_alias_lets_one_component_act_twice():
    made = compose(
        reg=["instance-noise", "more=instance-noise"],
        options={"instance-noise.sigma": 0.2, "more.sigma": 0.3},
    )
    assert [component(made, name).sigma for name in ("instance-noise", "more")] == [0.2, 0.3]


def test_an_alias_takes_what_is_given_under_the_components_own_name_too():
    made = compose(
        loss="wgan-gp", gen_optim="g=adam", critic_optim="c=adam", options={"c.lr": 3e-4}
    )
    assert [component(made, name).lr for name in "gc"] == [1e-4, 3e-4]


@pytest.mark.parametrize(
    ("slots", "options"),
    [
        ({}, {"gen-optim.lr": 0.1}),
        ({"gen_optim": "adam", "critic_optim": "rmsprop"}, {"optim.lr": 0.1}),
    ],
)
def test_options_of_a_slot_that_nobody_reads_are_refused(slots, options):
    with pytest.raises(UsageError, match="which is not chosen"):
        compose(**slots, options=options)


@every_row("alias", ["reg", "run", "a.b", "a/b", "A"])
def test_an_alias_that_would_be_ambiguous_is_refused(alias):
    with pytest.raises(UsageError):
        compose(reg=[f"{alias}=instance-noise"])


def test_one_alias_for_two_components_is_refused():
    with pytest.raises(CompositionError, match="chosen twice"):
        compose(reg=["a=instance-noise", "a=weight-clipping"])


def test_leaving_out_what_nobody_asks_for_is_refused_with_the_nearest():
    with pytest.raises(UsageError) as caught:
        compose(loss="wgan-gp", without=["gradient-penlty"])
    assert caught.value.fix == "did you mean gradient-penalty?"


def test_a_resolved_recipe_leaves_out_what_was_left_out(tmp_path):
    made = compose(recipe="base", loss="wgan-gp", without=["gradient-penalty"])
    (tmp_path / "r.toml").write_text(tomli_w.dumps(made.recipe()))
    assert "reg" not in compose(recipe=tmp_path / "r.toml").slots


def test_a_recipes_component_file_does_not_run_unless_it_is_named_C24(tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w')")
    (tmp_path / "evil.toml").write_text(f'reg = ["{tmp_path}/evil.py"]')
    with pytest.raises(UsageError, match="would run code"):
        compose(recipe=tmp_path / "evil.toml")
    assert not marker.exists()


def test_settings_may_be_given_as_options():
    assert compose(options={"run.steps": 5}).settings.steps == 5


def test_options_may_be_given_under_the_slot():
    made = compose(options={"latent.dim": 7, "optim.lr": 1e-3, "gen.width": 5})
    assert (
        component(made, "normal").dim,
        component(made, "adam").lr,
        component(made, "dcgan").width,
    ) == (7, 1e-3, 5)


def test_a_resolved_recipe_resolves_to_itself_C27():
    made = compose(loss="wgan-gp", reg=["instance-noise"], without=["gradient-penalty"])
    again = resolve([layer_of("again", made.recipe())], exact=True)
    assert again.recipe() == made.recipe()


def test_every_option_says_where_it_came_from():
    made = compose(options={"adam.lr": 1e-3})
    assert made.origins["adam.lr"] == "compose()"


@every_row(
    ("slots", "fix"),
    [
        ({"gen": "colorpiker"}, "did you mean colorpicker?"),
        ({"loss": "wgangp"}, "did you mean wgan-gp?"),
        ({"reg": ["instance-nose"]}, "did you mean instance-noise?"),
        ({"data": "sprits"}, "did you mean sprites?"),
    ],
)
def test_a_misspelt_name_is_refused_with_its_neighbour_C02(slots, fix):
    with pytest.raises(UsageError) as caught:
        compose(**slots)
    assert fix in caught.value.fix
    assert "gan plugins" in caught.value.fix


def test_a_name_that_stands_in_another_slot_too_is_refused_for_its_kind():
    with pytest.raises(UsageError, match="'mlp' is of kind generator, not regularizer"):
        compose(data="mixture", gen="mlp", critic="mlp-critic", reg=["mlp"])


def test_a_component_of_another_kind_is_refused_with_its_own_flag_C03():
    with pytest.raises(UsageError, match="is of kind regularizer, not loss") as caught:
        compose(loss="instance-noise")
    assert caught.value.fix == "--reg instance-noise"


def test_options_of_what_is_not_chosen_are_refused():
    with pytest.raises(UsageError, match="'instance-noise', which is not chosen") as caught:
        compose(options={"instance-noise.sigma": 0.1})
    assert caught.value.fix == "--reg instance-noise chooses it"


def test_a_recipes_table_for_what_an_override_replaced_is_fine():
    file = layer_of("a recipe", {"gen": "colorpicker", "colorpicker": {"colors": 8}})
    made = resolve([file, layer_of("command line", {"gen": "dcgan"})])
    assert made.slots["gen"] == ("dcgan",)


def test_an_unknown_setting_is_refused_with_its_neighbour():
    with pytest.raises(UsageError) as caught:
        compose(settings={"batc": 3})
    assert caught.value.fix == "did you mean batch?"


@every_row("size", ["0", "-1", "3", "100000", "64x", "x", "12x2000"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(UsageError, match="must be N or HxW"):
        compose(settings={"size": size})


@every_row(
    ("size", "pair"), [("48", (48, 48)), ("28", (28, 28)), ("48x32", (48, 32)), ("none", None)]
)
def test_sizes_are_read_as_height_and_width(size, pair):
    assert compose(settings={"size": size}).settings.image_size == pair


# ── rules ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_penalty_under_batch_norm_is_refused_with_citation_and_remedy():
    with pytest.raises(CompositionError) as caught:
        compose(loss="wgan-gp", critic_norm="batch")
    assert "'gradient-penalty' and 'batch' cannot be composed" in caught.value.what
    assert "Gulrajani et al. 2017, section 4" in caught.value.what
    assert "--critic-norm layer" in caught.value.fix
    assert "default of wgan-gp" in caught.value.where


def test_batch_norm_in_the_generator_is_no_reason_to_refuse():
    assert compose(loss="wgan-gp", gen_norm="batch").slots["gen-norm"] == ("batch",)


def test_a_refused_composition_runs_when_forced_and_records_it():
    made = compose(loss="wgan-gp", critic_norm="batch", settings={"force": True})
    assert made.recipe()["run"]["force"] is True
    assert any("cannot be composed" in note for note in made.notes)


def test_what_is_merely_unwise_is_noted():
    made = compose(loss="wgan-gp", reg=["minibatch-discrimination"])
    assert any("minibatch-discrimination" in note and "unusual pair" in note for note in made.notes)
    assert any(
        "Lipschitz" in note or "gradient" in note for note in compose(loss="wasserstein").notes
    )


def test_a_rule_about_the_data_waits_for_the_data():
    made = compose(data="mixture", gen="mlp", critic="mlp-critic")
    assert made.check({"data.points"}) == ()
    labelled = compose(cond=["acgan"])
    with pytest.raises(CompositionError, match="acgan"):
        labelled.check({"data.images"})


def test_a_rule_may_depend_on_the_components_own_options():
    from gancore.plugins.component import warns_with

    rule = warns_with("x", "because", when=lambda component: component.on)
    assert rule.when(type("It", (), {"on": True})()) is True


# ── broken plugins ────────────────────────────────────────────────────────────────────────────────


def write(tmp_path, text):
    path = tmp_path / "trick.py"
    path.write_text(text)
    return str(path)


GOOD = """
from gancore import component, hookimpl, option
@component(source="a test")
class MyTrick:
    \"\"\"Do nothing.\"\"\"
    weight: float = option(1.0, help="nothing")
    @hookimpl
    def before_step(self): pass
"""


def test_a_file_holds_a_component_that_goes_by_its_class_name(tmp_path):
    made = compose(reg=[write(tmp_path, GOOD)], options={"my-trick.weight": 2.0})
    assert component(made, "my-trick").weight == 2.0


@every_row(
    ("text", "error", "what"),
    [
        ("x = 1", UsageError, "holds 0 components"),
        (GOOD + GOOD.replace("MyTrick", "Other"), UsageError, "holds 2 components"),
        ("1 / 0", PluginError, "ZeroDivisionError"),
        ("def", PluginError, "SyntaxError"),
        (GOOD.replace("before_step", "befor_step"), PluginError, "no such hook"),
    ],
)
def test_a_file_that_holds_no_usable_component_is_refused(tmp_path, text, error, what):
    with pytest.raises(error, match=what):
        compose(reg=[write(tmp_path, text)])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        compose(reg=[str(tmp_path / "none.py")])


def test_a_class_of_a_file_may_be_named(tmp_path):
    path = write(tmp_path, GOOD + GOOD.replace("MyTrick", "Other"))
    assert compose(reg=[f"{path}:Other"]).slots["reg"][-1] == f"{path}:Other"


def test_every_first_party_component_says_what_it_provides_and_why():
    from gancore.plugins import discovery, loading

    for row in discovery.installed():
        card = info_of(loading.load(row))
        assert card.source
        for rule in card.rules:
            assert rule.reason
            if rule.hard:
                assert rule.fix, f"{row.name}: a refusal says how to fix it"


def test_given_values_remember_their_origin():
    assert Given(1, "here").where == "here"
