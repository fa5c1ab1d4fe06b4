"""A hook that fails, or returns another form than its page says, is named with its step."""

import json

import pytest
from support.plugin_shelf import RUN, TINY, choosing, loss, net, newest, trick
from support.tables import every_row

# ── what hooks answer ─────────────────────────────────────────────────────────────────────────────


@every_row(
    ("answer", "got", "wanted"),
    [
        pytest.param("None", "None", "{name: scalar tensor}", id="P16-none"),
        pytest.param("{}", "{}", "{name: scalar tensor}", id="P16-nothing"),
        pytest.param("0.5", "0.5", "{name: scalar tensor}", id="P16-float"),
        pytest.param("[scores.mean()]", "[tensor(", "{name: scalar tensor}", id="P16-list"),
        pytest.param('{"fake": 0.5}', "{'fake': 0.5}", "scalar tensor", id="P16-dict-of-floats"),
        pytest.param(
            '{"fake": scores}', "{'fake': a tensor of float32 [4]}", "fake.mean()", id="P16-shape"
        ),
        pytest.param(
            '{"fake": scores.mean().detach()}',
            "{'fake': a tensor of float32 []}",
            "carries a gradient",
            id="P16-detached",
        ),
        pytest.param(
            '{"fake": (scores > 0).sum()}',
            "{'fake': a tensor of int64 []}",
            "scalar tensor",
            id="P16-dtype",
        ),
        pytest.param(
            '{"fake": scores.mean().to("meta")}',
            "{'fake': a tensor of float32 [] on meta}",
            "a tensor on cpu",
            id="P16-device",
        ),
    ],
)
@every_row("hook", ["critic", "generator"])
def test_a_term_that_is_none_is_named_at_its_first_call(refused, shelf, hook, answer, got, wanted):
    shelf.publish(loss(**{hook: answer}), kind="loss")
    said = refused(*RUN, "--loss", "faulty")
    assert f"faulty.{hook}_terms, step 0 gave {got}" in said
    assert wanted in said
    assert "gan-faulty 1.0.0" in said


def test_a_term_that_is_not_finite_is_named_P16(refused, shelf):
    shelf.publish(loss(critic='{"fake": scores.mean() * float("nan")}'), kind="loss")
    assert "the critic's faulty.fake became nan at step 1" in refused(*RUN, "--loss", "faulty")


def test_a_penalty_may_have_nothing_to_say_P16(gan_here, shelf):
    shelf.publish(trick("@hookimpl\ndef critic_terms(self, batch):\n    return None\n"))
    gan_here(*RUN, "--reg", "faulty")


@every_row(
    ("body", "said"),
    [
        (
            "def critic_view(self, images):\n    return images.tolist()",
            "critic_view, step 0 gave [[",
        ),
        (
            "def critic_targets(self, targets):\n    return targets[:2]",
            "gave a tensor of float32 [2], but a tensor of",
        ),
        (
            "def critic_fakes(self, images):\n    return images",
            "but a tuple (images, labels) is wanted",
        ),
        (
            "def learning_rate(self, rate):\n    return 'fast'",
            "gave 'fast', but a number is wanted",
        ),
        (
            "def latent_width(self):\n    return 2.5",
            "latent_width gave 2.5, but a whole number is wanted",
        ),
        ("def stop(self, row):\n    return True", "stop, step 1 gave True, but a text is wanted"),
        (
            "def measure(self, progress):\n    return 3.0",
            "measure, step 1 gave 3.0, but a dict is wanted",
        ),
        (
            "def extend_critic(self):\n    return [nn.Identity()]",
            "gave Identity(), but a Tail or a Head is wanted",
        ),
        (
            "def adapt_critic(self, net):\n    return 'net'",
            "adapt_critic gave 'net', but a torch module is wanted",
        ),
    ],
)
def test_an_answer_of_another_kind_is_named_with_what_is_wanted_P16(refused, shelf, body, said):
    shelf.publish(trick(f"@hookimpl\n{body}\n"))
    assert said in refused(*RUN, "--log-every", "1", "--reg", "faulty")


@every_row(
    ("kind", "code", "said"),
    [
        pytest.param(
            "gen", net("make_generator", "plan.inputs", 3, "y"),
            ["the network of faulty.make_generator made a tensor of float32 [4, 3]", "floating point [4, 2] is wanted"],
            id="P17-generator-shape",
        ),
        pytest.param(
            "gen", net("make_generator", "plan.inputs", 2, "y.long()"), ["made a tensor of int64 [4, 2]"],
            id="P17-generator-dtype",
        ),
        pytest.param(
            "critic", net("make_critic", 2, 5, "y[:1]"), ["faulty.make_critic made a tensor of float32 [1, 5]"],
            id="P17-critic-shape",
        ),
        pytest.param("critic", net("make_critic", 2, 5, "None"), ["make_critic made None"], id="P17-critic-none"),
        pytest.param(
            "reg",
            trick("@hookimpl\ndef make_score(self, features):\n    return nn.Sequential(nn.Linear(features, 2), nn.Unflatten(1, (2, 1)))\n"),
            ["the network of faulty.make_score made a tensor of float32 [4, 2, 1]", "[4, any] is wanted"],
            id="P17-score-shape",
        ),
        pytest.param(
            "reg",
            trick("@hookimpl\ndef extend_critic(self):\n    return Tail(nn.Identity(), 3)\n"),
            ["the Tail of faulty.extend_critic made a tensor of float32 [4, 8]", "[4, 11] is wanted"],
            id="P17-tail-shape",
        ),
        pytest.param(
            "reg",
            trick(
                "@hookimpl\ndef adapt_generator(self, net):\n    return Half(net)\n",
                head="""
                    class Half(nn.Module):
                        def __init__(self, net):
                            super().__init__()
                            self.net = net

                        def forward(self, z, labels):
                            return self.net(z, labels)[:, :1]
                """,
            ),
            ["the network of faulty.adapt_generator made a tensor of float32 [4, 1]"],
            id="P17-adapted-shape",
        ),
    ],
)  # fmt: skip
def test_a_network_that_returns_another_form_is_named_with_both_shapes(
    refused, shelf, kind, code, said
):
    shelf.publish(code, kind=kind)
    error = refused(*choosing(kind))
    for each in said:
        assert each in error
    assert "gan-faulty 1.0.0" in error


def test_samples_that_are_not_contiguous_or_share_memory_are_fine_P17(gan_here, shelf):
    shelf.publish(net("make_generator", "plan.inputs", 4, "y.t()[::2].t()"), kind="gen")
    gan_here(*choosing("gen"))


def test_terms_of_one_name_are_told_apart_by_their_component_P17(gan_here, shelf, tmp_path):
    body = "@hookimpl\ndef critic_terms(self, batch):\n    return {'drift': batch.fake.score.square().mean()}\n"
    shelf.publish(trick(body))
    gan_here(*RUN, "--reg", "faulty", "--reg", "again=faulty")
    row = json.loads((tmp_path / "r" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"critic/faulty/drift", "critic/again/drift"} <= row.keys()


def test_two_heads_of_one_name_are_refused_P17(refused, shelf):
    head = (
        "class H(nn.Module):\n    def forward(self, features, labels):\n        return features\n"
    )
    body = "@hookimpl\ndef extend_critic(self):\n    return Head('mine', H())\n"
    shelf.publish(trick(body, head=head))
    said = refused(*RUN, "--reg", "faulty", "--reg", "again=faulty", code=2)
    assert "two components give the critic a head called 'mine'" in said


# ── failing in a step ─────────────────────────────────────────────────────────────────────────────
FAILING = """
@hookimpl
def critic_terms(self, batch, step):
    if step == 3 and "FAIL" in os.environ:
        {deed}
"""


@every_row(
    ("deed", "named"),
    [
        pytest.param("raise ZeroDivisionError('oh')", "ZeroDivisionError: oh", id="P18-raises"),
        pytest.param("sys.exit(0)", "SystemExit: 0", id="P18-sys-exit"),
        pytest.param("return {'x': batch.nothing}", "AttributeError", id="P18-attribute"),
        pytest.param("assert False, 'never'", "AssertionError: never", id="P18-assert"),
    ],
)
def test_a_failing_hook_is_named_with_its_step_and_the_run_can_go_on(
    gan_here, refused, shelf, tmp_path, monkeypatch, deed, named
):
    shelf.publish(trick(FAILING.format(deed=deed)))
    words = ("run", *TINY, "--steps", "5", "--save-every", "2", "--reg", "faulty", "--out")
    gan_here(*words, "whole")
    monkeypatch.setenv("FAIL", "1")
    said = refused(*words, "r")
    assert f"faulty failed in critic_terms, step 3: {named}" in said
    assert "gan-faulty 1.0.0" in said
    assert "gan_faulty.py, line" in said
    assert "goes on from step-000000002" in said
    text = (tmp_path / "r" / "failed" / "step-000000003" / "traceback.txt").read_text()
    assert "in critic_terms" in text
    monkeypatch.delenv("FAIL")
    gan_here("run", "--resume", "r")
    sums = [newest(name, tmp_path).folder / "SHA256SUMS" for name in ("whole", "r")]
    assert sums[0].read_bytes() == sums[1].read_bytes()


@pytest.mark.parametrize("kind", ["gen", "critic"])
def test_a_network_that_fails_is_named_and_not_the_loss_that_asked_it_P18(refused, shelf, kind):
    hook, size = ("make_generator", "plan.inputs") if kind == "gen" else ("make_critic", "2")
    code = net(hook, size, 2, "y if not torch.is_grad_enabled() else self.nothing(y)")
    shelf.publish(code, kind=kind)
    said = refused(*choosing(kind))
    assert "faulty failed" in said
    assert "AttributeError: 'Net' object has no attribute 'nothing'" in said
    assert "gan-faulty 1.0.0" in said
    assert "step 0" in said


def test_a_hook_that_fails_beside_the_step_is_named_with_its_step_P18(refused, shelf):
    shelf.publish(
        trick("@hookimpl\ndef measure(self, progress):\n    raise KeyError('oh')\n"), kind="metric"
    )
    said = refused(*RUN, "--log-every", "1", "--metric", "faulty")
    assert "faulty failed in measure, step 1: KeyError: 'oh'" in said


@every_row(
    ("body", "said"),
    [
        (
            "def critic_view(self, images):\n    return images.add_(1)",
            "faulty.critic_view, step 0 writes into images",
        ),
        (
            "def critic_terms(self, batch):\n    batch.fake.images.mul_(2)",
            "faulty.critic_terms, step 0 writes into batch.fake.images",
        ),
        ("def critic_targets(self, targets):\n    return targets.zero_()", "writes into targets"),
    ],
)
def test_writing_into_what_a_hook_is_given_is_refused_at_once_P19(refused, shelf, body, said):
    shelf.publish(trick(f"@hookimpl\n{body}\n"))
    assert said in refused(*RUN, "--reg", "faulty")


def test_writing_late_is_found_with_debug_P19(debugged, shelf):
    body = "@hookimpl\ndef critic_fakes(self, images, step):\n    images.mul_(2) if step > 9 else None\n"
    shelf.publish(trick(body))
    said = debugged("run", *TINY, "--steps", "12", "--out", "r", "--reg", "faulty")
    assert "faulty.critic_fakes, step 10 writes into images" in said
    assert "Traceback" in said
