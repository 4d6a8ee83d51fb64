#!/usr/bin/env bash
# The wheel as its users get it: built, installed with the lock into an empty environment outside the repository, and
# run from another folder. UV names uv where there is one.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
place=$(mktemp -d)
chmod 755 "$place"  # started as root, the database's programs run as another user
trap '"$place/venv/bin/knowdefeat" db stop || true; rm -rf "$place"' EXIT

"$python" -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps --wheel-dir "$place" .
"$python" -m venv "$place/venv"
export PATH="$place/venv/bin:$PATH"
if [ -n "${UV:-}" ]; then
    "$UV" pip install --quiet --python "$place/venv/bin/python" --require-hashes -r requirements.lock
    "$UV" pip install --quiet --python "$place/venv/bin/python" --no-deps "$place"/*.whl
else
    pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
    pip install --quiet --disable-pip-version-check --no-deps "$place"/*.whl
fi

unset "${!KNOWDEFEAT_@}" "${!DAGSTER_@}" PYTHONPATH
export HOME="$place/home"
mkdir "$HOME" "$place/elsewhere"
cd "$place/elsewhere"
knowdefeat run
knowdefeat rankings --json | python -c "import json, sys; ranks = json.load(sys.stdin); assert len(ranks) == 24, ranks"
knowdefeat doctor
share=$(python -c "from knowdefeat_pipeline.settings import ROOT; print(ROOT)")
DAGSTER_HOME=$share dagster definitions validate -w "$share/workspace.yaml"

test -d "$HOME/.knowdefeat/postgres"
test -z "$(ls -A .)"  # nothing is written to the current folder,
test "$(ls -A "$share" | tr '\n' ' ')" = "code_server.yaml dagster.yaml sql workspace.yaml "  # nor beside the code
echo "The wheel installs and runs."
