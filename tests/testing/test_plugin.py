"""The plugin is there wherever it is installed."""

from __future__ import annotations

import pytest


def test_pytest_loads_it(pytestconfig: pytest.Config) -> None:
    """Nobody has to name it."""
    assert pytestconfig.pluginmanager.hasplugin("trio_jobs_testing")
