#!/usr/bin/env bash
# Sets itself up, then runs the tests. Arguments go to pytest:
#   bash scripts/test.sh                          # all but those marked slow
#   bash scripts/test.sh -m ''                    # all
#   bash scripts/test.sh test/observation -x
#   bash scripts/test.sh -n 0 --pdb               # in one process, for a debugger
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"

unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
export PATH="$root/.venv/bin:$PATH"
cd "$root"
# Files of tests go to three processes, for many wait: a robot moves in real time. Every file with
# nodes has a ROS domain of its own.
exec python -m pytest -n 3 --dist loadfile -m 'not slow' -ra "$@"
