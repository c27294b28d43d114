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

"""What the audit of a dataset finds in its numbers, and in the statistics of them."""

from types import SimpleNamespace

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.evaluation.dataset.audit import audit_dataset
from diffusion_policy_ros.evaluation.dataset.channels import ChannelStudy
from diffusion_policy_ros.evaluation.dataset.outliers import OutlierCheck
from diffusion_policy_ros.share import share_path
import numpy as np
import pytest

CAMERA = 'observation.images.camera'


def test_values_that_are_not_finite(copy, audits):
    audits.edit_column(audits.data_file(copy, 2), 'observation.state', audits.put(8, 1, np.nan))
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'not finite')
    assert 'observation.state wrist: 1 values are not finite: episode 2 row 8 is nan' \
        in finding.text


@pytest.mark.parametrize('name', ['min', 'max', 'mean', 'std'])
def test_statistics_that_are_not_those_of_the_rows(copy, name, audits):
    def change(stats):
        stats['observation.state'][name][1] += 0.05

    audits.edit_json(copy / 'meta/stats.json', change)
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'statistics')
    assert f'{name} of wrist is ' in finding.text


@pytest.mark.parametrize('name, value, words', [
    ('count', [7], 'count is [7], there are 180 rows'),
    ('q99', [0.9, 40.0], 'q99 of wrist is 40, the episodes have ')])
def test_counts_and_quantiles_that_are_not_those_of_the_rows(copy, audits, name, value, words):
    audits.edit_json(copy / 'meta/stats.json',
                     lambda stats: stats['observation.state'].update({name: value}))
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'statistics')
    assert words in finding.text


@pytest.mark.parametrize('name, level', [('std', 'WARNING'), ('mean', 'ERROR')])
def test_a_deviation_may_have_lost_digits_in_float32(copy, name, level, audits):
    def change(stats):
        stats['observation.state'][name][1] += 0.0026  # of values up to 1

    audits.edit_json(copy / 'meta/stats.json', change)
    assert audits.found(copy) == [(level, 'statistics')]


def test_statistics_that_are_missing(copy, audits):
    audits.edit_json(copy / 'meta/stats.json', lambda stats: stats.pop('action'))
    assert 'action of meta/stats.json: it is missing' in audits.only(copy).text
    (copy / 'meta/stats.json').unlink()
    assert audits.found(copy) == [('ERROR', 'statistics')]


def test_statistics_of_pictures_of_another_camera(copy, audits):
    def change(stats):
        stats[CAMERA]['mean'] = [[[0.9]], [[0.9]], [[0.9]]]

    audits.edit_json(copy / 'meta/stats.json', change)
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('NOTE', 'statistics')
    assert 'the mean of the pictures is [0.9, 0.9, 0.9], they have [0.' in finding.text
    audits.edit_json(copy / 'meta/stats.json', lambda stats: stats[CAMERA].pop('mean'))
    assert audits.found(copy) == [('WARNING', 'statistics')]


def test_a_constant_entry_and_a_constant_action(tmp_path, audits):
    recipe = audits.Recipe()
    for state in recipe.state:
        state[:, 1] = 0.5
    finding = audits.only(recipe.write(tmp_path / 'state'))
    assert (finding.level, finding.check) == ('WARNING', 'constant')
    assert 'observation.state never changes in: wrist (always 0.5)' in finding.text
    recipe = audits.Recipe()
    recipe.action = [np.ones_like(action) for action in recipe.action]
    assert ('ERROR', 'constant') in audits.found(recipe.write(tmp_path / 'action'))


def study(key, names, values):
    """Study one episode of a column."""
    found = ChannelStudy(key, names, len(values))
    rows = SimpleNamespace(columns={key: np.array(values, np.float32)},
                           episode=SimpleNamespace(index=0))
    found.look(rows)
    return found, rows


@pytest.mark.parametrize('key, names, is_told', [
    ('observation.state', ('position.x', 'position.z'), []),
    ('observation.state', ('position.x', 'rotation.zx'), []),
    ('observation.state', ('x', 'gripper'), [('WARNING', 'constant')]),
    ('observation.environment_state', ('x', 'y'), []),
    ('observation.environment_state', ('x',), [])])
def test_an_entry_that_a_task_need_not_move_is_no_constant(key, names, is_told):
    """As the height of what lies on a table; but a column of which nothing moves is told."""
    moving = [[k, *[0.0] * (len(names) - 1)] for k in range(5)]
    assert [(f.level, f.check) for f in study(key, names, moving)[0].findings()] == is_told
    still = [[1.0] * len(names)] * 5
    assert len(study(key, names, still)[0].findings()) == 1


@pytest.mark.parametrize('key, name, is_told', [
    ('observation.state', 'elbow', True), ('observation.state', 'position.z', False),
    ('observation.environment_state', 'elbow', False)])
def test_an_object_or_a_pose_at_rest_is_not_clipped(key, name, is_told):
    values = [[min(k, 150)] for k in range(200)]
    found, rows = study(key, (name,), values)
    check = OutlierCheck(found)
    check.look(rows)
    assert [f.check for f in check.findings()] == ['clipped'] * is_told


@pytest.mark.parametrize('is_told', [True, False])
def test_a_beam_of_a_lidar_may_jump(is_told):
    contract = None if is_told else load_contract(share_path('config', 'robots', 'base.yaml'))
    key = 'observation.environment_state'
    names = contract.names_of(key) if contract else [f'entry_{k}' for k in range(38)]
    values = np.tile(0.01 * np.arange(300)[:, None], len(names))
    values[150:, 7] += 1.5  # the beam leaves the edge of the block
    found, rows = study(key, names, values)
    check = OutlierCheck(found, contract)
    check.look(rows)
    assert [f.check for f in check.findings()] == ['jumps'] * is_told
    values[150:, 37] += 1.5  # the goal, which is no beam
    found, rows = study(key, names, values)
    check = OutlierCheck(found, contract)
    check.look(rows)
    assert f'{names[37]}: 1 steps' in check.findings()[-1].text


def test_an_outlier_with_its_place_and_the_jump_there(tmp_path, audits):
    recipe = audits.Recipe()
    recipe.state[1][17, 0] = 40.0
    findings = audit_dataset(recipe.write(tmp_path / 'd')).findings
    assert [(f.level, f.check) for f in findings] == [('WARNING', 'outliers'),
                                                      ('WARNING', 'jumps')]
    assert 'observation.state elbow: 1 of 180 rows' in findings[0].text
    assert 'episode 1 row 17 (40)' in findings[0].text
    assert 'episode 1 row 17 (' in findings[1].text


def test_a_jump_within_the_usual_range(tmp_path, audits):
    recipe = audits.Recipe()
    for values in (*recipe.state, *recipe.action):
        values *= 0.05
        values += np.arange(len(values))[:, None] * 0.05
    recipe.action[2][35:, 1] -= 1.7
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert finding.check == 'jumps'
    assert 'action wrist: 1 steps' in finding.text
    assert 'episode 2 row 35' in finding.text


def test_a_gripper_may_jump_and_rest_at_its_ends(tmp_path, audits):
    recipe = audits.Recipe()
    for values in (*recipe.state, *recipe.action):
        values[:, 1] = np.where(np.arange(len(values)) < 30, 0.0, 0.04)
        values[:, 1] += (values is recipe.action[0]) * 0.0
    assert not audits.found(recipe.write(tmp_path / 'd'))


def test_values_that_rest_at_an_end_of_their_range(tmp_path, audits):
    recipe = audits.Recipe()
    recipe.action = [np.minimum(action, 0.7) for action in recipe.action]
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert (finding.level, finding.check) == ('NOTE', 'clipped')
    assert 'elbow is highest (0.7)' in finding.text
