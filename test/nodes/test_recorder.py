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

"""The recorder over real DDS: what it refuses, what it writes, and how it ends."""

from collections import namedtuple
import math
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys

import pytest

rclpy = pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.contract import load_contract  # noqa: E402
from diffusion_policy_ros.data.bags.bag_reader import open_bag  # noqa: E402
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag  # noqa: E402
from diffusion_policy_ros.data.topic_messages import build_topic  # noqa: E402
from diffusion_policy_ros.errors import (  # noqa: E402
    BagError, ConfigError, ContractError, DatasetError)
from diffusion_policy_ros.message_types import IMAGE, POSE_STAMPED  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES  # noqa: E402
from diffusion_policy_ros.nodes.pusht_sim import PushTSim  # noqa: E402
from diffusion_policy_ros.nodes.pusht_topics import joint_message  # noqa: E402
from diffusion_policy_ros.nodes.recorder import Recorder  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
import numpy as np  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rosbags.rosbag2.errors import WriterError  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402
from std_msgs.msg import String  # noqa: E402

DOMAIN_ID = 35
ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / 'config' / 'robots' / 'pusht.yaml'


@pytest.fixture
def recorder(peer, tmp_path):
    """Start a recorder that writes below the test's folder."""
    return peer.start(Recorder, contract=str(CONTRACT), output=str(tmp_path / 'bags'),
                      dataset=str(tmp_path / 'dataset'), task='push the block',
                      frozen_count=0)  # the pictures of this file's rig are all black


@pytest.fixture
def robot(peer):
    """Start a simulated robot."""
    return peer.start(PushTSim)


@pytest.fixture
def commands(peer, robot):
    """Announce commands for the robot."""
    return peer.node.create_publisher(JointState, 'joint_commands', qos.COMMANDS)


def _start(peer):
    """Start recording as soon as the streams are alive."""
    answers = []
    peer.until(lambda: answers.append(peer.ask('recorder/start')) or answers[-1][0],
               'the start of a recording')
    return answers[-1][1]


def _record(peer, commands, rows=5):
    """Record until some pictures after a start have surely been heard."""
    message = _start(peer)
    images = peer.hear(Image, 'camera/image_raw', qos.EVENTS)
    peer.until(lambda: commands.get_subscription_count() == 2, 'robot and recorder listening')
    peer.until(lambda: len(images) >= rows, 'pictures')
    commands.publish(joint_message((0.1, 0.2), peer.node.get_clock().now().nanoseconds))
    heard, joints = len(images), peer.hear(JointState, 'joint_states', qos.EVENTS)
    peer.until(lambda: len(images) >= heard + rows and len(joints) >= 4 * rows,
               'pictures and joint states after the command')
    return message


def _types():
    """Return topic to type of everything the contract names."""
    contract = load_contract(CONTRACT)
    return {entry.topic: entry.type for entry in contract.observations + contract.actions}


def _message(peer, topic):
    """Return a message as the contract wants it, stamped now."""
    contract = load_contract(CONTRACT)
    entry, = (e for e in contract.observations + contract.actions if e.topic == topic)
    if entry.type == IMAGE:
        values = np.zeros(entry.shape, np.uint8)
    else:
        values = np.eye(3).ravel() if entry.type == POSE_STAMPED else np.zeros(len(entry.names))
    now_ns = peer.node.get_clock().now().nanoseconds
    return build_topic([(entry, values)], MESSAGE_CLASSES, now_ns)


def _facts(reports, topic):
    """Return what the newest /diagnostics hold of a stream."""
    found = [status for status in reports[-1].status if status.name == f'recorder: {topic}'] \
        if reports else []
    return {pair.key: pair.value for status in found for pair in status.values}


def test_it_refuses_to_start_naming_what_is_missing(peer, recorder):
    success, message = peer.ask('recorder/start')
    assert not success
    for topic in ('/camera/image_raw', '/joint_states', '/block_pose', '/joint_commands'):
        assert f'{topic} has no publisher' in message
    assert peer.ask('recorder/stop') == (
        False, 'nothing is being recorded; call /recorder/start first')
    assert not peer.ask('recorder/discard')[0]
    assert not peer.ask('recorder/convert')[0]


def test_it_refuses_to_start_when_a_stream_falls_silent(peer, recorder):
    publishers = {topic: peer.node.create_publisher(kind, topic, qos.EVENTS) for kind, topic in (
        (Image, 'camera/image_raw'), (JointState, 'joint_states'), (PoseStamped, 'block_pose'),
        (JointState, 'joint_commands'))}
    answers = []

    def ask(*alive):
        for topic in alive:
            publishers[topic].publish(_message(peer, topic))
        answers.append(peer.ask('recorder/start'))
        return answers[-1][0]

    observed = ['camera/image_raw', 'joint_states', 'block_pose']
    peer.until(lambda: ask(*observed), 'a start while all observations flow')
    assert peer.ask('recorder/discard')[0]

    def is_refused():
        if ask('joint_states', 'block_pose'):
            peer.ask('recorder/discard')
        return not answers[-1][0]

    peer.until(is_refused, 'a refusal')
    assert answers[-1][1].startswith('/camera/image_raw has been silent for')
    assert ';' not in answers[-1][1]


def test_a_topic_of_the_wrong_type_is_named(peer, recorder):
    # One participant cannot offer two types on a topic; another can.
    other = rclpy.Context()
    rclpy.init(context=other, domain_id=DOMAIN_ID)
    node = rclpy.create_node('stranger', context=other)
    for message_type, topic in ((Image, 'camera/image_raw'), (JointState, 'joint_commands'),
                                (PoseStamped, 'block_pose'), (String, 'joint_states')):
        node.create_publisher(message_type, topic, qos.EVENTS)
    wrong = ('/joint_states carries std_msgs/msg/String, the contract says '
             'sensor_msgs/msg/JointState')
    peer.until(lambda: wrong in peer.ask('recorder/start')[1], 'the type named')
    node.destroy_node()
    rclpy.try_shutdown(context=other)


def test_an_episode_holds_every_message_and_the_contract(peer, recorder, commands, tmp_path):
    before_ns = peer.node.get_clock().now().nanoseconds
    assert 'recording episode 0' in _record(peer, commands)
    success, message = peer.ask('recorder/stop')
    after_ns = peer.node.get_clock().now().nanoseconds
    assert success and 'episode 0 saved' in message
    with open_bag(tmp_path / 'bags' / 'episode_000000') as bag:
        assert bag.contract == load_contract(CONTRACT)
        assert bag.custom_data['task'] == 'push the block'
        assert bag.custom_data['episode'] == '0'
        heard = list(bag.messages(_types()))
    counts = {topic: [t for t, _, _ in heard].count(topic) for topic in _types()}
    assert counts['camera/image_raw'] >= 10 and counts['joint_states'] >= 15
    assert counts['joint_commands'] == 1
    assert all(before_ns < receive_ns < after_ns for _, _, receive_ns in heard)
    command = [m for topic, m, _ in heard if topic == 'joint_commands'][0]
    assert list(command.position) == [0.1, 0.2]


def test_numbering_resumes_and_discard_moves_the_whole_episode(
        peer, recorder, commands, tmp_path):
    (tmp_path / 'bags' / 'episode_000041').mkdir(parents=True)
    assert 'recording episode 42' in _start(peer)
    assert peer.ask('recorder/start') == (
        False, 'episode 42 is being recorded; stop or discard it first')
    place = tmp_path / 'bags' / 'discarded' / 'episode_000042'
    assert peer.ask('recorder/discard') == (True, f'episode 42 discarded; it lies in {place}')
    with open_bag(place) as bag:
        assert bag.custom_data['episode'] == '42' and bag.losses == []
    assert not (tmp_path / 'bags' / 'episode_000042').exists()
    # Nobody has to tell two episodes of one number apart.
    assert 'recording episode 43' in _start(peer)
    assert peer.ask('recorder/stop')[0]
    assert 'recording episode 44' in _start(peer)


def test_status_and_diagnostics_tell_what_happens(peer, recorder, commands):
    _start(peer)
    status = peer.hear(DiagnosticStatus, 'recorder/status', qos.STATUS)
    peer.until(lambda: status, 'the latched status')
    values = {pair.key: pair.value for pair in status[-1].values}
    assert values['state'] == 'recording' and values['episode'] == '0'
    reports = peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)
    peer.until(lambda: reports, 'diagnostics')
    found = {entry.name: entry for entry in reports[-1].status}
    assert set(found) == {'recorder', *(f'recorder: {topic}' for topic in _types())}
    assert found['recorder'].message.startswith('recording episode 0 to ')
    camera = found['recorder: camera/image_raw']
    assert camera.level == DiagnosticStatus.OK, camera.message


def test_best_effort_and_reliable_publishers_are_both_heard(peer, recorder):
    heard = {}
    for topic, profile in (('camera/image_raw', qos.IMAGES), ('joint_states', qos.EVENTS)):
        kind = Image if 'image' in topic else JointState
        publisher = peer.node.create_publisher(kind, topic, profile)
        heard[topic] = (publisher, kind)
    reports = peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)

    def both_arrive():
        for publisher, kind in heard.values():
            publisher.publish(kind())
        return all(_facts(reports, topic).get('age_s', 'never') != 'never' for topic in heard)

    peer.until(both_arrive, 'messages of both publishers')


def test_a_shutdown_closes_the_bag_in_flight(peer, recorder, commands, tmp_path):
    _record(peer, commands)
    peer.stop(recorder)
    with open_bag(tmp_path / 'bags' / 'episode_000000') as bag:
        assert len(list(bag.messages(_types()))) > 20


@pytest.mark.parametrize('numbers', [[signal.SIGHUP], [signal.SIGINT, signal.SIGTERM]])
def test_signals_close_the_bag_in_flight(peer, commands, tmp_path, numbers):
    command = [sys.executable, '-m', 'diffusion_policy_ros.nodes.recorder', '--ros-args', '-p',
               f'contract:={CONTRACT}', '-p', f'output:={tmp_path / "bags"}']
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID), 'PYTHONPATH': os.pathsep.join(
        [str(ROOT), os.environ.get('PYTHONPATH', '')])}
    process = subprocess.Popen(command, env=environment)
    try:
        _record(peer, commands)
        for number in numbers:
            process.send_signal(number)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
    with open_bag(tmp_path / 'bags' / 'episode_000000') as bag:
        assert len(list(bag.messages(_types()))) > 20


def test_a_missing_or_wrong_contract_is_refused_at_start(peer, tmp_path):
    with pytest.raises(ConfigError, match='"contract" is empty'):
        peer.start(Recorder)
    with pytest.raises(ContractError, match='cannot read the contract'):
        peer.start(Recorder, contract=str(tmp_path / 'absent.yaml'))


def test_failures_of_the_disk_are_answered_and_the_node_lives_on(
        peer, recorder, commands, monkeypatch, tmp_path):
    def fail(*arguments):
        raise OSError(5, 'Input/output error')

    def fail_to(what):
        raise BagError(what)

    with monkeypatch.context() as patch:
        patch.setattr('diffusion_policy_ros.nodes.recorder_episode.next_number', fail)
        peer.until(lambda: 'Input/output error' in peer.ask('recorder/start')[1], 'the reason')
    with monkeypatch.context() as patch:
        patch.setattr('diffusion_policy_ros.nodes.recorder_episode.DiskRoom', fail)
        peer.until(lambda: 'Input/output error' in peer.ask('recorder/start')[1], 'the reason')
        assert not (tmp_path / 'bags' / 'episode_000000').exists()
    _start(peer)
    with monkeypatch.context() as patch:
        patch.setattr('pathlib.Path.rename', fail)
        success, message = peer.ask('recorder/discard')
        assert not success and 'episode_000000 could not be moved to' in message
    with open_bag(tmp_path / 'bags' / 'episode_000000') as bag:
        assert bag.losses == []
    assert 'recording episode 1' in _start(peer)
    monkeypatch.setattr(
        EpisodeBag, 'close', lambda bag: fail_to(f'{bag.path.name} could not be finished'))
    success, message = peer.ask('recorder/stop')
    assert not success and 'episode_000001 could not be finished' in message
    assert not recorder.is_recording
    status = peer.hear(DiagnosticStatus, 'recorder/status', qos.STATUS)
    peer.until(lambda: status, 'the latched status')
    assert 'could not be finished' in status[-1].message


def test_a_message_that_cannot_be_written_ends_the_episode_with_the_reason(
        peer, recorder, commands, monkeypatch, tmp_path):
    def fail(*arguments):
        raise WriterError('Bag was not opened.')

    status = peer.hear(DiagnosticStatus, 'recorder/status', qos.STATUS)
    _start(peer)
    monkeypatch.setattr('rosbags.rosbag2.Writer.write', fail)
    peer.until(lambda: not recorder.is_recording, 'the end of the episode')
    peer.until(lambda: 'could not be written' in status[-1].message, 'the reason')
    said = 'disk: the episode broke off, 1 message of it not written: a message on '
    assert status[-1].message.startswith('episode 0 BROKE OFF and is kept up to there: ')
    assert said in status[-1].message and status[-1].level == DiagnosticStatus.ERROR
    with open_bag(tmp_path / 'bags' / 'episode_000000') as bag:
        assert bag.contract == load_contract(CONTRACT)
        assert said in bag.custom_data['alarms']


def test_an_episode_that_broke_off_can_be_kept_out_of_the_data(
        peer, recorder, commands, monkeypatch, tmp_path):
    def fail(bag):
        raise BagError('what was recorded could not be written; make room on the disk')

    recorder.set_parameters([Parameter('discard_on', value='disk')])
    _start(peer)
    monkeypatch.setattr(EpisodeBag, 'flush', fail)
    peer.until(lambda: not recorder.is_recording, 'the end of the episode')
    with open_bag(tmp_path / 'bags' / 'discarded' / 'episode_000000') as bag:
        assert 'disk: the episode broke off, ' in bag.custom_data['alarms']


def test_a_disk_that_cannot_be_looked_at_for_a_moment_ends_nothing(
        peer, recorder, commands, monkeypatch):
    looks = []

    def fail(place):
        looks.append(place)
        raise OSError(116, 'Stale file handle')

    _start(peer)
    monkeypatch.setattr('shutil.disk_usage', fail)
    peer.until(lambda: len(looks) >= 2, 'looks')
    assert peer.ask('recorder/stop')[1].startswith('episode 0 saved: ')


def test_it_watches_its_streams_while_simulated_time_stands_still(peer, tmp_path):
    reports = peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)
    peer.start(Recorder, contract=str(CONTRACT), output=str(tmp_path), use_sim_time=True)
    peer.until(lambda: len(reports) >= 2, 'diagnostics without /clock')


class Rig:
    """Publishers of all streams, each of which can fall silent or have its messages spoilt."""

    def __init__(self, peer):
        self._peer = peer
        self.silent, self.spoil = set(), {}
        self.publishers = {topic: self.publisher(topic, qos.EVENTS) for topic in _types()}
        peer.node.create_timer(0.02, self._publish)

    def publisher(self, topic, profile):
        """Make a publisher."""
        kind = {'camera/image_raw': Image, 'block_pose': PoseStamped}.get(topic, JointState)
        return self._peer.node.create_publisher(kind, topic, profile)

    def restart(self, topic, profile):
        """End a stream's publisher, and make another one."""
        self._peer.node.destroy_publisher(self.publishers[topic])
        self.publishers[topic] = self.publisher(topic, profile)

    def _publish(self):
        """Send one message on each stream that is not silent."""
        for topic in self.publishers.keys() - self.silent:
            message = _message(self._peer, topic)
            self.spoil.get(topic, lambda _: None)(message)
            self.publishers[topic].publish(message)


@pytest.fixture
def rig(peer):
    """Publish all streams."""
    return Rig(peer)


@pytest.fixture
def status(peer, recorder):
    """Hear what the recorder tells."""
    heard = peer.hear(DiagnosticStatus, 'recorder/status', qos.STATUS)
    peer.until(lambda: heard, 'the latched status')
    return heard


def _diagnosis(peer):
    """Return what /diagnostics says about the recorder itself from now on."""
    reports = peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)
    peer.until(lambda: reports, 'diagnostics')
    return [entry for entry in reports[-1].status if entry.name == 'recorder'][0]


def test_a_stream_that_dies_while_recording_is_told_and_logged(peer, rig, status, capfd):
    _start(peer)
    peer.until(lambda: status[-1].level == DiagnosticStatus.OK, 'all well')
    rig.silent.add('camera/image_raw')
    peer.until(lambda: status[-1].level == DiagnosticStatus.WARN, 'a warning')
    warning = 'recording episode 0 to .*; /camera/image_raw has been silent for .* s, limit 1 s'
    peer.until(lambda: re.match(warning, status[-1].message), 'the reason')
    assert 'gap on /camera' not in status[-1].message  # one sentence about it is enough
    assert _diagnosis(peer).level == DiagnosticStatus.WARN
    assert '/camera/image_raw has been silent for' in capfd.readouterr().err
    rig.silent.clear()
    peer.until(lambda: 'image_raw has been silent' not in status[-1].message, 'pictures again')
    assert status[-1].message.startswith('recording episode 0 to ')


def test_a_camera_that_restarts_with_best_effort_while_recording_is_heard(peer, recorder, rig):
    reports = peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)

    def camera_age_s():
        age_s = _facts(reports, 'camera/image_raw').get('age_s', 'never')
        return math.inf if age_s == 'never' else float(age_s)

    _start(peer)
    peer.until(lambda: camera_age_s() < 0.1 and len(reports) > 2, 'pictures')
    rig.restart('camera/image_raw', qos.IMAGES)
    rig.silent.add('camera/image_raw')
    peer.until(lambda: camera_age_s() > 0.2, 'the silence')
    rig.silent.clear()
    peer.until(lambda: camera_age_s() < 0.1, 'pictures of the restarted camera')
    assert recorder.is_recording


def test_whether_an_episode_can_begin_is_told_as_it_is_now(peer, recorder, status):
    def told(words, level):
        peer.until(lambda: words in status[-1].message, words)
        assert status[-1].level == level
        return {pair.key: pair.value for pair in status[-1].values}['obstacles']

    assert '/camera/image_raw has no publisher' in told('; NOT READY: ', DiagnosticStatus.WARN)
    assert not peer.ask('recorder/start')[0]
    rig = Rig(peer)
    ready = 'begins an episode; ready: /recorder/start begins an episode'
    assert told(ready, DiagnosticStatus.OK) == ''  # the refusal is gone
    assert _diagnosis(peer).level == DiagnosticStatus.OK
    rig.silent.add('joint_states')
    said = told('; NOT READY: /joint_states has been silent', DiagnosticStatus.WARN)
    assert said.startswith('/joint_states has been silent for ')
    assert _diagnosis(peer).level == DiagnosticStatus.WARN


def test_an_event_stays_in_the_status_beside_what_is_so_now(peer, recorder, rig, status):
    _start(peer)
    assert peer.ask('recorder/success')[0]
    peer.until(lambda: '; ready: /recorder/start' in status[-1].message, 'the readiness')
    assert status[-1].message.startswith('episode 0 saved as success: ')
    facts = {pair.key: pair.value for pair in status[-1].values}
    assert status[-1].message.startswith(f'{facts["last"]}; ready')


def test_two_who_command_are_told_and_no_obstacle(peer, recorder, rig, status, capfd):
    assert 'publishers' not in _start(peer)
    peer.ask('recorder/stop')
    rig.publisher('joint_commands', qos.EVENTS)
    said = '; /joint_commands has 2 publishers: /peer, /peer; their messages are recorded as one'
    ready = f'; ready: /recorder/start begins an episode{said}'
    peer.until(lambda: ready in status[-1].message, 'the warning before an episode')
    assert status[-1].level == DiagnosticStatus.WARN
    assert said in _start(peer)
    alarm = ('publishers on /joint_commands: the messages of /peer and /peer are recorded as one '
             'stream')
    peer.until(lambda: status[-1].message.startswith('recording') and status[-1].message.endswith(
        f'; {alarm}'), 'a warning that goes on')
    assert status[-1].level == DiagnosticStatus.WARN
    logged = capfd.readouterr().err
    assert logged.count(said) == 1 and alarm not in logged  # the answer to the start is enough
    assert alarm in peer.ask('recorder/stop')[1].split('; ')


def test_a_failed_conversion_is_told_as_an_error(peer, recorder, rig, status, monkeypatch):
    def fail(*arguments, **options):
        raise DatasetError('no codec; choose another --out')

    _start(peer)
    assert peer.ask('recorder/stop')[0]
    monkeypatch.setattr(
        'diffusion_policy_ros.nodes.recorder_conversion.convert_bags', fail)
    assert peer.ask('recorder/convert')[0]
    peer.until(lambda: 'conversion failed: no codec' in status[-1].message, 'the failure')
    assert status[-1].level == DiagnosticStatus.ERROR
    assert status[-1].message.endswith('for this node, --out is the parameter dataset')
    assert _diagnosis(peer).level == DiagnosticStatus.ERROR


def test_a_folder_removed_while_recording_ends_the_episode(
        peer, recorder, rig, status, tmp_path):
    _start(peer)
    shutil.rmtree(tmp_path / 'bags')
    peer.until(lambda: not recorder.is_recording, 'the end of the episode', 5.0)
    peer.until(lambda: 'episode_000000 was removed or moved' in status[-1].message, 'the reason')
    assert status[-1].level == DiagnosticStatus.ERROR
    assert status[-1].message.startswith('episode 0 BROKE OFF: ')
    for act in ('stop', 'success', 'discard'):
        success, message = peer.ask(f'recorder/{act}')
        assert not success and message.startswith('episode 0 BROKE OFF: ')
        assert '; nothing is being recorded; ' in message
    assert 'recording episode 0' in _start(peer)
    assert peer.ask('recorder/stop')[0]
    assert peer.ask('recorder/stop')[1].startswith('nothing is being recorded')


def test_an_episode_whose_folder_was_removed_can_be_discarded(
        peer, recorder, rig, tmp_path, monkeypatch):
    _start(peer)
    # The request comes before the recorder has looked.
    monkeypatch.setattr(EpisodeBag, 'is_gone', lambda bag: False)
    shutil.rmtree(tmp_path / 'bags')
    assert peer.ask('recorder/discard') == (
        True, 'episode 0 discarded; its folder was gone already')


def test_a_nearly_full_disk_is_refused_with_what_is_free(peer, recorder, rig, monkeypatch):
    usage = namedtuple('usage', ['total', 'used', 'free'])(10**9, 10**9 - 5 * 10**6, 5 * 10**6)
    monkeypatch.setattr('shutil.disk_usage', lambda place: usage)
    peer.until(lambda: peer.ask('recorder/start')[1].startswith('the disk of '), 'the reason')
    success, message = peer.ask('recorder/start')
    assert not success and '5 MB free, at least 100 MB are needed; make room' in message


def test_a_number_taken_by_another_recorder_is_explained(
        peer, recorder, rig, monkeypatch, tmp_path):
    (tmp_path / 'bags' / 'episode_000007').mkdir(parents=True)
    monkeypatch.setattr(
        'diffusion_policy_ros.nodes.recorder_episode.next_number', lambda folder: 7)
    peer.until(lambda: 'stop the other program that records' in peer.ask('recorder/start')[1],
               'the reason')


def test_what_was_heard_is_on_the_disk_before_the_end(peer, recorder, rig, tmp_path):
    _start(peer)
    file, = (tmp_path / 'bags' / 'episode_000000').glob('*.mcap')
    peer.until(lambda: file.stat().st_size > 2000, 'a first chunk')
    size = file.stat().st_size
    peer.until(lambda: file.stat().st_size > size, 'another chunk')


@pytest.mark.parametrize('name', ['output', 'dataset'])
def test_an_empty_folder_name_is_refused(peer, recorder, name):
    result = recorder.set_parameters([Parameter(name, value=' ')])[0]
    assert not result.successful and f'the parameter "{name}" is empty' in result.reason
    with pytest.raises(ConfigError, match=f'"{name}" is empty'):
        peer.start(Recorder, contract=str(CONTRACT), **{name: ''})


def test_a_second_recorder_of_the_same_name_is_told(peer, rig, recorder, status, tmp_path):
    _start(peer)
    peer.start(Recorder, contract=str(CONTRACT), output=str(tmp_path / 'others'))
    peer.until(lambda: 'another node is called /recorder too' in status[-1].message, 'a warning')
    assert status[-1].level == DiagnosticStatus.WARN


def _rename(message):
    message.name = ['finger_x', 'j8']


def _unstamp(message):
    message.header.stamp.sec = message.header.stamp.nanosec = 0


def _shrink(message):
    message.height, message.data = 48, message.data[:48 * message.step]


@pytest.mark.parametrize('topic, spoil, said', [
    ('joint_states', _rename, 'topic joint_states: no joint .*finger_y'),
    ('block_pose', _unstamp, 'topic block_pose: the header has no time'),
    ('camera/image_raw', _shrink, 'topic camera/image_raw: .* 96 x 48 pixels'),
    ('joint_commands', _rename, 'topic joint_commands: no joint .*finger_y')])
def test_what_could_not_become_data_is_refused_at_the_start(
        peer, recorder, rig, tmp_path, topic, spoil, said):
    rig.spoil[topic] = spoil
    peer.until(lambda: re.match(said, peer.ask('recorder/start')[1]), 'the refusal')
    assert not list(tmp_path.glob('bags/*'))
    rig.spoil.clear()
    assert 'recording episode 0' in _start(peer)


def test_commands_that_are_silent_let_a_recording_start(peer, recorder, rig):
    rig.silent.add('joint_commands')
    assert 'recording episode 0' in _start(peer)


def test_a_contract_that_no_dataset_can_hold_is_refused_before_recording(peer, tmp_path):
    path = tmp_path / 'robot.yaml'
    path.write_text(CONTRACT.read_text().replace('rate_hz: 10 ', 'rate_hz: 12.5 '))
    with pytest.raises(DatasetError, match='^rate_hz is 12.5; a dataset needs a whole number of '
                       'rows per second'):
        peer.start(Recorder, contract=str(path))


def test_it_says_when_and_for_what_it_is_ready(peer, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    peer.start(Recorder, contract=str(CONTRACT), output='bags')
    said = capfd.readouterr().err
    assert said.count('[INFO]') == 1
    assert ('up for pusht: 4 topics, 10 rows per second, bags go to '
            f'{tmp_path / "bags"}; /recorder/start begins an episode') in said
