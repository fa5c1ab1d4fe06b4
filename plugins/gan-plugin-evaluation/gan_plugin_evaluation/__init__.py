"""Score samples against data, beside what real data and null generators score.

`sources` opens a run, a folder or files, and `reals` the data; `score` puts `rows` of figures
together, `sentences` says what they mean, `record` keeps them, and `command` is `gan eval`.
"""

from gan_plugin_evaluation.score import Evaluation, Setup, evaluate

__all__ = ["Evaluation", "Setup", "evaluate"]
