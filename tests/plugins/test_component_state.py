"""State that cannot be saved, or does not come back, is refused before anything is lost."""

import json

import pytest
import torch
from support.plugin_shelf import RUN, TINY, choosing, loss, net, newest, trick
from support.tables import every_row

from gancore import CheckpointError, component, hookimpl, state
from gancore.run.checkpoint import writer
from gancore.run.checkpoint.state import capture, restore
from gancore.testing import train

STATEFUL = """
seen: int = state(0)
buffer: torch.Tensor = state(factory=lambda: torch.zeros(3))

@hookimpl
def before_step(self, step):
    self.seen += 1
    self.buffer = self.buffer + step
"""
KEEP = '{"seen": self.seen, "buffer": self.buffer}'
LOAD = 'self.seen, self.buffer = state["seen"], state["buffer"]'


def stateful(state=None, load=None, more="", card='source="a test"'):
    """Write a component whose fields are saved; given `state` or `load`, by methods of its own."""
    own = f"""
def state_dict(self):
    return {state or KEEP}

def load_state_dict(self, state):
    {load or LOAD}
"""
    return trick(STATEFUL + more + (own if state or load else ""), card=card)


@every_row(
    ("state", "path"),
    [
        pytest.param('{"f": lambda: 1}', "state.f is <function", id="P20-lambda"),
        pytest.param('{"f": object()}', "state.f is <object", id="P20-object"),
        pytest.param('{"buffer": [0, 1, 2, float("nan")]}', "state.buffer[3] is nan", id="P20-nan"),
        pytest.param('{"f": float("inf")}', "state.f is inf", id="P20-infinity"),
        pytest.param('{"f": 1j}', "state.f is 1j", id="P20-complex"),
        pytest.param('{"f": {1, 2}}', "state.f is {1, 2}", id="P20-set"),
        pytest.param('{"f": (1, 2)}', "state.f is (1, 2)", id="P20-tuple"),
        pytest.param('{"f": 2**70}', "state.f is 118", id="P20-big"),
        pytest.param('{"f": {"g": {3: 1}}}', "state.f.g holds the key 3", id="P20-key"),
        pytest.param("{3: 1}", "state holds the key 3", id="P20-key-on-top"),
        pytest.param("{3: torch.ones(1)}", "state holds the key 3", id="P20-tensor-key"),
        pytest.param(
            '{"f": [{"g": torch.ones(1) * 1j}]}',
            "f[0].g is a tensor of torch.complex64",
            id="P20-inside",
        ),
        pytest.param(
            '{"f": torch.Size([1])}', "state.f is torch.Size([1])", id="P20-tuple-of-another-kind"
        ),
        pytest.param(
            "{'f': (lambda x: [x.append(x), x][1])([])}",
            "nested deeper than 16 levels",
            id="P20-cycle",
        ),
        pytest.param('{"f": torch.ones(1) * 1j}', "torch.complex64", id="P20-complex-tensor"),
        pytest.param('{"f": torch.eye(2).to_sparse()}', "torch.sparse_coo", id="P20-sparse"),
        pytest.param('{"f": torch.ones(1, device="meta")}', "on meta", id="P20-meta"),
        pytest.param("[1]", "state_dict() returned [1], not a dict", id="P20-list"),
        pytest.param("self.nothing", "state_dict() failed: AttributeError", id="P20-raises"),
    ],
)
def test_state_that_cannot_be_stored_is_refused_at_step_0_with_its_path(
    refused, shelf, tmp_path, state, path
):
    shelf.publish(stateful(state))
    said = refused(*RUN, "--reg", "faulty")
    assert "faulty cannot be saved" in said
    assert path in said
    assert "gan-faulty 1.0.0" in said
    assert not list((tmp_path / "r" / "checkpoints").glob("step-*"))


def test_tensors_that_share_memory_are_stored_each_whole_P20(gan_here, shelf, tmp_path):
    shelf.publish(
        stateful(
            '{"seen": 1, "buffer": self.buffer, "view": self.buffer[1:], "turned": torch.ones(2, 3).t()}'
        )
    )
    gan_here(*RUN, "--reg", "faulty")
    stored = newest("r", tmp_path).snapshot.files["components"]
    assert torch.equal(stored["faulty/buffer"][1:], stored["faulty/view"])


def paused(gan_here, shelf, code, **more):
    """Train two of four steps with a component, so that a resume finds its state."""
    shelf.publish(code, **more)
    gan_here(*RUN, "--reg", "faulty")
    return "run", "--resume", "r", "--steps", "4"


def test_a_field_that_holds_what_cannot_be_stored_is_named_P20(refused, shelf):
    shelf.publish(trick(STATEFUL.replace("torch.zeros(3)", "{1, 2}")))
    said = refused(*RUN, "--reg", "faulty")
    assert "faulty cannot be saved: state.buffer is {1, 2}" in said
    assert "gan-faulty 1.0.0" in said
    assert "anything else in cached()" in said


@every_row(
    ("changed", "said"),
    [
        pytest.param(
            {"load": 'raise ValueError("no")'},
            "load_state_dict() failed: ValueError: no",
            id="P21-raises",
        ),
        pytest.param(
            {"load": 'self.seen = state["sean"]'}, "failed: KeyError: 'sean'", id="P21-missing-key"
        ),
        pytest.param(
            {"load": 'self.seen = state["seen"]'}, "has changed buffer", id="P21-forgets-one"
        ),
        pytest.param({"state": '{"seen": self.seen}'}, "has lost buffer", id="P21-extra-key"),
        pytest.param(
            {"state": '{"seen": self.seen, "buffer": self.buffer, "more": 1}'},
            "has added more",
            id="P21-new-key",
        ),
        pytest.param(
            {"load": 'self.seen, self.buffer = state["seen"], state["buffer"][:2]'},
            "changed buffer",
            id="P21-shape",
        ),
        pytest.param(
            {"load": 'self.seen, self.buffer = str(state["seen"]), state["buffer"]'},
            "changed seen",
            id="P21-type",
        ),
    ],
)
def test_state_that_is_not_taken_back_is_refused_and_nothing_changes(
    gan_here, refused, shelf, tmp_path, changed, said
):
    again = paused(gan_here, shelf, stateful())
    before = {
        path: path.read_bytes()
        for path in (tmp_path / "r" / "checkpoints").rglob("*")
        if path.is_file()
    }
    shelf.publish(stateful(**changed))
    error = refused(*again)
    assert "faulty does not take its stored state" in error
    assert said in error
    assert "gan-faulty 1.0.0" in error
    assert before == {path: path.read_bytes() for path in before}
    shelf.publish(stateful())
    gan_here(*again)


REPLACING = """\
[gancore.reg]
faulty = gan_tricks:Trick

[gancore.replaces]
Gan_Faulty = gan_tricks
"""


@pytest.mark.parametrize("chosen", ["faulty", "gan-faulty:faulty", "again=gan-faulty:faulty"])
def test_a_run_goes_on_with_the_distribution_that_replaces_the_former_one_P22(
    gan_here, shelf, tmp_path, chosen
):
    shelf.publish(stateful())
    gan_here("run", *TINY, "--steps", "4", "--out", "whole", "--reg", chosen)
    gan_here(*RUN, "--reg", chosen)
    shelf.remove("gan-faulty")
    shelf.publish(stateful(), dist="gan-tricks", entries=REPLACING)
    done = gan_here("run", "--resume", "r", "--steps", "4")
    assert "note" not in done.stderr
    assert "gan-faulty" not in done.stderr
    assert trained(tmp_path / "r") == trained(tmp_path / "whole")


def trained(run):
    """Return the sums of the last checkpoint's tensors, and what its components remember beside
    them.
    """
    folder = writer.steps(run / "checkpoints")[-1]
    sums = [
        line
        for line in (folder / "SHA256SUMS").read_text().splitlines()
        if line.endswith(".safetensors")
    ]
    components = json.loads((folder / "state.json").read_text())["components"]
    return sums, {name: each["state"] for name, each in components.items()}


def test_a_replacement_of_another_major_version_is_refused_like_a_new_version_P22(
    gan_here, refused, shelf
):
    again = paused(gan_here, shelf, stateful())
    shelf.remove("gan-faulty")
    shelf.publish(stateful(), dist="gan-tricks", entries=REPLACING, version="2.0.0")
    assert "now 2.0.0 is installed, which need not go on as it did" in refused(*again)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        pytest.param(
            STATEFUL.replace("Tensor = state(", "Tensor = cached("),
            "it has lost buffer",
            id="P21-fewer",
        ),
        pytest.param(f"{STATEFUL}\nmore: int = state(0)\n", "it has added more", id="P21-more"),
    ],
)
def test_a_component_with_other_fields_than_were_stored_is_refused_P21(
    gan_here, refused, shelf, now, said
):
    again = paused(gan_here, shelf, stateful())
    shelf.publish(trick(now))
    error = refused(*again)
    assert "faulty does not take its stored state" in error
    assert said in error


def test_no_component_is_changed_where_one_does_not_take_its_state_P21():
    @component(source="a test")
    class Good:
        """Count."""

        seen: int = state(0)

        @hookimpl
        def before_step(self):
            self.seen += 1

    @component(source="a test")
    class Bad:
        """Refuse."""

        @hookimpl
        def before_step(self):
            pass

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            raise ValueError("no")

    first = train(Good(), Bad())
    first.train_step()
    good = Good()
    second = train(good, Bad())
    weights = capture(second)
    with pytest.raises(CheckpointError, match="bad does not take its stored state"):
        restore(second, capture(first))
    assert good.seen == 0
    for part, tensors in capture(second).files.items():
        assert all(
            torch.equal(tensor, weights.files[part][name]) for name, tensor in tensors.items()
        )


def test_a_plugin_that_is_gone_is_named_with_what_to_install_and_samples_are_still_drawn_P22(
    gan_here, refused, shelf, tmp_path
):
    again = paused(gan_here, shelf, stateful(), version="1.2.3")
    gan_here("sample", "r", "-n", "3", "-o", "before")
    shelf.remove("gan-faulty")
    said = refused(*again)
    assert "the run was trained with 'faulty', which is not installed" in said
    assert "pip install gan-faulty==1.2.3" in said
    done = gan_here("sample", "r", "-n", "3", "-o", "after")
    assert "faulty is not installed; the generator is sampled without it" in done.stderr
    assert (tmp_path / "before" / "points.csv").read_text() == (
        tmp_path / "after" / "points.csv"
    ).read_text()


@every_row("slot", ["loss", "critic", "gen"])
def test_of_what_is_gone_only_the_generator_is_needed_for_samples_P22(
    gan_here, refused, shelf, slot
):
    code = {
        "loss": loss(),
        "critic": net("make_critic", 2, 5, "y"),
        "gen": net("make_generator", "plan.inputs", 2, "y"),
    }[slot]
    shelf.publish(code, kind=slot)
    gan_here(*choosing(slot))
    shelf.remove("gan-faulty")
    if slot == "gen":
        said = refused("sample", "r", "-o", "points")
        assert "pip install gan-faulty==1.0.0" in said
    else:
        gan_here("sample", "r", "-o", "points")


def test_a_plugin_that_changed_the_generator_is_needed_for_samples_P22(gan_here, refused, shelf):
    body = (
        "@hookimpl\ndef adapt_generator(self, net):\n    net.extra = nn.Parameter(torch.ones(2))\n"
    )
    paused(gan_here, shelf, trick(body))
    shelf.remove("gan-faulty")
    assert "pip install gan-faulty==1.0.0" in refused("sample", "r", "-o", "points")


def test_a_name_that_another_distribution_now_gives_is_refused_P22(gan_here, refused, shelf):
    again = paused(gan_here, shelf, stateful())
    shelf.remove("gan-faulty")
    shelf.publish(stateful(), dist="gan-other")
    said = refused(*again)
    assert (
        "the run was trained with faulty of gan-faulty 1.0.0; now gan-other gives that name" in said
    )
    assert "pip install gan-faulty==1.0.0" in said


@every_row(
    ("version", "code", "said"),
    [
        pytest.param("1.0.1", 0, "faulty was 1.0.0 then and is 1.0.1 now\n", id="P23-patch"),
        pytest.param("1.1.0", 0, "is 1.1.0 now; the run may not be bit-exact", id="P23-minor"),
        pytest.param("2.0.0", 1, "now 2.0.0 is installed", id="P23-major"),
    ],
)
def test_another_version_is_told_or_refused_by_how_far_it_is(gan_here, shelf, version, code, said):
    again = paused(gan_here, shelf, stateful())
    shelf.publish(stateful(), version=version)
    error = gan_here(*again, check=code).stderr
    assert said in error
    assert "pip install gan-faulty==1.0.0" in error or not code


MIGRATE = """
def migrate(self, state, from_version):
    return {"seen": state["count"], "buffer": state["rows"][from_version - 1]}
"""
OLD = {
    "state": '{"count": self.seen, "rows": torch.stack([self.buffer, self.buffer])}',
    "load": "pass",
}


def test_state_of_another_form_is_refused_without_migrate_P23(gan_here, refused, shelf):
    again = paused(gan_here, shelf, stateful(**OLD))
    shelf.publish(stateful(card='source="a test", state_version=2'))
    said = refused(*again)
    assert "faulty stored version 1 of its state, but now reads version 2" in said
    assert "install gan-faulty 1.0.0" in said


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
def test_state_of_another_form_is_migrated_by_a_plugin_that_offers_it_P23(
    gan_here, shelf, tmp_path, version
):
    again = paused(gan_here, shelf, stateful(**OLD))
    shelf.publish(stateful(more=MIGRATE, card='source="a test", state_version=2'), version=version)
    gan_here(*again)
    stored = newest("r", tmp_path).snapshot
    assert stored.state["components"]["faulty"]["state"] == {"seen": 4}
    assert stored.files["components"]["faulty/buffer"].tolist() == [6.0, 6.0, 6.0]  # 0 + 1 + 2 + 3


def test_a_migration_that_fails_is_named_P23(gan_here, refused, shelf):
    again = paused(gan_here, shelf, stateful())
    shelf.publish(stateful(more=MIGRATE, card='source="a test", state_version=2'))
    assert "migrate() failed: KeyError: 'count'" in refused(*again)
    forgot = MIGRATE.partition("    return")[0] + "    state.clear()\n"
    shelf.publish(stateful(more=forgot, card='source="a test", state_version=2'))
    assert "migrate() returned None, not a dict" in refused(*again)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "self.count = 1",
            "Trick has no field 'count' that may change; declare one: `count: int = state(0)`",
        ),
        (
            "self.weight = 2.0",
            "Trick.weight is an option, which keeps the value that the user chose",
        ),
    ],
)
def test_setting_what_is_not_saved_is_refused_with_the_declaration_it_needs_P24(
    refused, shelf, line, said
):
    code = f'weight: float = option(1.0, help="a factor")\n\n@hookimpl\ndef before_step(self):\n    {line}\n'
    shelf.publish(trick(code))
    assert said in refused(*RUN, "--reg", "faulty")
