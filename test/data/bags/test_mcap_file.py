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

"""Chunks are unpacked as they are needed, and only few are kept."""

from diffusion_policy_ros.data.bags import mcap_file, ros1_file
from diffusion_policy_ros.data.bags.stored import Found
import pytest


@pytest.mark.parametrize('kind, module, opener', [
    ('mcap-zstd', mcap_file, mcap_file.McapFile), ('ros1-lz4', ros1_file, ros1_file.Ros1File)])
def test_few_chunks_are_kept_at_hand(tmp_path, strings, monkeypatch, kind, module, opener):
    """Memory stays bounded, and messages may be fetched in any order."""
    monkeypatch.setattr(module, 'CACHED_BYTES', 50_000)
    file = opener(strings.write(kind, tmp_path / 'bag', count=100))
    found = [item for item in file.scan() if isinstance(item, Found)]
    most, numbers = 0, [number * 37 % 100 for number in range(100)]
    for number in numbers:
        _, text, receive_ns = strings.truth(100)[number]
        data = file.fetch(found[number].where, found[number].offset)
        assert found[number].receive_ns == receive_ns and text.encode() in data
        most = max(most, sum(map(len, file._unpacked.values())))
    assert 0 < most <= 50_000
    file.close()
