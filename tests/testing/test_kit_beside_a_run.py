"""The conformance kit finds what a run could not."""

import signal

import pytest
import torch
from support.tables import every_row

from gancore import CheckpointError, PluginError, cached, component, hookimpl, option, state
from gancore.testing import check_component, check_exact_resume


def odd(**members):
    """Make a component class of these members."""
    text = members.pop("doc", "Be odd.")
    card = members.pop("card", {})
    space = {
        "__doc__": text,
        "__module__": __name__,
        "__annotations__": members.pop("annotations", {}),
        **members,
    }
    return component(source="a test", **card)(type("Odd", (), space))


def changing(deed):
    def critic_view(self, images):
        deed()
        return images

    return odd(critic_view=hookimpl(critic_view))


@every_row(
    ("deed", "said"),
    [
        (lambda: torch.set_default_dtype(torch.float64), "changes torch's default dtype"),
        (
            lambda: torch.set_num_threads(torch.get_num_threads() + 1),
            "changes torch's number of threads",
        ),
        (lambda: torch.set_grad_enabled(False), "changes torch's grad mode"),
        (lambda: torch.rand(()), "draws from torch's global generator"),
        (lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN), "changes the signal handlers"),
    ],
)
def test_the_kit_finds_what_changes_the_process_P07(same_process, deed, said):
    with pytest.raises(AssertionError, match=said):
        check_component(changing(deed))
    assert torch.is_grad_enabled()


def test_the_kit_finds_writing_into_what_was_given_P19():
    with pytest.raises(AssertionError, match="writes into images"):
        check_component(odd(critic_view=hookimpl(lambda self, images: images.add_(1))))
    with pytest.raises(AssertionError, match=r"writes into batch.fake.images"):
        check_component(
            odd(critic_terms=hookimpl(lambda self, batch: [batch.fake.images.mul_(2), None][1]))
        )


def test_the_kit_finds_late_writing_too_P19():
    def critic_view(self, images, step):
        return images.add_(1) if step == 5 else images

    with pytest.raises(AssertionError, match="step 5 writes into images"):
        check_component(odd(critic_view=hookimpl(critic_view)))


def test_the_kit_finds_state_on_the_class_that_moves_the_numbers_P29():
    def critic_view(self, images):
        self.calls.append(1)
        return images * (1 + 1 / len(self.calls))

    def state_dict(self):
        return {}

    cls = odd(
        critic_view=hookimpl(critic_view),
        state_dict=state_dict,
        load_state_dict=lambda self, state: None,
        calls=[],
    )
    with pytest.raises(AssertionError, match="two runs in one process differ"):
        check_component(cls)


def test_the_kit_finds_state_on_the_class_that_moves_nothing_yet_P29():
    def before_step(self):
        self.calls.append(1)

    with pytest.raises(AssertionError, match=r"Odd.calls changes while training"):
        check_component(odd(before_step=hookimpl(before_step), calls=[]))


COUNTED = {"steps": 0}


def test_the_kit_finds_state_on_the_module_P29():
    def before_step(self):
        COUNTED["steps"] += 1

    with pytest.raises(AssertionError, match=r"COUNTED changes while training"):
        check_component(odd(before_step=hookimpl(before_step)))


def test_the_kit_finds_a_cached_field_that_should_be_saved_and_names_it_P24():
    def before_step(self):
        self.seen += 1

    def critic_view(self, images):
        return images * (1 + 0.1 * self.seen)

    cls = odd(
        before_step=hookimpl(before_step),
        critic_view=hookimpl(critic_view),
        seen=cached(0),
        annotations={"seen": int},
    )
    with pytest.raises(
        AssertionError,
        match=r"odd changes seen while training, which is cached\(\) and so not saved",
    ):
        check_component(cls)


def test_the_kit_finds_state_that_is_not_taken_back_P21():
    def before_step(self):
        self.seen += 1

    cls = odd(
        before_step=hookimpl(before_step),
        state_dict=lambda self: {"seen": self.seen},
        load_state_dict=lambda self, state: None,
        seen=state(0),
        annotations={"seen": int},
    )
    with pytest.raises(CheckpointError, match=r"load_state_dict\(\) has changed seen"):
        check_exact_resume(lambda: [cls()])


def test_the_kit_passes_what_keeps_its_state_and_changes_nothing_else():
    @component(source="a test")
    class Drifting:
        """Add a little more every step."""

        by: float = option(0.1, ge=0, help="what is added")
        seen: int = state(0)

        @hookimpl
        def before_step(self):
            self.seen += 1

        @hookimpl
        def critic_view(self, images):
            return images + self.by * self.seen

    check_component(Drifting)


def test_an_options_default_that_all_objects_would_share_is_refused_P25():
    with pytest.raises(PluginError, match="which all objects would share"):
        option([1, 2], help="sizes")
