#!/bin/sh
# Renew the locks from the ranges in pyproject.toml. They name versions and hashes, never a registry.
set -eu
cd "$(dirname "$0")/.."
flags="--quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --generate-hashes"
uv pip compile $flags pyproject.toml --group build -o requirements.lock
uv pip compile $flags pyproject.toml --group build --extra kubernetes -c requirements.lock -o requirements-kubernetes.lock
uv pip compile $flags pyproject.toml --group build --extra scale -c requirements-kubernetes.lock -o requirements-scale.lock
uv pip compile $flags pyproject.toml --group build --group dev --extra kubernetes --extra scale \
    -c requirements-kubernetes.lock -c requirements-scale.lock -o requirements-dev.lock
