"""`gan plugins ./file.py[:Class]`: everything that is wrong with a file, with line and fix."""

import json
import subprocess
import sys

from support.tables import every_row

from gancore.testing.findings import find_faults_of_file

SOUND = '''"""Two components."""
import torch

from gancore import component, draw_rows, hookimpl, option


@component(source="a test")
class SoftNoise:
    """Add a little noise to what the critic is given."""

    sigma: float = option(0.1, ge=0, help="standard deviation")

    @hookimpl
    def critic_view(self, images, rng):
        return images + self.sigma * draw_rows(torch.randn, images.shape, rng)


@component(source="a test")
class Quiet:
    """Log the mean score of fakes."""

    @hookimpl
    def critic_terms(self, batch, log):
        log("mean", batch.fake.score.mean().detach())
'''

UNSOUND = '''import torch

from gancore import component, hookimpl, option


@component(source="a test")
class Bad:
    """Do several things wrong."""

    weight: float = option(1.0, ge=0)

    @hookimpl
    def critic_veiw(self, images):
        return images

    @hookimpl
    def critic_targets(self, targets):
        return targets.mul_(0.9)

    @hookimpl
    def critic_terms(self, batch):
        scores = batch.fake.score
        return {"a": scores.std(), "b": (scores * scores.detach()).mean()}

    @hookimpl
    def measure(self):
        return {"a": float("nan")}
'''


def gan(*words, folder):
    command = [sys.executable, "-m", "gancore", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_sound_file_is_said_to_be_and_ends_with_0(tmp_path):
    (tmp_path / "own.py").write_text(SOUND)
    done = gan("plugins", "./own.py", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "soft-noise: sound (help, options, training, " in done.stdout
    assert "quiet: sound (" in done.stdout


def test_every_fault_of_a_file_is_printed_with_line_and_fix(tmp_path):
    (tmp_path / "own.py").write_text(UNSOUND)
    done = gan("plugins", "./own.py:Bad", folder=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    found = {}
    for number, line in enumerate(lines):
        if line[:1].isdigit():
            found[line.partition(". ")[2]] = lines[number + 1 : number + 3]
    wanted = {
        "Bad.critic_veiw is marked @hookimpl": 13,
        "Bad.weight has no help": 10,
        "bad.critic_targets, step 0 writes into targets": 17,
        "bad.measure: a is nan": 26,
        "bad.critic_terms computes over the rows of its own process": 21,
        "Bad.critic_terms: along a random direction": 21,
    }
    assert len(found) == len(wanted), done.stdout
    for what, line in wanted.items():
        (where, fix) = next(parts for text, parts in found.items() if text.startswith(what))
        # a method begins at its decorator in one message, and at its name in another
        assert any(f"own.py, line {number}" in where for number in (line - 1, line)), where
        assert fix.strip().startswith("fix: ")


def test_findings_are_printed_as_json_too(tmp_path):
    (tmp_path / "own.py").write_text(UNSOUND)
    done = gan("plugins", "./own.py", "--json", folder=tmp_path)
    assert done.returncode == 1
    (found,) = json.loads(done.stdout)
    assert found["name"] == "bad"
    assert all(fault["what"] and fault["where"] and fault["fix"] for fault in found["faults"])


BROKEN = {
    "def broken(:\n": "cannot be imported: SyntaxError",
    'raise RuntimeError("out of order")\n': "cannot be imported: RuntimeError: out of order",
    "import a_module_that_is_not_there\n": "cannot be imported: ModuleNotFoundError",
    "x = 1\n": "own.py holds no component",
}


@every_row("text", BROKEN)
def test_a_file_that_cannot_be_imported_is_one_finding(text, tmp_path):
    (tmp_path / "own.py").write_text(text)
    (found,) = find_faults_of_file(str(tmp_path / "own.py"))
    (fault,) = found.faults
    assert BROKEN[text] in fault.what
    assert fault.where
    assert fault.fix


def test_a_missing_file_and_a_missing_class_are_usage_errors(tmp_path):
    (tmp_path / "own.py").write_text(SOUND)
    for name, said in (
        ("./nothing.py", "there is no file"),
        ("./own.py:Nope", "it holds SoftNoise, Quiet"),
    ):
        done = gan("plugins", name, folder=tmp_path)
        assert done.returncode == 2
        assert said in done.stderr


def test_one_class_of_a_file_is_chosen_by_name_and_goes_by_it_in_kebab_case(tmp_path):
    (tmp_path / "own.py").write_text(SOUND)
    words = [
        "run",
        "--reg",
        "./own.py:SoftNoise",
        "--soft-noise.sigma",
        "0.5",
        "--dry-run",
        "--json",
    ]
    done = gan(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recipe"]["soft-noise"] == {"sigma": 0.5}
    both = gan("run", "--reg", "./own.py", "--dry-run", folder=tmp_path)
    assert both.returncode == 2
    assert "holds 2 components (SoftNoise, Quiet)" in both.stderr
    assert "own.py:NAME" in both.stderr


NEEDY = '''from gancore import component, hookimpl, option


@component(source="a test")
class PullUp:
    """Add the mean score of fakes, times a weight, to the critic's loss."""

    weight: float = option(0.0, ge=0, help="factor of the mean, above 0")

    def __attrs_post_init__(self):
        if self.weight == 0:
            raise ValueError("weight has to be given")

    @hookimpl
    def critic_terms(self, batch):
        return {"pull": self.weight * batch.fake.score.mean()}
'''


def test_a_component_is_checked_with_the_options_that_are_given(tmp_path):
    (tmp_path / "own.py").write_text(NEEDY)
    done = gan("plugins", "./own.py", folder=tmp_path)
    assert done.returncode == 1
    assert "weight has to be given" in done.stdout
    done = gan("plugins", "./own.py", "--pull-up.weight", "2", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pull-up: sound" in done.stdout


@every_row(
    "words, said",
    [
        (["./own.py", "--pull-up.weigth", "2"], "did you mean weight?"),
        (["./own.py", "--pull-up.weight", "-1"], "must be at least 0"),
        (["./own.py", "--pul-up.weight", "2"], "did you mean pull-up?"),
        (["r1", "--r1.gamma", "2"], "options are for the components of a file"),
    ],
)
def test_an_option_that_no_component_takes_is_a_usage_error(words, said, tmp_path):
    (tmp_path / "own.py").write_text(NEEDY)
    done = gan("plugins", *words, folder=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
