"""Hypothesis judges values here, not time: a busy machine fails no test."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
