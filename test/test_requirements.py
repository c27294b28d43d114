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

"""What is said about installing names this package's folder, or its place in a workspace."""

from pathlib import Path

from diffusion_policy_ros import requirements
from diffusion_policy_ros.requirements import install_command


def test_the_command_names_the_folder_that_the_package_runs_from():
    folder = Path(__file__).resolve().parents[1]
    assert install_command('arm') == f'pip install "{folder}[arm]"'


def test_an_installed_package_names_its_place_in_a_workspace(monkeypatch, tmp_path):
    monkeypatch.setattr(requirements, '__file__', str(tmp_path / 'site' / 'requirements.py'))
    assert install_command('ros') == 'pip install "./src/diffusion_policy_ros[ros]"'
