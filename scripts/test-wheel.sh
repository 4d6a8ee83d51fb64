#!/usr/bin/env bash
# What users get of the last commit: the sdist and the wheel, built twice in clones that differ in place and umask, and the
# wheel once more from the sdist, to the same bytes; then the wheel, installed with the lock into an empty environment
# outside the repository and run from another folder, on every Python of PYTHONS that is here. UV names uv where there is one.
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
tools=$PWD/.venv/bin/python
place=$(mktemp -d)
chmod 755 "$place"  # started as root, the database's programs run as another user
trap '"$place/venv/bin/knowdefeat" db stop >/dev/null 2>&1 || true; rm -rf "$place"' EXIT
unset "${!KNOWDEFEAT_@}" "${!DAGSTER_@}" PYTHONPATH

# The paths of Python $1, the first that runs; nothing where none is here.
find_python() {
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        if "$candidate" -c '' 2>/dev/null; then echo "$candidate"; return; fi
    done
    [ -z "${UV:-}" ] || "$UV" python find --no-python-downloads "$1" 2>/dev/null || true
}

build() { (umask "$1" && cd "$2" && "$tools" -m hatchling build --directory "$3" "${@:4}" >/dev/null); }

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
git clone --quiet "$repository" "$place/clone"
(umask 077 && mkdir "$place/elsewhere" && git clone --quiet "$repository" "$place/elsewhere/other")
build 022 "$place/clone" "$place/dist" -t sdist -t wheel
build 077 "$place/elsewhere/other" "$place/again" -t sdist -t wheel
mkdir "$place/unpacked"
tar -xzf "$place"/dist/*.tar.gz -C "$place/unpacked" --strip-components 1
build 022 "$place/unpacked" "$place/from-sdist" -t wheel
diff -r "$place/dist" "$place/again"
cmp "$place"/dist/*.whl "$place"/from-sdist/*.whl
(cd "$place/dist" && sha256sum ./*)

# Installs the wheel for the Python at $1, runs it, and removes it.
run_on() {
    "$1" -m venv "$place/venv"
    local python=$place/venv/bin/python
    if [ -n "${UV:-}" ]; then
        "$UV" pip install --quiet --python "$python" --require-hashes -r "$repository/requirements.lock"
        "$UV" pip install --quiet --python "$python" --no-deps "$place"/dist/*.whl
    else
        "$python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$repository/requirements.lock"
        "$python" -m pip install --quiet --disable-pip-version-check --no-deps "$place"/dist/*.whl
    fi
    (
        export HOME="$place/home" PATH="$place/venv/bin:$PATH"
        mkdir "$HOME" "$place/empty"
        cd "$place/empty"
        knowdefeat --version
        knowdefeat run >/dev/null
        knowdefeat rankings --json | python -c "import json, sys; ranks = json.load(sys.stdin); assert len(ranks) == 24, ranks"
        knowdefeat doctor
        share=$(python -c "from knowdefeat_pipeline.settings import ROOT; print(ROOT)")
        DAGSTER_HOME=$share dagster definitions validate -w "$share/workspace.yaml"
        knowdefeat db stop

        test -d "$HOME/.knowdefeat/postgres"
        test -z "$(ls -A .)"  # nothing is written to the current folder,
        test "$(ls -A "$share" | tr '\n' ' ')" = "code_server.yaml dagster.yaml sql workspace.yaml "  # nor beside the code
    )
    rm -rf "$place/venv" "$place/home" "$place/empty"
}

absent=()
tested=()
for version in ${PYTHONS:-3.11 3.12 3.13 3.14}; do
    python=$(find_python "$version")
    if [ -z "$python" ]; then absent+=("$version"); continue; fi
    echo "Python $version"
    run_on "$python"
    tested+=("$version")
done
[ ${#tested[@]} -gt 0 ]
echo "The wheel installs and runs on Python ${tested[*]}.${absent:+ Not here, so not tested: ${absent[*]}.}"
