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
"""The file format of ROS parameters: which sections are for which nodes."""

PARAMETERS = 'ros__parameters'


def parameter_sections(content, above='') -> list:
    """
    Return the parameters that a file of ROS holds, as rcl_yaml_param_parser reads it.

    Names of namespaces and nodes may be written as one key (``/**/arm``) or as keys within keys.

    :param content: What the YAML file holds, a dict.
    :param above: Where it stands within the file, names joined with ``/``.
    :return: List of (name of a node with its namespaces, in which ``*`` and ``**`` may stand for
        any; dict of its parameters), in the order of the file.
    """
    found = []
    for key, value in content.items():
        if not isinstance(value, dict):
            continue
        name = f'{above}/{str(key).strip("/")}'
        own = value.get(PARAMETERS)
        if isinstance(own, dict):
            found.append((name, own))
        found += parameter_sections(
            {inner: below for inner, below in value.items() if inner != PARAMETERS}, name)
    return found
