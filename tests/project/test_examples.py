"""The example files: each conforms, does what its formula says, and trains through files."""

import pytest
import torch
from safetensors.torch import load, save_file
from support.descent import Descent
from support.examples import example
from support.paths import EXAMPLES
from support.tables import every_row

from gancore import CheckpointError
from gancore.testing import StandInLoss, check_component, some_batch, some_data, train


@pytest.fixture(scope="session")
def feature_file(tmp_path_factory):
    """Return a file with the weights that the frozen feature network has."""
    path = tmp_path_factory.mktemp("features") / "features.safetensors"
    torch.manual_seed(3)
    save_file(example("frozen_features").feature_network(3).state_dict(), path)
    return path


CONFORM = {
    "my_trick": "Drift",
    "packing": "Packing",
    "slow_layers": "SlowLayers",
    "diffusion_time": "DiffusionTime",
    "patch_scores": "PatchScores",
    "two_critics": "TwoCritics",
    "angles": "Angles",
    "frozen_features": "FrozenFeatures",
}
OPTIONS = {"slow_layers": {"name": "weight"}}


@every_row("name", list(CONFORM))
def test_each_example_conforms(name, feature_file):
    options = OPTIONS.get(name, {})
    if name == "frozen_features":
        options = {"path": str(feature_file)}
    check_component(getattr(example(name), CONFORM[name]), **options)


def test_a_condition_on_values_conforms():
    angles = example("angles")
    check_component(angles.OnValues, data=angles.Angles(count=6).make_data())


# ── what the formulas say ────────────────────────────────────────────────────────────────────────


def test_the_slow_layers_move_at_a_hundredth_of_the_rate():
    slow = example("slow_layers").SlowLayers(name="weight", factor=0.01)
    moves = []
    for components in ((slow,), ()):
        training = train(*components, Descent(), StandInLoss())
        critic = training.context.gan.critic
        before = {name: weight.detach().clone() for name, weight in critic.named_parameters()}
        training.train_step()
        moves.append({name: weight - before[name] for name, weight in critic.named_parameters()})
    for name, move in moves[0].items():
        factor = 0.01 if "weight" in name else 1.0
        torch.testing.assert_close(move, factor * moves[1][name], rtol=1e-3, atol=1e-6)


def test_the_diffused_view_has_the_variance_of_its_time():
    diffusion = example("diffusion_time").DiffusionTime(steps=2, beta=0.36)
    rng = torch.Generator().manual_seed(0)
    images = torch.full((4000, 1, 2, 2), 0.5)
    view, labels = diffusion.critic_view(images, torch.zeros(4000, 0, dtype=torch.int64), rng)
    at_zero = labels[:, 0] == 0
    torch.testing.assert_close(view[at_zero], images[at_zero])  # a_0 = 1
    later = view[~at_zero]
    assert later.mean().item() == pytest.approx(0.8 * 0.5, abs=0.02)
    assert later.std().item() == pytest.approx(0.6, abs=0.02)


def test_equal_critics_that_cannot_tell_leave_the_generator_at_rest():
    """At p = q and alpha = beta = 1 the optimal critics of D2GAN are 1, and the losses 1."""
    two = example("two_critics").TwoCritics(alpha=1.0, beta=1.0)
    training = train(two, data=some_data((2,), ()))
    batch = some_batch(training)
    one = torch.log(torch.expm1(torch.ones(8)))  # softplus of it is 1
    second = training.context.gan.critic.extras["second"]
    with torch.no_grad():
        second[-1].weight.zero_()
        second[-1].bias.fill_(one[0])
    for side in (batch.real, batch.fake):
        side.set_output(type(side.out)(one, side.features, {}))
    terms = two.critic_terms(batch)
    assert terms["real"].item() == pytest.approx(1.0, abs=1e-4)
    assert terms["fake"].item() == pytest.approx(1.0, abs=1e-4)


def test_frozen_features_refuse_another_file_on_resume(feature_file, tmp_path):
    cls = example("frozen_features").FrozenFeatures
    began = cls(path=str(feature_file))
    training = train(began, StandInLoss())
    training.train_step()
    assert not any("frozen" in name for name in training.context.gan.critic.state_dict())
    torch.manual_seed(4)
    other = tmp_path / "other.safetensors"
    save_file(example("frozen_features").feature_network(3).state_dict(), other)
    resumed = cls(path=str(other))
    resumed.digest = began.digest
    with pytest.raises(CheckpointError, match="holds other weights than those the run began with"):
        train(resumed, StandInLoss()).train_step()


# ── through files, in two processes, in half precision ──────────────────────────────────────────

SMALL = ("--batch", "8", "--device", "cpu", "--log-every", "1")
IMAGES = ("--size", "16", "--dcgan.width", "4", "--dcgan-critic.width", "4")
POINTS = ("--data", "mixture", "--gen", "mlp", "--critic", "mlp-critic")
# by example: the words that choose its components, and the others
RUNS = {
    "slow_layers": (["--reg", "slow_layers.py"], ["--slow-layers.name", "weight", *IMAGES]),
    "diffusion_time": (["--reg", "diffusion_time.py"], IMAGES),
    "patch_scores": (["--reg", "patch_scores.py"], IMAGES),
    "two_critics": (["--loss", "two_critics.py"], POINTS),
    "angles": (["--data", "angles.py:Angles", "--cond", "angles.py:OnValues"], POINTS[2:]),
    "frozen_features": (["--critic", "frozen_features.py"], IMAGES[:4]),
}


@pytest.fixture
def words(feature_file):
    """Return, for an example, the words that choose it, and all words of its run."""

    def find(name):
        chosen, others = RUNS[name]
        choice = [str(EXAMPLES / word) if ".py" in word else word for word in chosen]
        if name == "frozen_features":
            others = ["--frozen-features.path", str(feature_file), *others]
        return choice, [*choice, *others, *SMALL]

    return find


@pytest.mark.slow
@every_row("name", list(RUNS))
def test_an_example_resumes_exactly_and_trains_in_half_precision(gan_here, words, tmp_path, name):
    choice, given = words(name)
    whole = tmp_path / f"{name}-whole"
    half = tmp_path / f"{name}-half"
    gan_here("run", *given, "--steps", "4", "--out", whole)
    gan_here("run", *given, "--steps", "2", "--out", half)
    # a recipe may not run a file of its own accord, so the choice is given again
    gan_here("run", "--resume", half, "--steps", "4", *choice)
    stored = files_of(half)
    for part, content in files_of(whole).items():
        assert content == stored[part], part
    gan_here(
        "run", *given, "--steps", "2", "--precision", "bf16", "--out", tmp_path / f"{name}-bf16"
    )


# `check_component` compares all of them in two threads that take turns; here are real processes
@pytest.mark.slow
@every_row("name", ["slow_layers", "patch_scores", "two_critics"])
def test_two_processes_train_an_example_as_one_does(gan, gan_here, words, tmp_path, name):
    given = [*words(name)[1], "--steps", "2", "--optim", "sgd", "--sgd.lr", "1e-3"]
    gan_here("run", *given, "--out", tmp_path / f"{name}-one")
    gan("run", *given, "--nproc", "2", "--out", tmp_path / f"{name}-two")
    two = files_of(tmp_path / f"{name}-two")
    for part, content in files_of(tmp_path / f"{name}-one").items():
        if part not in ("generator.safetensors", "critic.safetensors"):
            continue
        weights = load(content)
        for weight, other in load(two[part]).items():
            torch.testing.assert_close(other, weights[weight], rtol=1e-4, atol=1e-5)


def files_of(run):
    """Return the content of the files of tensors in the last checkpoint of a run."""
    last = max((run / "checkpoints").iterdir())
    return {path.name: path.read_bytes() for path in last.glob("*.safetensors")}
