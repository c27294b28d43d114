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
"""The warning about images that the middleware would lose, and the profile that prevents it."""

from pathlib import Path
from xml.etree import ElementTree

from diffusion_policy_ros.dds_profile import transport_warning
import pytest

PROFILE = Path(__file__).parents[1] / 'config/fastdds.xml'
BIG, SMALL = 640 * 480 * 3, 96 * 96 * 3
FAST = 'rmw_fastrtps_cpp'


def test_big_images_without_a_profile_are_warned_about_with_the_remedy():
    warning = transport_warning(BIG, FAST, {})
    assert '0.9 MB' in warning and 'is not set' in warning and 'config/fastdds.xml' in warning


def test_a_profile_that_does_not_exist_is_named():
    assert '/no/file.xml, which does not exist' in transport_warning(
        BIG, FAST, {'FASTDDS_DEFAULT_PROFILES_FILE': '/no/file.xml'})


@pytest.mark.parametrize('image_bytes, rmw, environment', [
    (SMALL, FAST, {}), (BIG, 'rmw_cyclonedds_cpp', {}),
    (BIG, FAST, {'FASTDDS_DEFAULT_PROFILES_FILE': str(PROFILE)}),
    (BIG, FAST, {'ROS_DISTRO': 'jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE': str(PROFILE)}),
    (BIG, FAST, {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'})])
def test_there_is_no_warning_where_nothing_gets_lost(image_bytes, rmw, environment):
    assert transport_warning(image_bytes, rmw, environment) == ''


def test_the_name_that_this_distribution_does_not_read_counts_for_nothing():
    old_name_only = {'FASTRTPS_DEFAULT_PROFILES_FILE': str(PROFILE)}
    assert 'FASTDDS_DEFAULT_PROFILES_FILE is not set' in transport_warning(
        BIG, FAST, old_name_only)


def test_the_profile_has_a_segment_for_several_images():
    root = ElementTree.parse(PROFILE).getroot()
    sizes = [element.text for element in root.iter() if element.tag.endswith('segment_size')]
    assert [int(size) for size in sizes] == [32 * 1024 * 1024]
