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

"""Reading the fields of a command, whatever class of message it is."""

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.errors import CommandRefused
from diffusion_policy_ros.messages import nanoseconds
import numpy as np

# The largest number that a command may have: beyond it, splines could overflow.
LARGEST = 1e100


def field(message, name, controller):
    """
    Return one field.

    :param message: The message, or a part of it.
    :param name: Name of the field.
    :param controller: Who wants it, for the error message.
    :return: What the field holds.
    :raises CommandRefused: if there is none.
    """
    try:
        return getattr(message, name)
    except AttributeError as error:
        raise CommandRefused(f'{controller} got a {type(message).__name__}, which has no field '
                             f'"{name}"; publish the type that this controller takes') from error


def numbers(values, where):
    """
    Copy a field of numbers.

    :param values: Sequence, such as a list, an ``array.array`` or a numpy array.
    :param where: What it is, for the error message.
    :return: float64 ``(K,)``.
    :raises CommandRefused: if it is anything else.
    """
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise CommandRefused(f'{where} is {shown(values)}; send a list of numbers') from error
    if array.ndim != 1:
        raise CommandRefused(f'{where} has the shape {array.shape}; send a flat list of numbers')
    return array


def time_ns(message, name, controller):
    """
    Return a field that is a time or a duration.

    :param message: The message, or a part of it.
    :param name: Name of the field.
    :param controller: Who wants it, for the error message.
    :return: ns.
    :raises CommandRefused: if there is none, or it does not have two whole numbers.
    """
    value = field(message, name, controller)
    try:
        return int(nanoseconds(value))
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise CommandRefused(f'{controller}: "{name}" is {shown(value)}; it must have the whole '
                             'numbers sec and nanosec') from error
