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

"""What a report says about the machine is what the system says."""

import os
from pathlib import Path

from diffusion_policy_ros import machine
import pytest


def test_the_facts_are_texts_and_name_the_cores_that_this_process_may_use():
    facts = machine.machine_facts()
    assert all(isinstance(text, str) and text for text in facts.values())
    if hasattr(os, 'sched_getaffinity'):
        assert int(facts['cores']) == len(os.sched_getaffinity(0))


def test_packages_that_are_not_installed_are_left_out():
    assert list(machine.package_versions(('numpy', 'no_such_package'))) == ['numpy']


@pytest.mark.parametrize('line, share', [
    # user nice system idle iowait irq softirq steal guest guest_nice
    ('cpu  160 20 30 9999 99 5 5 60 0 0', 0.375),
    ('cpu  100 20 30 5000 40 0 0 0 0 0', 0.0)])
def test_withheld_time_is_its_share_of_the_time_asked_for(monkeypatch, line, share):
    before = 'cpu  100 20 30 5000 40 0 0 18 0 0' if share else line
    lines = iter([before, line])
    monkeypatch.setattr(Path, 'read_text', lambda *_, **__: f'{next(lines)}\ncpu0 1 2 3\n')
    assert machine.WithheldTime().share() == pytest.approx(share)


def test_withheld_time_is_none_where_the_system_does_not_tell(monkeypatch):
    def fail(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(Path, 'read_text', fail)
    assert machine.WithheldTime().share() == 0.0
