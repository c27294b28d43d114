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

"""What the audit of a dataset finds in its videos and pictures."""

from itertools import count
from types import SimpleNamespace

import av
from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.evaluation.dataset.audit import audit_dataset
from diffusion_policy_ros.evaluation.dataset.videos import VideoCheck
import numpy as np
import pytest

CAMERA = 'observation.images.camera'


def test_a_video_that_is_shorter_than_its_table(copy, audits):
    audits.write_video(audits.video(copy, 1), [audits.picture(k) for k in range(47)])
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'videos')
    assert f'{CAMERA}: 3 rows have no frame within 0.0001 s of their time: episode 1 from row ' \
        '47 on' in finding.text


def test_a_video_whose_frames_come_at_other_times(copy, audits):
    audits.write_video(audits.video(copy, 1), [audits.picture(k) for k in range(50)], rate_hz=9)
    finding = audits.only(copy)
    assert finding.level == 'ERROR'
    assert 'rows have no frame' in finding.text and 'episode 1 from row 1 on' in finding.text


def test_a_video_with_more_frames_than_rows(copy, audits):
    audits.write_video(audits.video(copy, 1), [audits.picture(k + 7) for k in range(55)])
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('WARNING', 'videos')
    assert '5 frames belong to no row' in finding.text


def test_a_video_that_is_gone_cut_off_or_of_another_size(copy, audits):
    audits.video(copy, 0).unlink()
    path = audits.video(copy, 1)
    path.write_bytes(path.read_bytes()[:400])
    findings = audit_dataset(copy).findings
    assert [f.level for f in findings] == ['ERROR']
    assert '2 files cannot be read' in findings[0].text
    assert 'file-000.mp4 does not exist' in findings[0].text
    assert 'file-001.mp4 cannot be read: ' in findings[0].text
    assert 'Invalid data found' in findings[0].text
    for episode, length in enumerate(audits.LENGTHS):
        audits.write_video(audits.video(copy, episode), [np.zeros((24, 64, 3), np.uint8)] * length)
    assert any('pictures are 64x24, info.json says 64x48' in f.text
               for f in audit_dataset(copy).findings)


def test_a_video_whose_frames_cannot_be_decoded(copy, audits):
    path = audits.video(copy, 1)
    data = bytearray(path.read_bytes())
    begin = data.index(b'mdat') + 8
    data[begin:begin + 2000] = bytes(2000)  # packets are still counted
    path.write_bytes(bytes(data))
    assert audits.found(copy) == [('ERROR', 'pictures')]


def test_a_byte_of_a_video_that_turned(copy, audits):
    """A decoder guesses what it cannot decode, and says so."""
    path = audits.video(copy, 1)
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][20]
        place = packet.pos + packet.size - 30
    data = bytearray(path.read_bytes())
    data[place] ^= 255
    path.write_bytes(bytes(data))
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'pictures')
    assert 'file-001.mp4 is damaged at 2.0000 s' in finding.text
    assert not audits.found(copy, every_picture=False)


def test_a_video_that_cannot_be_opened_is_not_called_damaged(copy, audits, monkeypatch):
    def refuse(path, *_, **__):
        raise av.error.PermissionError(13, 'Permission denied', path)

    monkeypatch.setattr(av, 'open', refuse)
    text = audits.only(copy, every_picture=False).text
    assert 'Permission denied' in text and 'damaged' not in text


@pytest.mark.parametrize('told, levels', [
    (30, []), (29, []), (29.97, []), (28.9, ['ERROR']), (31, ['ERROR']), ('30', ['ERROR'])])
def test_a_rate_that_lerobot_rounded_down_is_right(told, levels):
    """It stores ``int(29.97)``."""
    source = SimpleNamespace(rate_hz=29.97, features={CAMERA: {
        'shape': [4, 4, 3], 'info': {'video.fps': told}}}, episodes=[])
    found = VideoCheck(source).look(CAMERA, progress=None)
    assert [finding.level for finding in found] == levels


def test_a_rate_of_frames_that_is_not_that_of_the_rows(copy, audits):
    audits.edit_json(copy / 'meta/info.json', lambda info: info['features'][CAMERA]['info'].update(
        {'video.fps': 5}))
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'videos')
    assert 'video.fps of meta/info.json is 5, fps is 10' in finding.text


def test_a_frozen_camera_while_the_robot_moves(tmp_path, audits):
    recipe = audits.Recipe()
    recipe.pictures[1][20:40] = [recipe.pictures[1][20]] * 20
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert (finding.level, finding.check) == ('WARNING', 'frozen')
    assert 'episode 1 rows 20 to 39' in finding.text
    assert not audits.found(tmp_path / 'd', every_picture=False)


def test_a_camera_may_stay_while_the_robot_stands(tmp_path, audits):
    recipe = audits.Recipe()
    recipe.pictures[1][20:40] = [recipe.pictures[1][20]] * 20
    recipe.state[1][20:40] = recipe.state[1][20]
    assert not audits.found(recipe.write(tmp_path / 'd'))


def test_black_pictures(tmp_path, audits):
    recipe = audits.Recipe()
    recipe.pictures[2][10:13] = [np.zeros((48, 64, 3), np.uint8)] * 3
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert (finding.level, finding.check) == ('WARNING', 'black')
    assert 'in 3 rows: episode 2 from row 10 on' in finding.text


def test_depth_is_looked_at_in_its_own_unit(tmp_path, audits):
    contract = audits.CONTRACT.replace('width: 64}', 'width: 64, encoding: 16UC1}')
    with LeRobotWriter(tmp_path / 'd', parse_contract(contract)) as writer:
        rng = np.random.default_rng(0)
        for row in range(30):
            depth = np.zeros((48, 64, 1), np.uint16) if 10 <= row < 13 else np.full(
                (48, 64, 1), 400 + 700 * row, np.uint16)  # far beyond what is shown of it
            writer.add_row({CAMERA: depth, 'observation.state': rng.normal(size=2),
                            'action': rng.normal(size=2)}, tick_ns=row * 10**8,
                           ages_ns=dict.fromkeys(audits.TOPICS, 0))
        writer.save_episode('See.')
    finding = audits.only(tmp_path / 'd')
    assert (finding.level, finding.check) == ('WARNING', 'black')
    assert 'in 3 rows: episode 0 from row 10 on' in finding.text


@pytest.mark.parametrize('options', [[], ['--count-only']])
@pytest.mark.parametrize('after', [0, 1, 5])
def test_a_machine_without_memory_or_threads_is_no_damage(copy, monkeypatch, capsys, options,
                                                          after):
    """Whichever video is opened when the machine has none left."""
    opened, calls = av.open, count()

    def refuse(*arguments, **named):
        if next(calls) >= after:
            raise av.error.BlockingIOError(11, 'Resource temporarily unavailable')
        return opened(*arguments, **named)

    monkeypatch.setattr(av, 'open', refuse)
    assert main(['check', str(copy), *options]) == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1].startswith('dpr check: video ')
    assert 'no memory or no threads left; the video may be whole' in printed.err
    assert not printed.out
