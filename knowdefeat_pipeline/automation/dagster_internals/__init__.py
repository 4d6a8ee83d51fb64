"""The only modules that may import Dagster's private modules (`dagster._*`)."""
