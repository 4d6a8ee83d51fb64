"""The command line: parses, calls the rooms below and shows what they answer. No formula and no SQL belongs here."""

from knowdefeat_pipeline.cli.app import main

__all__ = ["main"]
