# Copyright 2026 The diffusion_policy_ros authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""MuJoCo, imported here alone, so that a machine on which it cannot draw is told the remedy."""

import sys

from diffusion_policy_ros.errors import ConfigError

NO_EGL = ('MuJoCo cannot draw without a screen on this machine ({reason}); on Debian and Ubuntu: '
          'apt install libegl1 libgl1-mesa-dri')

__all__ = ['NO_EGL', 'mujoco']

try:
    import mujoco
except ModuleNotFoundError:
    raise
except RuntimeError as error:
    raise ConfigError(f'MuJoCo cannot draw: {error}; set MUJOCO_GL to "egl", "osmesa" or "glfw", '
                      'or unset it') from error
except (AttributeError, ImportError) as error:  # what PyOpenGL raises where there is no libEGL
    raise ConfigError(NO_EGL.format(reason=error)) from error


def _tell(text):
    """Pass a warning on; MuJoCo itself would append it to a file in the current folder too."""
    print(f'MuJoCo warns: {text}', file=sys.stderr)


mujoco.set_mju_user_warning(_tell)
