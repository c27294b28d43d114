#!/usr/bin/env bash
# Makes .venv ready for this checkout: the package itself and all that it needs. Safe to run
# again at any time; when nothing changed it returns at once. Needs Python 3.10 or newer with
# venv, and pip's package index.
#
#   bash scripts/setup.sh                  # picks the Python: that of a sourced ROS 2, or a tested one
#   PYTHON=python3.12 bash scripts/setup.sh
#
# Where a sourced ROS 2 offers rclpy to the chosen Python, .venv is built on top of it; elsewhere
# ROS 2 comes as wheels. torch is whatever pip's index offers for the pin in constraints.txt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
stamp=$venv/setup-done
base_stamp=$venv/setup-base
# A Python that was started with ROS wheels leaves this behind; another .venv must look afresh.
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Prints "usable <path> <version> <ros|wheels>", tab-separated, or why a Python cannot be used.
inspect() {
  "$1" - "$1" <<'PYTHON' 2>/dev/null || echo "$1: cannot be run"
import importlib.util
import subprocess
import sys

name = sys.argv[1]
path = getattr(sys, '_base_executable', sys.executable)
version = '.'.join(map(str, sys.version_info[:3]))


def runs(code):
    return subprocess.run([path, '-c', code], capture_output=True).returncode == 0


if sys.version_info < (3, 10):
    print(f'{name}: is Python {version}; 3.10 or newer is needed')
elif not all(map(importlib.util.find_spec, ('venv', 'ensurepip'))):
    print(f'{name}: has no venv; on Debian and Ubuntu: '
          f'apt install python3.{sys.version_info[1]}-venv')
elif runs('import rclpy'):
    print('usable', path, version, 'ros', sep='\t')
elif sys.version_info >= (3, 14):
    print(f'{name}: is Python {version}; without a sourced ROS 2, 3.10 to 3.13 is needed')
else:
    print('usable', path, version, 'wheels', sep='\t')
PYTHON
}

# Sets $python, $version and $ros.
choose_python() {
  local candidates=(python3.11 python3.12 python3.10 python3.13 python3) reasons='' answer
  if [[ -n ${PYTHON:-} ]]; then
    candidates=("$PYTHON")
  elif [[ -n ${AMENT_PREFIX_PATH:-} ]]; then
    candidates=(python3 "${candidates[@]}")  # ROS 2 is built for the system's own Python
  fi
  for candidate in "${candidates[@]}"; do
    command -v "$candidate" > /dev/null || { reasons+=$'\n'"  $candidate: not found"; continue; }
    answer=$(inspect "$candidate")
    if [[ $answer == usable$'\t'* ]]; then
      IFS=$'\t' read -r _ python version ros <<< "$answer"
      return
    fi
    reasons+=$'\n'"  $answer"
  done
  die "no suitable Python was found; install Python 3.11 with venv, or name one with PYTHON=...$reasons"
}

# One line that changes whenever the installation would.
fingerprint() {
  { echo "$python $version $ros $PWD"
    cat setup.py diffusion_policy_ros/requirements.py setup.cfg pyproject.toml constraints.txt \
      scripts/setup.sh
  } | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

make_venv() {
  local base="$python $version $ros" options=()
  if [[ -f $base_stamp && $(< "$base_stamp") == "$base" ]] \
      && "$venv/bin/python" -m pip --version > /dev/null 2>&1; then
    say "going on with the $venv that is there"
    return
  fi
  say "making $venv with Python $version"
  if [[ $ros == ros ]]; then options=(--system-site-packages); fi
  "$python" -m venv --clear ${options[@]+"${options[@]}"} "$venv" \
    || die "$python -m venv failed; see above"
  touch "$venv/COLCON_IGNORE"
  echo "$base" > "$base_stamp"
}

install() {
  local pip=("$venv/bin/python" -m pip --disable-pip-version-check install --quiet) limits extras
  extras='sim,arm,train,cluster,export,dev'
  limits=$venv/constraints.txt
  if [[ $ros == ros ]]; then
    # An installed ROS 2 has its own versions; its messages need the numpy they were built for,
    # and from 4.12 on OpenCV's wheels need another.
    grep '^torch' constraints.txt > "$limits"
    "$venv/bin/python" -c 'import numpy, sys; sys.exit(numpy.__version__ >= "2")' \
      && printf '%s\n' 'numpy<2' 'opencv-python<4.12' 'opencv-python-headless<4.12' >> "$limits"
    say 'ROS 2 is sourced; installing torch and the other libraries (minutes, the first time)'
  else
    cp constraints.txt "$limits"
    extras+=',ros'
    say 'installing ROS 2, torch and the other libraries (minutes, the first time)'
  fi
  "${pip[@]}" --constraint "$limits" --editable ".[$extras]" \
    || die 'pip could not install what is needed; see above. Running this again goes on from here'
  keep_cv2_headless "${pip[@]}" --constraint "$limits"
  "$venv/bin/python" -c 'import cv2, numpy, rclpy, torch' \
    || die "the installation is not usable; see above. Remove $venv and run this again"
}

# gym-pusht brings opencv-python, whose cv2 needs libGL; ours must be the one that was put last.
keep_cv2_headless() {
  "$venv/bin/python" -c '
import cv2, sys
sys.exit("QT" in cv2.getBuildInformation().partition("GUI:")[2].split("\n")[0])' 2> /dev/null \
    || "$@" --force-reinstall --no-deps 'opencv-python-headless>=4.9,<5'
}

main() {
  choose_python
  local wanted
  wanted=$(fingerprint)
  if command -v flock > /dev/null; then exec 9> .venv.lock; flock 9; fi
  if [[ -f $stamp && $(< "$stamp") == "$wanted" && -x $venv/bin/dpr ]]; then return; fi
  rm -f "$stamp"
  make_venv
  install
  echo "$wanted" > "$stamp"
  say "ready: $venv"
}

main
