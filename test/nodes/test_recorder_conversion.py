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

"""However a conversion ends, what is told of it is true."""

import threading

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.conversion import conversion
from diffusion_policy_ros.data.conversion.conversion import ConversionSummary, convert_bags
from diffusion_policy_ros.errors import ConfigError, DatasetError
from diffusion_policy_ros.evaluation.bench_bag import FRAME_BYTES, write_bench_bag
from diffusion_policy_ros.nodes import recorder_conversion
from diffusion_policy_ros.nodes.recorder_conversion import RecorderConversion
import pytest

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.fixture
def folder(tmp_path):
    """Make an output folder with one finished episode; what is in it is read by no test."""
    (tmp_path / 'bags/episode_000000').mkdir(parents=True)
    (tmp_path / 'bags/episode_000000/metadata.yaml').touch()
    return tmp_path


def begin(folder, contract=None):
    """Ask for a conversion; return it, and the answer."""
    asked = RecorderConversion(
        contract, {'output': str(folder / 'bags'), 'dataset': str(folder / 'dataset')}, '/status')
    return asked, asked.begin(is_repairing=False)


def end_of(folder, contract=None):
    """Convert, and return what is told in the end."""
    before = set(threading.enumerate())
    asked, answer = begin(folder, contract)
    assert answer.success, answer.message
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=60)
    assert asked.is_running
    end = asked.take_end()
    assert not asked.is_running and asked.take_end() is None
    return end


def leave_unfinished(folder):
    """Add an episode that the recorder did not close."""
    episode = folder / 'bags/episode_000001'
    episode.mkdir()
    (episode / 'unfinished.json').write_text('{}')
    (episode / 'episode_000001_0.mcap').touch()


@pytest.mark.parametrize('found, level, told', [
    ({}, OK, 'dataset: 9 rows in 1 episodes from 2 bags'),
    ({'notes': ['a: split']}, OK, '2 bags; a: split'),
    ({'skipped': 1, 'notes': ['a: skipped: gone']}, WARN, '2 bags; a: skipped: gone'),
    ({'warnings': ['b: nothing could be used of its last 9.0 s']}, WARN,
     '2 bags; b: nothing could be used of its last 9.0 s'),
    ({'episodes': 0, 'rows': 0, 'skipped': 2, 'notes': ['a: skipped: gone']}, ERROR,
     'dataset was not written: 0 rows in 0 episodes from 2 bags; a: skipped: gone')])
def test_what_is_missing_is_named_and_is_not_ok(monkeypatch, folder, found, level, told):
    """Though a folder of that name is there when that is asked."""
    summary = ConversionSummary(**{'bags': 2, 'episodes': 1, 'rows': 9, **found})

    def convert(bags, dataset, **options):
        (folder / 'dataset').mkdir()
        return summary

    monkeypatch.setattr(recorder_conversion, 'convert_bags', convert)
    sentence, got = end_of(folder)
    assert got == level and sentence.endswith(told)


def test_an_episode_that_is_not_finished_is_named_and_is_not_ok(monkeypatch, folder):
    given = []
    leave_unfinished(folder)
    monkeypatch.setattr(recorder_conversion, 'convert_bags', lambda bags, *args, **options: (
        given.extend(bags) or ConversionSummary(bags=1, episodes=1, rows=9)))
    sentence, level = end_of(folder)
    assert [bag.name for bag in given] == ['episode_000000']
    assert level == WARN
    assert 'episode_000001 is being recorded, or was not closed, and was passed over' in sentence


def test_without_a_finished_episode_it_is_said_why(folder):
    (folder / 'bags/episode_000000').rename(folder / 'away')
    assert begin(folder)[1].message == (
        f'{folder}/bags holds no bag: neither metadata.yaml nor a file ending in .mcap or .db3 or '
        '.bag or .bag.active or .mcap.zstd or .db3.zstd was found')
    leave_unfinished(folder)
    answer = begin(folder)[1]
    assert not answer.success and 'episode_000001 is being recorded, or was' in answer.message
    assert begin(folder / 'absent')[1].message == f'{folder}/absent/bags does not exist'


@pytest.mark.parametrize('error, told', [
    (DatasetError('dataset exists'), 'dataset exists; for this node, --out is the parameter '
                                     'dataset'),
    (ConfigError('no option --out'), 'no option --out'),
    (OSError('disk full'), 'OSError: disk full'),
    (ZeroDivisionError('x'), 'ZeroDivisionError: x')])
def test_a_failure_is_told_as_one_though_a_dataset_is_there(monkeypatch, folder, error, told):
    def fail(*arguments, **options):
        (folder / 'dataset').mkdir()
        raise error

    monkeypatch.setattr(recorder_conversion, 'convert_bags', fail)
    monkeypatch.setattr(threading, 'excepthook', lambda arguments: None)
    assert end_of(folder) == (f'conversion failed: {told}', ERROR)


def test_what_is_there_is_refused_naming_the_parameter(folder):
    (folder / 'dataset').mkdir()
    answer = begin(folder)[1]
    assert not answer.success
    assert answer.message.startswith(f'{folder}/dataset exists already and is never overwritten; '
                                     'set the parameter dataset')
    assert f'"dpr edit {folder}/dataset --append MORE"' in answer.message


def test_nothing_is_converted_while_episodes_are_being_repaired(folder):
    asked = RecorderConversion(None, {'output': str(folder / 'bags')}, '/status')
    answer = asked.begin(is_repairing=True)
    assert answer.is_refusal and answer.message == (
        'episodes that were not closed are being repaired, and would not be in the dataset; '
        '/status tells of each, ask again after that')
    assert not asked.is_running


def test_a_conversion_that_was_interrupted_goes_on(tmp_path, monkeypatch):
    """And that of other bags is left alone, and told."""
    write_bench_bag(tmp_path / 'bags/episode_000000', 20 * FRAME_BYTES)
    with open_bag(tmp_path / 'bags/episode_000000') as bag:
        contract = bag.contract

    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(conversion, '_finish', stop)
        convert_bags([tmp_path / 'bags/episode_000000'], tmp_path / 'dataset', contract=contract,
                     progress=False)
    assert (tmp_path / 'dataset.part').exists()
    (tmp_path / 'bags/episode_000000').rename(tmp_path / 'bags/episode_000001')
    sentence, level = end_of(tmp_path, contract)
    assert level == ERROR and 'dataset.part is left of a conversion with other bags' in sentence
    (tmp_path / 'bags/episode_000001').rename(tmp_path / 'bags/episode_000000')
    monkeypatch.setattr('diffusion_policy_ros.data.conversion.workers.convert_piece', stop)
    sentence, level = end_of(tmp_path, contract)
    assert level == OK and sentence == f'{tmp_path}/dataset: 10 rows in 1 episodes from 1 bags'
    assert not (tmp_path / 'dataset.part').exists()
