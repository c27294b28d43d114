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
"""rclpy's message classes by their ROS names."""

from importlib import import_module


class MessageClasses(dict):
    """Maps names such as ``sensor_msgs/msg/Image`` to classes, importing each on first use."""

    def __missing__(self, name):
        """
        Import a message class.

        :param name: Full ROS name, ``package/msg/Type``.
        :raises KeyError: if the name has another form or the package is not installed.
        """
        package, _, type_name = name.split('/')
        try:
            self[name] = getattr(import_module(f'{package}.msg'), type_name)
        except (ImportError, AttributeError) as error:
            raise KeyError(f'{name}: {error}; install the ROS package {package}') from error
        return self[name]


MESSAGE_CLASSES = MessageClasses()
