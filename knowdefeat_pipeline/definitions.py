"""The stable entry point that Dagster loads."""

from knowdefeat_pipeline.build import build_defs

defs = build_defs()
