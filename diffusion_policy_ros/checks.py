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

"""Refusals that contracts, configurations and parameters share: choices and misspelt names."""

import difflib
import math
import reprlib

LARGEST = 1e300

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 80


def shown(value) -> str:
    """
    Write a value for an error message, shortened where it is long or deeply nested.

    :param value: Anything.
    """
    return _short.repr(value)


def check_choice(where, value, choices, error):
    """
    Refuse a value that is not one of the choices.

    :param where: What the value is, for the error message.
    :param value: What was found.
    :param choices: What is possible, in the order in which it is listed.
    :param error: Exception type to raise.
    :raises error: naming the place, the value and the choices.
    """
    if value not in choices:
        raise error(f'{where} is {shown(value)}; choose one of: {", ".join(map(str, choices))}')


def told(error) -> str:
    """
    Say what an exception says, of a file without the number and the path that a sentence names.

    :param error: The exception.
    """
    if isinstance(error, FileNotFoundError):
        return 'there is no such file'
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, UnicodeDecodeError):
        return f'byte {error.start} belongs to no text in UTF-8'
    return str(error)


def is_encodable(text) -> bool:
    """
    Tell whether a text can be written in UTF-8, as files of datasets are.

    :param text: The text. One that stands for bytes which are no UTF-8 cannot.
    """
    try:
        text.encode('utf-8')
    except UnicodeEncodeError:
        return False
    return True


def first_of(sentences, most=3) -> str:
    """
    Join the first of some sentences, and say how many more there are.

    :param sentences: List of texts.
    :param most: How many are written out.
    """
    more = len(sentences) - most
    return '; '.join(sentences[:most]) + (f'; and {more} more' if more > 0 else '')


def is_number(value) -> bool:
    """
    Tell whether a value is a finite number of reasonable size, and not a switch.

    :param value: Anything; whole numbers of any length are fine to ask about.
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool) \
        and -LARGEST <= value <= LARGEST


def is_count(value, least=1, most=math.inf) -> bool:
    """
    Tell whether a value is a whole number within some bounds, and not a switch.

    :param value: Anything.
    :param least: Smallest number that will do.
    :param most: Largest number that will do.
    """
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def suggestion(name, known):
    """
    Say what an unknown name may have been meant to be.

    :param name: The unknown name; it need not be a text.
    :param known: All known names.
    :return: The nearest known name as a question, or all of them where none is near.
    """
    close = difflib.get_close_matches(str(name), known, n=1)
    return f'did you mean "{close[0]}"?' if close else f'known: {", ".join(known)}'
