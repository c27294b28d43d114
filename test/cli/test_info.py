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

"""``dpr info``: every kind of thing is told apart, and what is said of it is true."""

import json
from pathlib import Path
import shutil

from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.data.topic_messages import build_topic
import numpy as np
import pytest
from rosbags.typesys import get_typestore, Stores
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / 'shared' / 'data'
START_NS = 1_700_000_000_000_000_000
CONTRACT = """
robot: small
rate_hz: 10
observations:
  - {key: observation.images.front, topic: camera/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 12, width: 16}, max_age_ms: 150}
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [elbow, wrist], max_age_ms: 150}
actions:
  - {topic: joint_commands, type: sensor_msgs/msg/JointState, joints: [elbow, wrist]}
"""


@pytest.fixture
def contract():
    """Give the contract."""
    return parse_contract(CONTRACT)


def facts(path, capsys):
    """Return what ``dpr info --json`` says."""
    assert main(['info', '--json', str(path)]) == 0
    return json.loads(capsys.readouterr().out)


def text(path, capsys):
    """Return what ``dpr info`` says."""
    assert main(['info', str(path)]) == 0
    return capsys.readouterr().out


def write_bag(folder, contract, count=21, more=None, **options):
    """Write joint states at 20 Hz."""
    store = get_typestore(Stores.LATEST)
    stream = contract.streams_of('observation.state')[0]
    with EpisodeBag(folder, contract, task='Move it.',
                    fields={'outcome': 'success', **(more or {})}, **options) as bag:
        for k in range(count):
            message = build_topic([(stream, np.zeros(2))], store.types, START_NS + k * 50_000_000)
            bag.write(stream.topic, stream.type, store.serialize_cdr(message, stream.type),
                      START_NS + k * 50_000_000)
    return folder


@pytest.mark.parametrize('compress, words', [(True, 'chunks, zstd'), (False, 'none')])
def test_a_bag(tmp_path, contract, capsys, compress, words):
    found = facts(write_bag(tmp_path / 'bag', contract, compress=compress), capsys)
    assert (found['kind'], found['storage'], found['compression']) == ('bag', 'mcap', words)
    assert (found['start_ns'], found['duration_s'], found['messages']) == (START_NS, 1.0, 21)
    assert found['size_bytes'] == sum(f.stat().st_size for f in (tmp_path / 'bag').iterdir())
    assert found['custom data']['task'] == 'Move it.'
    assert found['custom data']['outcome'] == 'success'
    assert found['contract'].startswith('robot small, 10 Hz')
    assert found['losses'] == 'none'
    assert found['topics'] == [{'topic': '/joint_states', 'type': 'sensor_msgs/msg/JointState',
                                'messages': 21, 'promised': 21, 'rate_hz': 20.0}]


def test_a_bag_in_words(tmp_path, contract, capsys):
    out = text(write_bag(tmp_path / 'bag', contract), capsys).splitlines()
    assert 'duration     1.0 s' in out
    assert 'start        2023-11-14 22:13:20.000+00:00' in out
    assert any(line.split() == ['task:', 'Move', 'it.'] for line in out) \
        or 'custom data  task: Move it.' in out
    assert out[-1].split() == ['/joint_states', 'sensor_msgs/msg/JointState', '21', '21', '20.0',
                               'Hz']


def test_what_a_bag_lost_is_told(tmp_path, contract, capsys):
    folder = write_bag(tmp_path / 'bag', contract, count=20_000, compress=False)
    file, = folder.glob('*.mcap')
    file.write_bytes(file.read_bytes()[:file.stat().st_size * 7 // 10])
    found = facts(folder, capsys)
    topic, = found['topics']
    assert 0 < topic['messages'] < topic['promised'] == 20_000
    assert any('truncated' in sentence for sentence in found['losses'])


def test_a_contract_in_a_bag_that_cannot_be_used(tmp_path, contract, capsys):
    folder = write_bag(tmp_path / 'bag', contract)
    path = folder / 'metadata.yaml'
    path.write_text(path.read_text().replace('rate_hz: 10', 'rate_hz: -1'))
    assert 'one that cannot be used: ' in facts(folder, capsys)['contract']


@pytest.mark.skipif(not (SHARED / 'bags').is_dir(), reason='no recorded bags')
@pytest.mark.parametrize('name, storage, compression, messages', [
    ('turtlesim_teleop/subset', 'sqlite3', 'none', 2720),
    ('ros1/example.bag', 'ROS 1 bag', 'none', 8647),
    ('rosbag2_official_compressed/message_compression', 'sqlite3', 'each message, zstd', 1127),
    ('rosbag2_official_compressed/file_compression', 'sqlite3', 'whole files, zstd', 775)])
def test_bags_of_others(capsys, name, storage, compression, messages):
    found = facts(SHARED / 'bags' / name, capsys)
    assert (found['storage'], found['compression']) == (storage, compression)
    assert found['messages'] == messages


def write_dataset(folder, contract, **options):
    """Write two episodes of 5 and 8 rows."""
    with LeRobotWriter(folder, contract, **options) as writer:
        for length, task in ((5, 'Open.'), (8, 'Close.')):
            for row in range(length):
                writer.add_row(
                    {'observation.images.front': np.zeros((12, 16, 3), np.uint8),
                     'observation.state': np.full(2, row, np.float32),
                     'action': np.zeros(2, np.float32)}, tick_ns=row * 10**8,
                    ages_ns=dict.fromkeys(('camera/image_raw', 'joint_states', 'joint_commands'),
                                          0))
            writer.save_episode(task)
    return folder


def test_a_dataset(tmp_path, contract, capsys):
    found = facts(write_dataset(tmp_path / 'd', contract), capsys)
    assert (found['kind'], found['format']) == ('dataset', 'LeRobotDataset v3.0')
    assert (found['rows'], found['episodes'], found['rate_hz']) == (13, 2, 10)
    assert found['duration_s'] == pytest.approx(1.3)
    assert found['rows per episode'] == '5 to 8, median 6.5'
    assert found['tasks'] == ['Open.', 'Close.']
    features = {row['name']: row for row in found['features']}
    assert features['observation.images.front']['content'] == 'h264 yuv444p, 10 frames per s'
    assert features['observation.state']['content'] == 'elbow, wrist'
    assert features['action']['shape'] == [2]
    assert 'robot small, 10 Hz' in found['contract']


def test_pictures_in_no_video_are_not_named_one_by_one(tmp_path, contract, capsys):
    found = facts(write_dataset(tmp_path / 'd', contract, codec='png'), capsys)
    assert [row['content'] for row in found['features'] if row['dtype'] == 'image'] == ['pictures']


@pytest.mark.parametrize('kind', ['zarr', 'hdf5'])
def test_a_dataset_of_another_format(tmp_path, contract, capsys, kind):
    path = tmp_path / f'd.{kind}'
    assert main(['convert', str(write_dataset(tmp_path / 'd', contract)), '--to', kind,
                 '--out', str(path)]) == 0
    capsys.readouterr()
    found = facts(path, capsys)
    assert (found['format'], found['rows'], found['episodes']) == (kind, 13, 2)
    assert found['tasks'] == ['Open.', 'Close.']
    features = {row['name']: row for row in found['features']}
    assert features['observation.images.front']['content'] == 'pictures'


def test_the_success_tags_of_a_dataset_are_counted(tmp_path, contract, capsys):
    """A dataset of others has none, and a record of other episodes is not believed."""
    folder = write_dataset(tmp_path / 'd', contract)
    assert facts(folder, capsys)['outcomes'] == 'not known'
    record = folder / 'meta/conversion.json'
    record.write_text(json.dumps({'episode_list': [
        {'rows': 5, 'success': True}, {'rows': 8, 'success': None}]}))
    assert facts(folder, capsys)['outcomes'] == '1 success, 0 failure, 1 without a tag'
    assert facts(folder, capsys)['alarms'] == 'not watched'
    record.write_text(json.dumps({'episode_list': [
        {'rows': 5, 'alarms': ['gap']}, {'rows': 8, 'repaired': '9 messages'}]}))
    assert facts(folder, capsys)['alarms'] == '1 episodes with alarms: 0; 1 of a repaired bag: 1'
    record.write_text(json.dumps({'episode_list': [{'rows': 6, 'success': True}]}))
    assert facts(folder, capsys)['outcomes'].startswith('not known: ')


def test_a_dataset_whose_video_is_gone_is_still_described(tmp_path, contract, capsys):
    folder = write_dataset(tmp_path / 'd', contract)
    shutil.rmtree(folder / 'videos')
    assert 'file-000.mp4 is missing' in text(folder, capsys)
    video = folder / 'videos/observation.images.front/chunk-000/file-000.mp4'
    video.parent.mkdir(parents=True)
    video.write_bytes(b'no video')
    assert 'file-000.mp4 cannot be read' in text(folder, capsys)


def test_a_contract_in_a_dataset_that_cannot_be_used(tmp_path, contract, capsys):
    folder = write_dataset(tmp_path / 'dataset', contract)
    (folder / 'meta/contract.yaml').write_text('robot: [')
    assert facts(folder, capsys)['contract'].startswith('one that cannot be used: ')
    (folder / 'meta/contract.yaml').write_text(CONTRACT.replace('rate_hz: 10', 'rate_hz: 20'))
    assert 'contradicts' in facts(folder, capsys)['contract']


def test_a_checkpoint(capsys):
    pytest.importorskip('torch')
    model = ROOT / 'models' / 'pusht_image'
    found = facts(model, capsys)
    weights = load_file(model / 'model.safetensors')
    assert found['weights'] == sum(tensor.size for tensor in weights.values())
    assert found['stored as'] == 'F16'
    assert found['policy'] == ('diffusion: light_cnn and spatial softmax, FiLM U-Net '
                               '64-128-256, predicts epsilon')
    assert found['window'] == '2 observations in, 16 rows out, 8 executed'
    assert found['inputs'] == ['observation.images.camera [3, 96, 96]', 'observation.state [2]']
    assert 'dpm_solver++' in found['sampler'] and 'num_inference_steps 10' in found['sampler']
    assert found['model card']['Sampler'] == 'DPM-Solver++ 2M, 10 steps'
    out = text(model, capsys)
    assert len(out.splitlines()) < 40  # a screen
    for value in found['model card'].values():
        assert len(value) > 700 or ' '.join(value.split()) in ' '.join(out.split())


def test_a_checkpoint_of_a_transformer_without_cameras(tmp_path, capsys):
    pytest.importorskip('torch')
    from diffusion_policy_ros.config import PolicyConfig
    from diffusion_policy_ros.policy import Policy
    document = parse_contract(CONTRACT).to_dict()
    document['observations'] = document['observations'][1:]
    robot, numbers = parse_contract(json.dumps(document)), {'min': [0.0] * 2, 'max': [1.0] * 2}
    Policy.from_dataset(PolicyConfig.from_contract(
        robot, denoiser={'type': 'transformer', 'dim': 16, 'layers': 2}),
        {'observation.state': numbers, 'action': numbers}, robot).save(tmp_path / 'model')
    assert facts(tmp_path / 'model', capsys)['policy'] == \
        'diffusion_policy_ros: causal Transformer of 2 layers of 16, predicts epsilon'


@pytest.mark.parametrize('name', [
    'model.safetensors', 'policy_preprocessor_step_3_normalizer_processor.safetensors'])
def test_a_checkpoint_with_a_file_that_is_cut_off_or_missing(tmp_path, capsys, name):
    pytest.importorskip('torch')
    folder = Path(shutil.copytree(ROOT / 'models' / 'pusht_image', tmp_path / 'model'))
    (folder / name).write_bytes(b'\x10')
    assert main(['info', str(folder)]) == 1
    assert f'{name} is not the file that the policy was saved with' in capsys.readouterr().err
    (folder / name).unlink()
    assert main(['info', str(folder)]) == 1
    assert f'{name} is missing' in capsys.readouterr().err


def test_what_is_none_of_them_is_one_sentence(tmp_path, capsys):
    (tmp_path / 'notes.txt').write_text('hello')
    for path, words in ((tmp_path / 'notes.txt', 'is neither a bag (metadata.yaml, or a file '
                         'ending in .mcap, .db3 or .bag), nor a dataset (meta/info.json, zarr, '
                         'HDF5), nor a checkpoint (config.json)'),
                        (tmp_path / 'nothing', 'does not exist')):
        assert main(['info', str(path)]) == 1
        captured = capsys.readouterr()
        assert words in captured.err
        assert len(captured.err.splitlines()) == 1


def test_a_path_that_cannot_be_looked_at_is_one_sentence(tmp_path, capsys):
    assert main(['info', str(tmp_path / ('a' * 300))]) == 1
    said = capsys.readouterr().err
    assert 'cannot be read: [Errno 36] File name too long' in said and said.count('\n') == 1


def test_a_bag_without_messages_has_no_times(tmp_path, contract, capsys):
    found = facts(write_bag(tmp_path / 'bag', contract, count=0), capsys)
    assert (found['start_ns'], found['duration_s'], found['messages']) == (None, None, 0)
    assert '1970' not in text(tmp_path / 'bag', capsys)


def test_a_folder_of_bags_is_a_table(tmp_path, contract, capsys):
    write_bag(tmp_path / 'a', contract, more={'alarms': 'gap on /camera\nrate of /joint_states'})
    write_bag(tmp_path / 'deep/b', contract, count=41, more={'alarms': ''})
    write_bag(tmp_path / 'c', contract)
    file, = (tmp_path / 'c').glob('*.mcap')
    file.write_bytes(b'no bag at all')
    found = facts(tmp_path, capsys)
    assert (found['kind'], found['number of bags']) == ('bags', 3)
    assert (found['messages'], found['duration_s']) == (62, 3.0)
    first, broken, second = found['bags']
    assert first == {
        'bag': 'a', 'start_ns': START_NS, 'duration_s': 1.0, 'messages': 21,
        'size_bytes': sum(f.stat().st_size for f in (tmp_path / 'a').iterdir()),
        'outcome': 'success', 'alarms': 2, 'losses': 'none'}
    assert (second['bag'], second['messages'], second['alarms']) == ('deep/b', 41, 'none')
    assert (broken['messages'], broken['alarms']) == (None, 'not watched')
    assert 'is no mcap, sqlite3 or ROS 1 file' in broken['losses']
    assert [line.split()[0] for line in text(tmp_path, capsys).splitlines()[-4:]] == [
        'bag', 'a', 'c', 'deep/b']


def test_it_is_told_how_far_the_look_at_many_bags_is(tmp_path, contract, capsys, monkeypatch):
    monkeypatch.setattr('diffusion_policy_ros.data.progress.LINE_EVERY_S', 0)
    for name in 'ab':
        write_bag(tmp_path / name, contract)
    assert main(['info', str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert said.startswith('reading bags: 50 % after') and 'reading bags: 100 %' in said


def test_the_recorders_alarms_and_repair_are_told_in_full(tmp_path, contract, capsys):
    alarms = [f'{topic}: a sentence that says in many words what happened there, and when it did '
              'so for the first and for the last time' for topic in ('/camera', '/joint_states')]
    more = {'alarms': '\n'.join(alarms), 'repaired': '21 messages of a bag; ' + 'a' * 120}
    out = text(write_bag(tmp_path / 'bag', contract, more=more), capsys).splitlines()
    assert f'alarms       {alarms[0]}' in out and f'             {alarms[1]}' in out
    assert f'losses       the recorder repaired it: {more["repaired"]}' in out
    out = text(write_bag(tmp_path / 'good', contract, more={'alarms': ''}), capsys).splitlines()
    assert 'alarms       none' in out and 'losses       none' in out


def test_an_unfinished_episode_is_told(tmp_path, contract, capsys):
    for name in ('episode_000000', 'episode_000001'):
        write_bag(tmp_path / name, contract)
    unfinished = tmp_path / 'episode_000001'
    (unfinished / 'metadata.yaml').rename(unfinished / 'unfinished.json')
    found = facts(tmp_path, capsys)
    assert [row['bag'] for row in found['bags']] == ['episode_000000']
    assert found['passed over'][0].startswith(f'{unfinished} is being recorded, or was not closed')
    assert main(['info', str(unfinished)]) == 1
    assert capsys.readouterr().err.startswith(f'dpr info: {unfinished} is being recorded')
    assert facts(unfinished / 'episode_000001.mcap', capsys)['messages'] == 21
