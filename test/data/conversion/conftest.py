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

"""What the tests of conversions share: bags of given messages, and their conversion."""

from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.conversion.conversion import convert_bags
import pytest

PERIOD_NS = 10**8


class BagWriter:
    """Writes bags of messages of the small contract."""

    def __init__(self, demonstration):
        self.demonstration = demonstration

    def write(self, folder, messages):
        """Write a bag of (topic, message, receive_ns) in the order given."""
        demonstration = self.demonstration
        with EpisodeBag(folder, demonstration.contract, task='t') as bag:
            for topic, message, receive_ns in messages:
                kind = demonstration.streams[topic].type
                bag.write(topic, kind, demonstration.typestore.serialize_cdr(message, kind),
                          receive_ns)
        return folder

    def without(self, folder, rows, missing):
        """Write a bag that lacks the pictures of some rows."""
        return self.write(folder, [
            m for m in self.demonstration.messages(rows)
            if m[0] != 'camera/image_raw' or (m[2] // PERIOD_NS) % 1000 not in missing])

    def second_pass(self, rows, shift_ns):
        """List the messages of rows at other times than their own."""
        return [(topic, self.demonstration.message(topic, k, t - shift_ns), t - shift_ns)
                for k in rows for topic, _, t in self.demonstration.messages([k])]


@pytest.fixture(scope='session')
def bag_writer(demonstration):
    """Give the writer."""
    return BagWriter(demonstration)


@pytest.fixture
def convert(tmp_path):
    """Return a function that converts without loss and without a progress bar."""
    def run(*bags, **options):
        return convert_bags(list(bags), tmp_path / 'dataset', codec='h264-lossless',
                            progress=False, **options)
    return run
