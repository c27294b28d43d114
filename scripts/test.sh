#!/usr/bin/env bash
# Sets itself up, then runs the tests. Arguments go to pytest:
#   bash scripts/test.sh                          # all but those marked slow
#   bash scripts/test.sh -m ''                    # all
#   bash scripts/test.sh test/observation -x
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"

unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
export PATH="$root/.venv/bin:$PATH"
cd "$root"
exec python -m pytest -m 'not slow' -ra "$@"
