"""Facts about scores: floors, null generators, copies, splits, records, what is said and refused."""

import numpy
import platformdirs
import pytest
import torch

from gan_plugin_evaluation import evaluate
from gan_plugin_evaluation.command import COLUMNS, columns_of
from gan_plugin_evaluation.hold_out import HoldOut, divide
from gan_plugin_evaluation.reals import Pools
from gan_plugin_evaluation.record import append_records, expect_comparable, read_records
from gan_plugin_evaluation.rows import COPIES, GAUSSIAN, NOISE, moment_matched, null_samples
from gan_plugin_evaluation.score import Evaluation
from gan_plugin_evaluation.sentences import sentences
from gan_plugin_evaluation.sources import is_allowed
from gan_plugin_evaluation.yardstick import REALS
from gancore import DataError, LabelSet, Run, StoredData, UsageError, compose, open_data
from gancore.testing import check_component, some_data

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Keep floors and classifiers of tests out of the user's cache folder."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)


def blobs(count, seed=0, side=16):
    """Unlabelled images of one soft disc each, whose place, size and grey differ."""
    rng = torch.Generator().manual_seed(seed)
    x, y, size, grey = torch.rand(4, count, 1, 1, generator=rng)
    places = torch.linspace(0, 1, side)
    away = (places - x) ** 2 + (places[:, None] - y) ** 2
    discs = (-away / (0.02 + 0.05 * size)).exp() * (0.5 + grey)
    noise = torch.randn(count, side, side, generator=rng) * 0.02
    return (discs * 1.3 - 1 + noise).clamp(-1, 1)[:, None]


@pytest.fixture(scope="module")
def reals():
    return StoredData(blobs(400))


# ── what samples score ────────────────────────────────────────────────────────────────────────────


def test_further_reals_have_the_floor_and_null_generators_their_rows(reals):
    found = evaluate(blobs(200, seed=1), reals, n=200, features="pixels8")
    mean, deviation = found.floors["fd"]
    assert abs(found.figures["fd"] - mean) < 6 * deviation  # of eight splits, itself uncertain
    assert found.figures["coverage"] > 0.9 * found.rows[REALS]["coverage"]
    assert found.rows[REALS]["fd-ratio"] == pytest.approx(1)
    assert found.rows.keys() == {REALS, NOISE, GAUSSIAN, COPIES}
    assert found.rows[NOISE]["fd-ratio"] > 10
    assert found.rows[NOISE]["precision"] == found.rows[NOISE]["coverage"] == 0
    assert found.rows[GAUSSIAN]["coverage"] < 0.5 * found.rows[REALS]["coverage"]


def test_blur_lies_between_reals_and_noise(reals):
    blurred = torch.nn.functional.avg_pool2d(blobs(200, seed=1), 5, 1, 2)
    found = evaluate(blurred, reals, n=200, features="randconv")
    assert 1.5 < found.figures["fd-ratio"] < found.rows[NOISE]["fd-ratio"]


def test_fifty_repeated_items_are_precise_and_are_caught_as_copies(reals):
    row = evaluate(blobs(200, seed=1), reals, n=200, features="pixels8").rows[COPIES]
    assert row["precision"] > 0.9
    assert row["coverage"] < 0.75
    assert row["copied"] > 0.9
    assert row["copies-found"]


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_fifth_of_copies_gives_a_memorised_share_of_six_tenths(reals, mirrored):
    train = reals.samples
    copies = train[:80].flip(-1) if mirrored else train[:80]
    samples = torch.cat([copies, blobs(320, seed=1)])
    held = StoredData(blobs(800, seed=2))
    found = evaluate(samples, held, train=reals, n=400, features="pixels8")
    assert found.split == "held-out"
    # the held-out set is twice as large: the deviation of one share is √(1/2)·½/√400 · 1.15
    assert found.figures["memorised"] == pytest.approx(0.6, abs=4 * 0.021)
    assert found.figures["copied"] == pytest.approx(0.2, abs=8 * 0.021)


def test_copies_of_training_data_score_like_reals_in_all_else(reals):
    found = evaluate(reals.samples[:200], reals, n=200, features="pixels8")
    assert found.split == "train"
    assert found.figures["fd-ratio"] < 1.5
    assert found.figures["copies-found"]
    assert any("are copies of training items" in each for each in sentences(found))


def test_points_are_compared_as_they_are():
    rng = torch.Generator().manual_seed(0)
    data = StoredData(torch.randn(400, 2, generator=rng))
    found = evaluate(torch.randn(200, 2, generator=rng), data, n=200)
    assert found.features["id"] == "points"
    assert found.width == 2
    assert found.figures["fd-ratio"] < 4
    assert "cs" not in found.figures


def test_labelled_data_have_the_figures_of_classes():
    images = blobs(150)
    labels = (images.mean((1, 2, 3)) > images.mean()).long()[:, None]
    data = StoredData(images, labels, (LabelSet("bright", ("no", "yes")),))
    found = evaluate(blobs(60, seed=1), data, n=60, features="classifier")
    assert found.features["id"] == f"clf:{found.features['sha256'][:12]}"
    assert found.rows[REALS]["class-accuracy"] > 0.7
    assert found.figures["class-tv"] < 0.3
    assert 1 <= found.figures["cs"] <= 2
    again = evaluate(blobs(60, seed=1), data, n=60, features="classifier")
    assert again.figures == found.figures  # the classifier was kept


def test_a_score_is_the_same_when_it_is_repeated_and_its_floors_are_kept(reals):
    samples = blobs(100, seed=1)
    first, again = (evaluate(samples, reals, n=100, features="pixels8") for _ in range(2))
    assert first.figures == again.figures
    assert first.rows == again.rows
    assert evaluate(samples, reals, n=100, features="pixels8", seed=1).figures != first.figures


def test_damaged_floors_are_measured_again(reals, tmp_path):
    samples = blobs(100, seed=1)
    expected = evaluate(samples, reals, n=100, features="pixels8").figures
    for path in (tmp_path / "cache" / "gancore" / "floors").iterdir():
        path.write_text("{")
    assert evaluate(samples, reals, n=100, features="pixels8").figures == expected


def test_a_moment_matched_gaussian_has_the_moments():
    flat = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)) @ torch.tensor(
        [[1.0, 0.5, 0], [0, 2, 0], [0, 0, 0.1]]
    )
    drawn = moment_matched(flat, 20_000, torch.Generator().manual_seed(1))
    assert torch.allclose(drawn.T.cov(), flat.T.cov(), rtol=0.05, atol=0.02)
    assert null_samples(flat, flat, 9, 0)[NOISE].shape == (9, 3)


# ── numbers and splits ────────────────────────────────────────────────────────────────────────────


def test_n_is_lowered_where_there_are_fewer_and_a_note_says_so(reals):
    found = evaluate(blobs(500, seed=1), reals, features="pixels8")
    assert found.n == 200
    assert any("n is 200, not 2000: the data hold 400" in each for each in found.notes)
    found = evaluate(blobs(50, seed=1), reals, features="pixels8")
    assert found.n == 50
    assert "there are 50 samples" in found.notes[0]


def test_hold_out_conforms_and_divides_without_overlap_and_the_same_way_each_time():
    check_component(HoldOut)
    images = blobs(100).repeat(2, 1, 1, 1)  # every image twice
    data = StoredData(images, torch.arange(200)[:, None] % 2, (LabelSet("a", ("x", "y")),))
    kept = divide(data, 0.25)
    held = kept.held
    assert len(held) == 50
    assert len(kept) == 150
    of_both = [
        set(each.take(torch.arange(len(each)), None)[0].sum((1, 2, 3)).tolist())
        for each in (kept, held)
    ]
    assert not of_both[0] & of_both[1]
    assert divide(data, 0.25).held.fingerprint() == held.fingerprint()
    assert held.fingerprint() != kept.fingerprint()


def test_scores_are_of_what_hold_out_holds_and_no_more_is_held():
    options = {"sprites.count": 40, "hold-out.share": 0.25, "held-out.images": 8}
    composition = compose(data="sprites", metric=["held-out"], reg=["hold-out"], options=options)
    kept = open_data(composition)
    found = {each.name: each.component for each in composition.chosen}
    held, scored = found["hold-out"].held, found["held-out"].held[0]
    assert len(kept) + len(held) == 40
    shown, _ = held.take(torch.arange(len(held)), None)
    assert len(scored) == 8
    assert all((shown == each).flatten(1).all(1).any() for each in scored)


def test_hold_out_of_one_image_is_refused():
    with pytest.raises(DataError, match="1 different samples cannot be divided"):
        divide(StoredData(blobs(1).expand(9, -1, -1, -1)), 0.2)


# ── what is refused ───────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_compared_is_refused_with_a_way_out(reals, tmp_path):
    refused = {
        "no features are called 'nonsense'": lambda: evaluate(
            blobs(50), reals, features="nonsense"
        ),
        "FID, KID and IS are figures of one Inception-v3": lambda: evaluate(
            blobs(50), reals, features="fid"
        ),
        "a classifier needs images with labels": lambda: evaluate(
            blobs(50), reals, features="classifier"
        ),
        "none are named": lambda: evaluate(str(tmp_path / "none.npy")),
        "there is no run, folder or file": lambda: evaluate(tmp_path / "none", reals),
        "a sample has shape": lambda: evaluate(blobs(50, side=8), reals),
        "not finite": lambda: evaluate(blobs(50) / 0, reals),
        "5 samples are too few": lambda: evaluate(blobs(5), reals),
        "needs 12 samples": lambda: evaluate(blobs(50), StoredData(blobs(11))),
    }
    for message, attempt in refused.items():
        with pytest.raises((UsageError, DataError), match=message) as raised:
            attempt()
        assert raised.value.fix, message


def test_a_component_file_is_executed_only_if_that_file_is_named():
    allowed = ["tricks/mine.v2.py"]
    for name in ("./tricks/mine.v2.py", "./tricks/mine.v2.py:Trick", "b=./tricks/mine.v2.py:Trick"):
        assert is_allowed(allowed, name), name
    for name in (
        "./tricks/mine.py",
        "./tricks/mine.v3.py:Trick",
        "./mine.v2.py",
        "tricks/.py:Trick",
    ):
        assert not is_allowed(allowed, name), name


def test_figures_of_inception_are_refused_with_how_to_get_them():
    for word in ("fid", "KID", "is"):
        with pytest.raises(UsageError, match="Inception-v3") as raised:
            columns_of(word)
        assert "gan-plugin-inception" in raised.value.fix
    with pytest.raises(UsageError, match="no figure is called"):
        columns_of("beauty")


def test_no_figure_is_shown_without_the_one_that_it_is_blind_to():
    assert columns_of("precision") == ["precision", "recall", "coverage"]
    assert "coverage" in columns_of("fd")
    assert columns_of(None) == list(COLUMNS)


# ── records ───────────────────────────────────────────────────────────────────────────────────────


def test_records_say_with_what_they_were_measured_and_only_grow(reals, tmp_path):
    found = evaluate(blobs(100, seed=1), reals, n=100, features="pixels8")
    path = tmp_path / "evaluation.json"
    append_records(path, found.records())
    append_records(path, found.records())
    stored = read_records(path)
    assert len(stored) == 2 * len(found.figures)
    fd = next(each for each in stored if each["metric"] == "fd")
    assert fd["value"] == found.figures["fd"]
    assert fd["ratio"] == found.figures["fd-ratio"]
    assert (fd["floor"], fd["floor_sd"]) == found.floors["fd"]
    assert fd["n_real"] == fd["n_fake"] == 100
    assert fd["features"]["id"] == "pixels8"
    assert len(fd["features"]["sha256"]) == 64
    assert fd["split"] == "train"
    assert {"protocol", "seed", "step", "weights", "data"} <= fd.keys()


@pytest.mark.parametrize("content", ["{", '{"a": 1}', "[1]"])
def test_a_file_that_holds_no_records_is_never_overwritten(content, tmp_path):
    path = tmp_path / "evaluation.json"
    path.write_text(content)
    with pytest.raises(DataError, match="holds no records"):
        append_records(path, [])
    assert path.read_text() == content


def test_comparing_across_features_or_numbers_is_an_error():
    record = {
        "metric": "fd",
        "features": {"id": "a"},
        "n_real": 5,
        "n_fake": 5,
        "protocol": "p",
        "data": "d",
        "split": "train",
    }
    expect_comparable(record, dict(record, value=3))
    for change in ({"features": {"id": "b"}}, {"n_real": 6}, {"data": "e"}, {"metric": "kd"}):
        with pytest.raises(UsageError, match="cannot be compared"):
            expect_comparable(record, record | change)


# ── sentences ─────────────────────────────────────────────────────────────────────────────────────


def scored(**figures):
    good = {
        "precision": 0.96,
        "recall": 0.96,
        "density": 1.0,
        "coverage": 0.97,
        "copied": 0.0,
        "fd-ratio": 1.0,
        "kd-z": 0.0,
    }
    null = dict.fromkeys(good, 0.0) | {"fd-ratio": 9.0, "kd-z": 99.0}
    rows = {REALS: good, NOISE: null, COPIES: good | {"coverage": 0.1}}
    return Evaluation(
        "x", good | figures, rows, {}, {"id": "f", "sha256": ""}, 10, 3000, "held-out", 0, "d"
    )


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({}, "as good as another draw"),
        ({"fd-ratio": 5.0}, "farther than other reals"),
        ({"kd-z": 8.0}, "but no chance"),
        ({"coverage": 0.3}, "The weakest share is coverage (0.30, that of reals 0.97): many reals have no sample"),
        ({"precision": 0.2}, "they look wrong"),
        ({"density": 1.3, "fd-ratio": 3.0}, "samples are smoother"),
        ({"diversity-gap": 0.2}, "more alike than reals"),
        ({"copied": 0.4, "copies-found": 1.0}, "About 40% of the samples are copies"),
        ({"precision": 0.5}, f"By fd-ratio, kd-z, precision, recall, density, {COPIES} would be as good"),
        ({"fd-ratio": 10.0}, f"By fd-ratio, {NOISE} would be as good as these samples."),
    ],
)  # fmt: skip
def test_sentences_say_what_the_figures_mean(figures, said):
    assert any(said in each for each in sentences(scored(**figures))), sentences(scored(**figures))


def test_small_numbers_are_warned_of():
    found = scored()
    assert not any("mostly bias" in each for each in sentences(found))
    few = evaluate(blobs(50, seed=1), StoredData(blobs(100)), features="pixels8")
    assert any("fd of 50 samples in 64 features is mostly bias" in each for each in sentences(few))


# ── a run, and data by name ───────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "short"
    options = {"dcgan.width": 4, "dcgan-critic.width": 4, "sprites.count": 96}
    settings = {"size": "16", "steps": 2, "batch": 8}
    choices = {"data": "sprites", "reg": ["hold-out"], "without": ["ema"]}
    composition = compose(**choices, options=options, settings=settings)
    Run.start(composition, folder).fit(progress=False)
    return folder


def test_a_run_is_compared_with_what_it_held_out(run):
    found = evaluate(run, n=9, features="pixels8")
    assert found.split == "held-out"
    assert found.step == 2
    assert found.weights == "raw"
    assert found.n == 9
    assert 0 <= found.figures["memorised"] <= 1.5
    assert found.figures["fd-ratio"] > 1


def test_data_are_opened_by_name_path_and_composition(tmp_path):
    numpy.save(tmp_path / "never.npy", numpy.zeros(3))
    by_name = open_data("sprites")
    composed = open_data(compose(data="sprites"))
    assert by_name.fingerprint() == composed.fingerprint()
    assert open_data("sprites", size=(16, 16)).shape == (3, 16, 16)
    with pytest.raises(UsageError, match="there is no file or folder"):
        open_data(tmp_path / "nowhere")


def test_pools_are_what_was_trained_on_and_what_was_not():
    data = some_data(count=20)
    assert Pools(data).split == "train"
    assert Pools(data, data).split == "held-out"
