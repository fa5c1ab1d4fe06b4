"""The training doctor: pure rules over the metrics log, told while training and by `gan diagnose RUN`."""

from gan_plugin_doctor.rules import RULES, examine, unchecked

__all__ = ["RULES", "examine", "unchecked"]
