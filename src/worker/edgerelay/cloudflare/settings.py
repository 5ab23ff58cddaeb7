"""Reads the settings from the Worker's environment, where plain variables and bindings stand side by side."""

from __future__ import annotations

from typing import Any

import js

from edgerelay.config import Settings

__all__ = ["read_settings"]


def read_settings(env: Any) -> Settings:
    """Build the settings from everything in the environment that is text.

    Raises:
        SettingsError: a variable is unknown, or has a value that it cannot have.
    """
    variables = {}
    for name in js.Object.keys(_raw(env)):
        value = getattr(_raw(env), name)
        if isinstance(value, str):
            variables[name] = value
    return Settings.from_mapping(variables)


def _raw(env: Any) -> Any:
    return getattr(env, "_env", env)
