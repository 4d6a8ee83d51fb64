"""Packs into the wheel what stands beside the package in the repository; an editable install reads it there."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHARED = ("sql", "dagster.yaml", "workspace.yaml", "code_server.yaml")


class CustomBuildHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds a wheel; `version` is `standard` or `editable`."""
        if version == "standard":
            build_data["force_include"] |= {name: f"knowdefeat_pipeline/share/{name}" for name in SHARED}
