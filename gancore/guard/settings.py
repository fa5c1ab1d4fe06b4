"""Checks at each row that components left the settings of the process alone."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field

from gancore.errors import PluginError
from gancore.plugins.calling import Component
from gancore.process.global_state import ProcessSettings, put_back, settings


@define(eq=False)
class SettingsCheck:
    """Checks at each row that no component changed the settings of the process since the last."""

    chosen: Sequence[Component]
    _settings: ProcessSettings = field(init=False, factory=dict)

    def look(self, step: int) -> None:
        """Restore the settings of the process; raise PluginError if any of them had changed."""
        changed = put_back(self._settings) if self._settings else []
        if changed:
            raise PluginError(
                f"a component changed {' and '.join(changed)} before step {step}",
                where=", ".join(each.name for each in self.chosen),
                fix="--debug checks every call, and names the component",
            )
        # read at the first row, not earlier: signal handlers are installed after the build
        self._settings = self._settings or settings()
