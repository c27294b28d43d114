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

"""Shared files are found from where the package lies, however it was installed."""

from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.share import share_path
import pytest

MANIFEST = '<package><name>diffusion_policy_ros</name></package>'


def install(share):
    """Make a share folder with one config file."""
    (share / 'config').mkdir(parents=True)
    (share / 'package.xml').write_text(MANIFEST)
    (share / 'config' / 'a.yaml').touch()
    return share / 'config' / 'a.yaml'


def test_a_checkout_is_its_own_share_folder():
    assert share_path('config', 'robots', 'pusht.yaml').is_file()


@pytest.mark.parametrize('packages', [
    'lib/python3.11/site-packages', 'local/lib/python3.10/dist-packages', 'Lib/site-packages'])
def test_an_installation_has_it_under_the_same_prefix(tmp_path, packages):
    package = tmp_path / packages / 'diffusion_policy_ros'
    wanted = install(tmp_path / 'share' / 'diffusion_policy_ros')
    assert share_path('config', 'a.yaml', package_folder=package) == wanted


def test_the_manifest_of_another_package_is_passed_over(tmp_path):
    (tmp_path / 'ws').mkdir()
    (tmp_path / 'ws' / 'package.xml').write_text('<package><name>other</name></package>')
    wanted = install(tmp_path / 'share' / 'diffusion_policy_ros')
    package = tmp_path / 'ws' / 'diffusion_policy_ros'
    assert share_path('config', 'a.yaml', package_folder=package) == wanted


def test_a_missing_file_is_named(tmp_path):
    install(tmp_path)
    with pytest.raises(DiffusionPolicyError, match='b.yaml is missing from this copy'):
        share_path('config', 'b.yaml', package_folder=tmp_path / 'diffusion_policy_ros')


def test_a_package_without_share_folder_is_named(tmp_path):
    with pytest.raises(DiffusionPolicyError, match='no share folder.*install the package'):
        share_path('config', package_folder=tmp_path / 'diffusion_policy_ros')
