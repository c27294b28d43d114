#!/usr/bin/env bash
# Sets itself up, then lets the trained policy drive the simulated robot over ROS 2.
# Arguments go to `dpr demo`, such as: bash scripts/demo.sh --rate 30
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"

unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
export PATH="$root/.venv/bin:$PATH"
exec dpr demo "$@"
