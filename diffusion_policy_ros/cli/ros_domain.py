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

"""Keep the ROS domains of demos on one machine apart."""

from contextlib import contextmanager
import socket

from diffusion_policy_ros.errors import ConfigError

# Above what people use by hand, and within what every operating system allows.
DOMAIN_IDS = range(90, 102)
MAX_DOMAIN_ID = 101
# Ports of a domain (DDSI-RTPS 2.3, section 9.6.2): 250 of them, in which participant n listens at
# number 10 + 2 n. The last one would be that of participant 119; nobody else uses it.
FIRST_PORT, PORTS_PER_DOMAIN, FIRST_PARTICIPANT, LAST_PORT = 7400, 250, 10, 249
PARTICIPANTS_LOOKED_FOR = 10


@contextmanager
def hold_domain(wanted=None):
    """
    Keep a ROS domain from all other demos on this machine while the ``with`` block runs.

    A domain is held with a UDP port, so that the end of the process, whatever its cause, frees it.
    One where a node of this machine is, is not taken: it may be a robot that would obey.

    :param wanted: The domain; None takes the first from 90 to 101 that no ROS node of this
        machine is using.
    :return: The domain.
    :raises ConfigError: if another demo or a node uses the domain, or none is free.
    """
    for domain_id in DOMAIN_IDS if wanted is None else [wanted]:
        port = _bind(domain_id, LAST_PORT)
        if port is None:
            continue
        with port:
            if _is_quiet(domain_id):
                yield domain_id
                return
    if wanted is None:
        raise ConfigError(f'every ROS domain from {DOMAIN_IDS[0]} to {DOMAIN_IDS[-1]} is in use '
                          'on this machine; name one from 0 to 89 with --domain')
    if port is None:
        raise ConfigError(f'another demo on this machine uses ROS domain {wanted}; wait for its '
                          'end, or choose another one with --domain')
    raise ConfigError(f'a ROS node on this machine uses ROS domain {wanted}, and may be a robot '
                      'that would obey; end all of them there (ROS_DOMAIN_ID='
                      f'{wanted} ros2 daemon stop ends that of the command ros2), or choose '
                      'another one with --domain')


def _is_quiet(domain_id):
    """Tell whether no ROS node of this machine listens on a domain."""
    for participant in range(PARTICIPANTS_LOOKED_FOR):
        port = _bind(domain_id, FIRST_PARTICIPANT + 2 * participant)
        if port is None:
            return False
        port.close()
    return True


def _bind(domain_id, number):
    """Return a socket at one of a domain's ports, None where the port is taken."""
    port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        port.bind(('127.0.0.1', FIRST_PORT + PORTS_PER_DOMAIN * domain_id + number))
    except OSError:
        port.close()
        return None
    return port
