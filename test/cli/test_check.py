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

"""``dpr check``: what it prints, and what its exit code says."""

import os
import resource

from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
import numpy as np
import pytest

CONTRACT = """
robot: small
rate_hz: 10
observations:
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [elbow, wrist], max_age_ms: 150}
actions:
  - {topic: joint_commands, type: sensor_msgs/msg/JointState, joints: [elbow, wrist]}
"""
AGES_NS = {'joint_states': 0, 'joint_commands': 0}


@pytest.fixture
def dataset(tmp_path):
    """Write three episodes of noise."""
    rng = np.random.default_rng(3)
    with LeRobotWriter(tmp_path / 'data', parse_contract(CONTRACT)) as writer:
        for _ in range(3):
            for row in range(50):
                values = rng.normal(size=(2, 2)).astype(np.float32)
                writer.add_row({'observation.state': values[0], 'action': values[1]},
                               tick_ns=row * 10**8, ages_ns=AGES_NS)
            writer.save_episode('Move.')
    return tmp_path / 'data'


def test_a_good_dataset_passes(dataset, capsys):
    assert main(['check', str(dataset)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out == [f'{dataset}: LeRobotDataset v3.0, 150 rows in 3 episodes, 10 rows per second',
                   '0 ERROR, 0 WARNING, 0 NOTE']


def test_warnings_pass_too(dataset, capsys):
    (dataset / 'meta/contract.yaml').unlink()
    assert main(['check', str(dataset)]) == 0
    assert '0 ERROR, 1 WARNING, 0 NOTE' in capsys.readouterr().out


def test_a_rate_that_is_its_own_leaves_nothing_out(dataset, capsys):
    (dataset / 'meta/stats.json').unlink()
    assert main(['check', str(dataset), '--rate', '10']) == 3
    assert capsys.readouterr().out.startswith('ERROR    statistics: cannot read')
    assert main(['check', str(dataset), '--rate', '20']) == 3
    assert 'has 10 rows per second, and not' in capsys.readouterr().out


def test_an_error_fails_with_3_and_the_report_is_written(dataset, tmp_path, capsys):
    (dataset / 'meta/stats.json').unlink()
    assert main(['check', str(dataset), '--out', str(tmp_path / 'page.html')]) == 3
    captured = capsys.readouterr()
    assert captured.out.startswith('ERROR    statistics: cannot read')
    assert '1 ERROR, 0 WARNING, 0 NOTE' in captured.out
    assert f'report: {tmp_path / "page.html"}' in captured.err
    assert 'FAIL: 1 error' in (tmp_path / 'page.html').read_text()


def test_metadata_that_cannot_be_read_is_an_error_with_a_report(dataset, tmp_path, capsys):
    (dataset / 'meta/info.json').write_text('{')
    assert main(['check', str(dataset), '--out', str(tmp_path / 'page.html')]) == 3
    assert capsys.readouterr().out.startswith('ERROR    schema: cannot read')
    assert (tmp_path / 'page.html').is_file()


def test_what_is_no_dataset_fails_with_1(tmp_path, capsys):
    assert main(['check', str(tmp_path / 'nothing')]) == 1
    assert 'nothing does not exist' in capsys.readouterr().err
    assert main(['check', str(tmp_path)]) == 1
    assert 'is no dataset: it is neither a LeRobotDataset v3.0' in capsys.readouterr().err


def test_wrong_usage_fails_with_2(dataset, capsys):
    for rate in ('0', '-5', 'nan', 'inf'):
        assert main(['check', str(dataset), '--rate', rate]) == 2
        assert 'dpr check: --rate is ' in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(['check'])
    assert stopped.value.code == 2


def test_an_out_that_cannot_be_written_is_refused_first(dataset, tmp_path, capsys):
    assert main(['check', str(dataset), '--out', str(tmp_path / 'no' / 'page.html')]) == 1
    captured = capsys.readouterr()
    assert '--out is ' in captured.err
    assert not captured.out


def test_a_pipe_is_not_replaced_by_the_report(dataset, tmp_path, capsys):
    pipe = tmp_path / 'page.html'
    os.mkfifo(pipe)
    assert main(['check', str(dataset), '--out', str(pipe)]) == 1
    assert '--out is ' in capsys.readouterr().err
    assert pipe.is_fifo()


@pytest.mark.parametrize('stood', [None, 'the page of before'])
def test_a_full_disk_is_an_error_in_one_line_that_leaves_nothing(dataset, tmp_path, capsys, stood):
    page = tmp_path / 'page.html'
    if stood:
        page.write_text(stood)
    before = sorted(tmp_path.rglob('*'))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2500, hard))
    try:
        code = main(['check', str(dataset), '--out', str(page)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1
    said = capsys.readouterr().err.splitlines()
    assert said == [f'dpr check: cannot write the report {page}: File too large; make room on the '
                    'disk, or have it written to another place with dpr check --out']
    assert sorted(tmp_path.rglob('*')) == before
    assert not stood or page.read_text() == stood


def test_a_contract_that_differs_is_an_error(dataset, tmp_path, capsys):
    path = tmp_path / 'other.yaml'
    path.write_text(CONTRACT.replace('[elbow, wrist]}', '[wrist, elbow]}'))
    assert main(['check', str(dataset), '--contract', str(path)]) == 3
    assert "action names: recorded with ['elbow', 'wrist'], --contract has ['wrist', 'elbow']" \
        in capsys.readouterr().out


def test_help_tells_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(['check', '--help'])
    assert '0 no ERROR, 3 at least one ERROR' in ' '.join(capsys.readouterr().out.split())
