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

"""The report of a dataset: one file that needs no network, with everything a person judges by."""

from base64 import b64decode
from html.parser import HTMLParser
import json
import re
import shutil

import cv2
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.dataset import report
from diffusion_policy_ros.evaluation.dataset.audit import Audit, audit_dataset
from diffusion_policy_ros.evaluation.dataset.finding import ERROR, Finding, WARNING
from diffusion_policy_ros.evaluation.dataset.report import report_html, verdict, write_page
import numpy as np
import pytest

CONTRACT = """
robot: <arm>
rate_hz: 10
observations:
  - {key: observation.images.front, topic: camera/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 48, width: 64}, max_age_ms: 150}
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [elbow, wrist], max_age_ms: 150}
actions:
  - {topic: joint_commands, type: sensor_msgs/msg/JointState, joints: [elbow, wrist]}
"""
VOID = {'img', 'meta'}


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """Write four episodes; picture k of episode e is grey of the level 20 e + k."""
    folder = tmp_path_factory.mktemp('report') / 'my <task>'
    rng = np.random.default_rng(1)
    with LeRobotWriter(folder, parse_contract(CONTRACT)) as writer:
        for episode in range(4):
            for k in range(21):
                state = rng.normal(size=2).astype(np.float32)
                writer.add_row(
                    {'observation.images.front':
                     np.full((48, 64, 3), 40 * episode + k + 20, np.uint8),
                     'observation.state': state, 'action': state + 1},
                    tick_ns=10**18 + k * 10**8,
                    ages_ns={'camera/image_raw': 30_000_000, 'joint_states': 4_000_000,
                             'joint_commands': 0})
            writer.save_episode('Move <it> & stop.')
    return folder


class Page(HTMLParser):
    """Reads a page: its tags must be balanced; pictures and texts are kept."""

    def __init__(self, text):
        super().__init__()
        self.open, self.pictures, self.words, self.links = [], {}, [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [attrs[name] for name in ('src', 'href') if name in attrs]
        if tag == 'img':
            self.pictures.setdefault(attrs['alt'], []).append(attrs['src'])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def decode(source):
    """Decode an inlined picture."""
    data = b64decode(source.split(',', 1)[1])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_the_report_is_one_file_with_everything_inside(dataset, tmp_path):
    audit = audit_dataset(dataset, every_picture=False)
    path = write_page(audit, tmp_path / 'page.html')
    assert path == tmp_path / 'page.html'
    assert [file.name for file in tmp_path.iterdir()] == ['page.html']
    page = Page(path.read_text('utf-8'))
    assert all(link.startswith('data:image/') for link in page.links)
    assert 'http' not in path.read_text('utf-8')
    for plot in ('Episode lengths', 'Streams', 'Values', 'Trajectories'):
        height, width, _ = decode(page.pictures[plot][0]).shape
        assert width > 1000 and height > 150
    text = ' '.join(page.words)
    for word in ('my <task>', 'Move <it> & stop.', 'elbow', 'PASS', '84', 'Frames were counted'):
        assert word in text


def test_thumbnails_are_the_first_middle_and_last_row_of_each_episode(dataset):
    for every_picture in (True, False):
        page = Page(report_html(audit_dataset(dataset, every_picture=every_picture)))
        for moment, row in (('first', 0), ('middle', 10), ('last', 20)):
            levels = [decode(picture).mean() for picture in page.pictures[f'front, {moment} row']]
            np.testing.assert_allclose(levels, [40 * e + row + 20 for e in range(4)], atol=2)


def test_cards_name_the_bag_and_how_it_went(dataset, tmp_path):
    folder = shutil.copytree(dataset, tmp_path / 'd')
    entries = [
        {'bag': 'bags/episode_000003', 'piece': 1, 'success': False,
         'alarms': ['gap on /camera: 1 <s>', 'rate of /joint_states']},
        {'bag': 'bags/episode_000003', 'piece': 2, 'success': False, 'alarms': ['gap on /camera']},
        {'bag': 'bags/long', 'cut': 7, 'piece': 1, 'success': True, 'alarms': None,
         'repaired': '9 messages'},
        {'bag': None, 'success': None}]
    (folder / 'meta/conversion.json').write_text(json.dumps(
        {'episode_list': [{'rows': 21, **entry} for entry in entries]}))
    text = report_html(audit_dataset(folder, every_picture=False))
    words = [word for word in Page(text).words if word.startswith('bag ')]
    assert words == ['bag episode_000003, piece 1 of 2, failure, 2 alarms',
                     'bag episode_000003, piece 2 of 2, failure, 1 alarm',
                     'bag long, cut 7, success, repaired']
    assert re.findall('<div class="alarm">(.*?)</div>', text) == [
        'gap on /camera: 1 &lt;s&gt;', 'rate of /joint_states', 'gap on /camera',
        'repaired: 9 messages']
    assert '1 success, 2 failure, 1 without a tag' in Page(text).words


def test_the_name_of_a_bag_need_not_be_text(dataset, tmp_path):
    folder = shutil.copytree(dataset, tmp_path / 'd')
    (folder / 'meta/conversion.json').write_text(json.dumps({'episode_list': [
        {'rows': 21, 'bag': 'bags/b\udcff', 'success': None}] * 4}))
    path = write_page(audit_dataset(folder, every_picture=False))
    assert r'bag b\udcff' in path.read_text(encoding='utf-8')


def test_it_goes_into_the_dataset_by_default(dataset):
    path = write_page(audit_dataset(dataset, every_picture=False))
    assert path == dataset / 'report.html'
    path.unlink()
    assert not audit_dataset(dataset).findings


def test_a_finding_leads_to_the_episode_that_it_names(dataset):
    audit = audit_dataset(dataset, every_picture=False)
    audit.findings = [Finding(WARNING, 'x', 'episode 2 row 5, episode 9 row 1')]
    text = report_html(audit)
    assert '<a href="#episode-2">episode 2</a> row 5, episode 9 row 1' in text
    assert 'id="episode-2"' in text


def test_many_episodes_are_spread_evenly(dataset, monkeypatch):
    monkeypatch.setattr('diffusion_policy_ros.evaluation.dataset.audit.MOST_SHOWN', 2)
    monkeypatch.setattr(report, 'MOST_SHOWN', 2)
    audit = audit_dataset(dataset, every_picture=False)
    assert sorted(audit.curves) == [0, 3]
    assert '2 of 4 episodes, evenly spread' in report_html(audit)


def test_what_cannot_be_opened_still_has_a_report(tmp_path):
    audit = Audit(tmp_path, findings=[Finding(ERROR, 'schema', 'a <b> is missing', 'repair it')])
    page = Page(report_html(audit))
    assert 'a <b> is missing' in page.words
    assert 'FAIL: 1 error' in page.words


@pytest.mark.parametrize('levels, words', [
    ((), ('OK', 'PASS')), ((WARNING, WARNING), (WARNING, 'PASS, 2 things to look at')),
    ((WARNING, ERROR), (ERROR, 'FAIL: 1 error'))])
def test_the_verdict_is_that_of_the_worst(tmp_path, levels, words):
    assert verdict(Audit(tmp_path, findings=[Finding(level, 'x', 'y') for level in levels])) \
        == words


@pytest.mark.parametrize('name, reason', [
    ('taken', 'Is a directory'), ('taken/file/page.html', 'File exists'),
    ('taken/file/more/page.html', 'Not a directory')])
def test_a_report_that_cannot_be_written_is_refused(dataset, tmp_path, name, reason):
    (tmp_path / 'taken').mkdir()
    (tmp_path / 'taken/file').touch()
    with pytest.raises(DatasetError) as refused:
        write_page(audit_dataset(dataset, every_picture=False), tmp_path / name)
    assert str(refused.value) == (
        f'cannot write the report {tmp_path / name}: {reason}; have it written to another place '
        'with dpr check --out')
    assert [path.name for path in tmp_path.rglob('*')] == ['taken', 'file']


def test_curves_run_through_the_values(dataset):
    """The y of the first point of the first episode's elbow is where its value lies in range."""
    audit = audit_dataset(dataset, every_picture=False)
    text = report_html(audit)
    points = re.search(r'<polyline points="2,([\d.]+) ', text).group(1)
    study = audit.studies['observation.state']
    low, high = study.statistics['min'][0], study.statistics['max'][0]
    share = (audit.curves[0]['observation.state'][0, 0] - low) / (high - low)
    assert float(points) == pytest.approx(84 - 4 - 76 * share, abs=0.06)
