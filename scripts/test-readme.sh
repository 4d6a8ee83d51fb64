#!/usr/bin/env bash
# Follow the README by the letter in a fresh clone: every block of its shell, and a freqtrade database where one is at hand.
# Fails if own bots are not ranked within LIMIT seconds of `git clone`.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
database="${KNOWDEFEAT_SHARED_DATA:-$repository/../shared/data}/formats/freqtrade_tradesv3.sqlite"
LIMIT=${LIMIT:-300}
folder=$(mktemp -d)
trap 'cd /; "$folder/clone/.venv/bin/knowdefeat" db stop >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
unset "${!KNOWDEFEAT_@}" "${!DAGSTER_@}" VIRTUAL_ENV PYTHONPATH

# `make up` goes on until it is stopped: here until it has printed where its pages are.
up() {
    make up > "$folder/up.log" 2>&1 &
    until grep -q '^Dagster UI:' "$folder/up.log"; do
        kill -0 $! || { cat "$folder/up.log"; return 1; }
        sleep 0.2
    done
    kill -TERM $!  # which make hands on; in the background a shell lets nobody hear Ctrl-C
    wait $! || true
}

SECONDS=0
git clone --quiet "$repository" "$folder/clone"
cd "$folder/clone"
mapfile -t steps < <(awk '/^```sh/ { on = 1; next } /^```/ { on = 0 } on && NF' README.md)
for step in "${steps[@]}"; do
    step=${step%%#*}
    echo "$ $step"
    case $step in
        make\ up*) up ;;
        knowdefeat\ run*)
            if [ -f "$database" ]; then
                mkdir -p bots/alpha && cp "$database" bots/alpha/tradesv3.sqlite
                eval "$(sed -n 's/^| freqtrade | `\([^`]*\)`.*/\1/p' README.md)"
            fi
            eval "$step" | tee "$folder/ranking"
            ;;
        *) eval "$step" ;;
    esac
done
[ ! -f "$database" ] || grep -q alpha "$folder/ranking"
echo "From git clone to the ranking of one's own bots: $SECONDS s"
[ "$SECONDS" -le "$LIMIT" ]
