"""The training doctor: rules over the metrics log, checked while training and by `gan diagnose`."""

from gan_plugin_doctor.rules import RULES, examine, unchecked

__all__ = ["RULES", "examine", "unchecked"]
