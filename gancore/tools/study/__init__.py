"""Studies: arms beside a baseline over paired seeds, one figure fixed beforehand, exact tests."""

from gancore.tools.study.ablation import ablation_arms
from gancore.tools.study.design import (
    AGAIN,
    BASELINE,
    STUDY,
    Design,
    contents_of,
    make_design,
    read_arms,
    refuse_another,
    study_id,
)
from gancore.tools.study.picture import study_picture
from gancore.tools.study.plan import deviation_of_pilot, plan_lines
from gancore.tools.study.report import out_of_reach, results_as_json, study_as_markdown
from gancore.tools.study.results import compare_arms, score_arms

__all__ = [
    "AGAIN",
    "BASELINE",
    "STUDY",
    "Design",
    "ablation_arms",
    "compare_arms",
    "contents_of",
    "deviation_of_pilot",
    "make_design",
    "study_as_markdown",
    "out_of_reach",
    "plan_lines",
    "read_arms",
    "refuse_another",
    "results_as_json",
    "score_arms",
    "study_id",
    "study_picture",
]
