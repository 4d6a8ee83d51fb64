"""The only modules that may rest on what Dagster does not call public, and what they do where a version lacks it.

Each such use says why there is no public way. Everything else belongs elsewhere.
"""
