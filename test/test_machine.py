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

from datetime import date
import os
from pathlib import Path
import shutil
import subprocess

from diffusion_policy_ros import machine
import pytest


def test_the_facts_are_texts_and_name_the_cores_that_this_process_may_use():
    facts = machine.machine_facts()
    assert all(isinstance(text, str) and text for text in facts.values())
    assert facts['date'] == date.today().isoformat()
    assert facts.get('commit') == machine.source_commit()
    if hasattr(os, 'sched_getaffinity'):
        assert int(facts['cores']) == len(os.sched_getaffinity(0))


def test_packages_that_are_not_installed_are_left_out():
    assert list(machine.package_versions(('numpy', 'no_such_package'))) == ['numpy']


def test_the_commit_is_that_of_the_checkout_with_a_mark_for_what_was_changed(tmp_path):
    if shutil.which('git') is None:
        pytest.skip('there is no git')
    package = tmp_path / 'checkout' / 'package'
    package.mkdir(parents=True)

    def git(*words):
        return subprocess.run(
            ['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *words], check=True,
            cwd=package, capture_output=True, text=True).stdout.strip()

    assert machine.source_commit(package) is None  # an installed copy
    git('init', '..')
    (package / 'file').write_text('one')
    git('add', 'file')
    git('commit', '-m', 'one')
    git('tag', 'v1')
    commit = git('rev-parse', '--short', 'HEAD')
    assert machine.source_commit(package) == commit
    (package / 'file').write_text('two')
    assert machine.source_commit(package) == f'{commit} and changes'


def test_there_is_no_commit_where_git_is_not_installed(tmp_path, monkeypatch):
    (tmp_path / '.git').mkdir()
    monkeypatch.setenv('PATH', str(tmp_path))
    assert machine.source_commit(tmp_path / 'package') is None


@pytest.mark.parametrize('line, share', [
    # user nice system idle iowait irq softirq steal guest guest_nice
    ('cpu  160 20 30 9999 99 5 5 60 0 0', 0.375),
    ('cpu  100 20 30 5000 40 0 0 0 0 0', 0.0)])
def test_withheld_time_is_its_share_of_the_time_asked_for(monkeypatch, line, share):
    before = 'cpu  100 20 30 5000 40 0 0 18 0 0' if share else line
    lines = iter([before, line])
    monkeypatch.setattr(Path, 'read_text', lambda *_, **__: f'{next(lines)}\ncpu0 1 2 3\n')
    assert machine.WithheldTime().share() == pytest.approx(share)


def test_other_programs_are_what_is_left_of_the_time_that_the_machine_was_busy(monkeypatch):
    ticks = os.sysconf('SC_CLK_TCK')
    lines = iter([f'cpu {user * ticks} 0 0 0 0 0 0 0 0 0\n' for user in (100, 107)])
    own, now = iter([(1, 1, 0, 0, 0), (2, 1, 2, 1, 0)]), iter([50.0, 52.0])
    monkeypatch.setattr(Path, 'read_text', lambda *_, **__: next(lines))
    monkeypatch.setattr(machine.os, 'times', lambda: next(own))
    monkeypatch.setattr(machine.time, 'monotonic', lambda: next(now))
    assert machine.OtherPrograms().cores() == (7 - 4) / 2


def test_withheld_time_is_none_where_the_system_does_not_tell(monkeypatch):
    def fail(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(Path, 'read_text', fail)
    assert machine.WithheldTime().share() == machine.OtherPrograms().cores() == 0.0
