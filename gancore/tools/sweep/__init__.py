"""Sweeps: train one composition with something varied, each arm with the same seeds."""

from gancore.tools.sweep.arms import arms_of_recipe, arms_of_words, layers_of_arms
from gancore.tools.sweep.figures import (
    comparison_picture,
    final_figures,
    mean_and_deviation,
    tabulate,
)
from gancore.tools.sweep.trials import Trial, plan_trials, share_of, time_left, train_all
from gancore.tools.sweep.worker import start_worker, train_trial

__all__ = [
    "Trial",
    "arms_of_recipe",
    "arms_of_words",
    "comparison_picture",
    "final_figures",
    "layers_of_arms",
    "mean_and_deviation",
    "plan_trials",
    "share_of",
    "start_worker",
    "tabulate",
    "time_left",
    "train_all",
    "train_trial",
]
