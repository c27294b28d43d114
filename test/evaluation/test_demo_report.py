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

"""The report and the video of a demo."""

import json

from diffusion_policy_ros.evaluation.demo_report import demo_figures, DemoSetting, write_report
from diffusion_policy_ros.evaluation.demo_video import write_video
from diffusion_policy_ros.machine import machine_facts, package_versions
import numpy as np
import pytest

SETTING = DemoSetting(
    sim='pusht', model={'folder': 'models/x', 'sha256': '0123'},
    rate_hz=10.0, command_rate_hz=10.0,
    machine={'processor': 'abacus', 'cores': '2'}, versions={'numpy': '2.0'})


def test_figures_hold_the_verdict_and_every_episode(record):
    figures = demo_figures([record(0, top=0.4), record(1, top=0.8)], SETTING)
    assert figures['passed'] and figures['timing']['commands'] == 60
    assert figures['mean_best_score'] == pytest.approx(0.6)
    assert [episode['seed'] for episode in figures['episodes']] == [7, 8]
    assert figures['machine']['processor'] == 'abacus'
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_a_loop_that_lost_its_rate_does_not_pass(record):
    whole = record()
    figures = demo_figures([record(received_ns=whole.received_ns[::2])], SETTING)
    assert not figures['passed']
    assert [check['passed'] for check in figures['checks']] == [False, False]


@pytest.mark.parametrize('changes', [{}, {
    'frame_ns': np.empty(0, np.int64), 'pictures': np.empty((0, 1, 96, 96, 3), np.uint8),
    'states': np.empty((0, 11)), 'latency_ns': np.empty(0, np.int64), 'latency_ms': np.empty(0),
    'plan_ns': np.empty(0, np.int64), 'plans': np.empty(0), 'plan_due_ns': np.empty(0)}])
def test_the_report_is_one_page_and_one_picture(record, tmp_path, changes):
    records = [record(0), record(1, **changes)] if not changes else [record(0, **changes)]
    write_report(tmp_path, records, demo_figures(records, SETTING))
    page = (tmp_path / 'report.pdf').read_bytes()
    assert page.startswith(b'%PDF') and page.count(b'/Type /Page ') == 1
    assert (tmp_path / 'report.png').read_bytes().startswith(b'\x89PNG')


def test_the_video_has_every_picture_at_its_time(record, tmp_path):
    av = pytest.importorskip('av')
    records, written = [record(0, seconds=2), record(1, seconds=3)], []
    write_video(tmp_path / 'demo.mp4', records, 'title', written.append)
    with av.open(str(tmp_path / 'demo.mp4')) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == 'h264' and stream.pix_fmt == 'yuv420p'
        times = [float(frame.pts * frame.time_base) for frame in container.decode(stream)]
    assert len(times) == sum(written) == 21 + 31
    np.testing.assert_allclose(times, np.arange(52) / 10, atol=1e-3)


def test_the_machine_and_the_versions_are_named():
    facts = machine_facts()
    assert int(facts['cores']) >= 1 and all(facts.values())
    versions = package_versions(('numpy', 'no-such-package'))
    assert versions == {'numpy': np.__version__}
