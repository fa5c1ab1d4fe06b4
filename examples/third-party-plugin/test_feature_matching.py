"""The plugin satisfies gancore's conformance kit, and its formula holds."""

import torch
from gan_feature_matching import FeatureMatching

from gancore.testing import check_component, critic_batch, terms


def test_feature_matching_conforms():
    check_component(FeatureMatching)


def test_identical_batches_give_zero():
    images = torch.randn(4, 3)
    batch = critic_batch(lambda view: view.sum(1), images, images.clone())
    assert terms(FeatureMatching(), "generator_terms", batch)["distance"] == 0
