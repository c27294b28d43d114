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

"""Wrong usage: arguments that no input makes right; ``dpr`` exits with 2, as argparse does."""

from contextlib import contextmanager
import math

from diffusion_policy_ros.errors import DiffusionPolicyError, UsageError

LARGEST_SEED = 2**31 - 1


def check_range(name, value, low, high=math.inf):
    """
    Refuse a number outside its range; "not a number" is outside any.

    :param name: Name of the argument, without dashes.
    :param value: What was given; None where nothing was.
    :param low: Smallest value that will do.
    :param high: Largest one.
    :raises UsageError: naming all of them.
    """
    if value is None or low <= value <= high:
        return
    wanted = f'at least {_written(low)}' if high == math.inf else \
        f'from {_written(low)} to {_written(high)}'
    raise UsageError(f'--{name} is {_written(value)}; it must be {wanted}')


def check_share(name, value):
    """
    Refuse what does not lie between 0 and 1, both of which do not.

    :param name: Name of the argument, without dashes.
    :param value: What was given.
    :raises UsageError: naming both.
    """
    if not 0 < value < 1:
        raise UsageError(f'--{name} is {_written(value)}; it must be above 0 and below 1')


@contextmanager
def as_usage(before=''):
    """
    Take what is refused inside the context for wrong usage.

    :param before: Words before the refusal, such as the dashes of an option.
    :raises UsageError: in place of any refusal.
    """
    try:
        yield
    except UsageError:
        raise
    except (DiffusionPolicyError, ValueError) as error:
        raise UsageError(f'{before}{error}') from error


def _written(number):
    """Write a number as people do."""
    return f'{number:g}' if isinstance(number, float) else str(number)
