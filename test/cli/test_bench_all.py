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

"""``dpr bench all`` runs every bench that it can, names the others, and writes one page."""

from pathlib import Path
import signal
import subprocess
import sys

from diffusion_policy_ros.cli import bench, bench_all
from diffusion_policy_ros.cli.main import build_parser, main
import pytest

# Each writes a report with a picture, prints a line and ends.
REPORT = """
import pathlib, sys
out = pathlib.Path(sys.argv[1])
out.mkdir(exist_ok=True)
text = ['# Of ' + out.name, '', '![](' + out.name + '.png)', '```', '# no heading', '```']
(out / (out.name + '.md')).write_text('\\n'.join(text))
print('measuring', *sys.argv[2:])
"""
# All benches, the first of which presses Ctrl-C.
INTERRUPTED = """
import sys
from diffusion_policy_ros.cli import bench_all
from diffusion_policy_ros.cli.main import main
_, report, out = sys.argv
press = report + 'import os, signal; os.kill(os.getppid(), signal.SIGINT)'
bench_all._command = lambda out, kind, words: [
    sys.executable, '-c', press if kind == 'chunk' else report, str(out / kind), *words]
bench_all.find_spec = lambda name: None
sys.exit(main(['bench', 'all', '--out', out]))
"""
# All benches, the first of which waits for a signal, and then saves what it has.
WAITING = """
import sys
from diffusion_policy_ros.cli import bench_all
from diffusion_policy_ros.cli.main import main
_, out = sys.argv
bench_all._command = lambda folder, kind, words: [sys.executable, '-c', '''
import pathlib, signal, sys
out = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: ((out / "saved").touch(), sys.exit(130)))
(out / "waits").touch()
while True:
    signal.pause()
''', out]
bench_all.find_spec = lambda name: None
sys.exit(main(['bench', 'all', '--out', out]))
"""
FAILURE = "import sys; print('half way'); sys.exit('dpr bench: the disk is full')"


@pytest.fixture
def scripts(monkeypatch):
    """Put scripts in the place of the benches; the result is kind -> script."""
    found = dict.fromkeys(('chunk', 'loop', 'solvers', 'convert', 'train'), REPORT)

    def command(out, kind, words):
        return [sys.executable, '-c', found[kind], str(out / kind), *words]

    monkeypatch.setattr(bench_all, '_command', command)
    monkeypatch.setattr(bench_all, 'find_spec', lambda name: True)
    return found


def run(out, *words):
    """Run all benches."""
    return main(['bench', 'all', '--out', str(out), *words])


@pytest.fixture
def dataset(tmp_path):
    """Make what is taken for a dataset; its folder."""
    (tmp_path / 'data' / 'meta').mkdir(parents=True)
    (tmp_path / 'data' / 'meta' / 'info.json').touch()
    return tmp_path / 'data'


@pytest.mark.usefixtures('scripts')
def test_every_bench_has_its_part_of_the_page(tmp_path, dataset, capsys):
    assert run(tmp_path / 'out', '--dataset', str(dataset), '--lerobot-python', 'python3') == 0
    page = (tmp_path / 'out' / 'all.md').read_text()
    for kind in ('chunk', 'loop', 'solvers', 'convert', 'train'):
        assert f'| {kind} | measured | ' in page
        assert f'## Of {kind}\n\n![]({kind}/{kind}.png)\n```\n# no heading\n```' in page
    logs = {kind: (tmp_path / 'out' / f'{kind}.log').read_text().strip()
            for kind in ('chunk', 'train', 'convert')}
    assert logs == {'chunk': 'measuring --lerobot-python python3', 'convert': 'measuring',
                    'train': f'measuring {dataset} --lerobot-python python3'}
    model = Path((tmp_path / 'out' / 'solvers.log').read_text().split()[1])
    assert (model / 'contract.yaml').is_file()
    assert 'success: left out, it takes half an hour' in capsys.readouterr().out
    assert set(bench_all.NOT_HERE) | set(logs) | {'loop', 'solvers', 'all'} == set(bench.KINDS)


def test_each_bench_takes_the_arguments_that_it_gets(monkeypatch):
    monkeypatch.setattr(bench_all, 'find_spec', lambda name: True)
    args = build_parser('bench').parse_args(
        ['bench', 'all', '--dataset', 'data', '--lerobot-python', 'there'])
    plan = bench_all._plan(args)
    for kind in plan.keys() - bench_all.NOT_HERE.keys():
        program, dash, module, *words = bench_all._command(
            Path('out'), kind, plan[kind] + bench_all.QUICK[kind])
        assert (program, dash, module) == (sys.executable, '-m', 'diffusion_policy_ros.cli.main')
        assert build_parser('bench').parse_args(words).out == Path('out') / kind


def test_what_fails_is_named_and_does_not_stop_the_rest(tmp_path, scripts, capsys):
    (tmp_path / 'loop').mkdir()
    (tmp_path / 'loop' / 'loop.md').write_text('# Of an earlier run')
    scripts.update(loop=FAILURE, convert="print('nothing written')")
    assert run(tmp_path) == 1
    printed, page = capsys.readouterr().out, (tmp_path / 'all.md').read_text()
    for text in (printed.replace('loop: failed, ', '| loop | failed | '), page):
        assert '| loop | failed | exit code 1: dpr bench: the disk is full' in text
    assert '| convert | failed | exit code 0: nothing written' in page
    assert '## Of chunk' in page and '## Of solvers' in page and 'earlier' not in page


def test_what_cannot_run_here_is_left_out_with_the_reason(tmp_path, scripts, monkeypatch):
    monkeypatch.setattr(bench_all, 'find_spec', lambda name: None)
    assert run(tmp_path) == 0
    page = (tmp_path / 'all.md').read_text()
    assert '| loop | left out | rclpy cannot be imported' in page
    assert '| train | left out | there is no dataset to learn from; name one with' in page
    assert not (tmp_path / 'loop.log').exists()


def test_ctrl_c_stops_the_rest_and_keeps_the_page(tmp_path):
    # In a process of its own: Ctrl-C would end a worker of xdist.
    done = subprocess.run([sys.executable, '-c', INTERRUPTED, REPORT, tmp_path],
                          cwd=Path(__file__).parents[2], timeout=90)
    assert done.returncode == 130
    page = (tmp_path / 'all.md').read_text()
    assert '| chunk | stopped | after Ctrl-C' in page and '## Of chunk' in page
    assert '| loop | left out | rclpy' in page  # and what comes after it is not begun either
    assert '| solvers | stopped | it had not begun' in page and '## Of solvers' not in page


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_it_alone_is_passed_on_to_the_bench_that_runs(tmp_path, number):
    with subprocess.Popen([sys.executable, '-c', WAITING, tmp_path], text=True,
                          cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as process:
        assert 'chunk: started' in process.stdout.readline()
        while not (tmp_path / 'waits').exists():
            assert process.poll() is None
        process.send_signal(number)
        assert 'chunk: stopping' in process.communicate(timeout=60)[0]
    assert process.returncode == 130 and (tmp_path / 'saved').exists()
    assert '| chunk | stopped | after Ctrl-C' in (tmp_path / 'all.md').read_text()


@pytest.mark.parametrize('words, said', [
    (['--dataset', '/nowhere'], '--dataset is /nowhere, which is no LeRobotDataset'),
    (['--lerobot-python', '/nowhere'], "--lerobot-python is '/nowhere', which is no program")])
def test_what_a_later_bench_would_refuse_is_refused_at_once(tmp_path, capsys, words, said):
    assert run(tmp_path / 'out', *words) == 1
    assert said in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_a_folder_that_cannot_be_made_is_refused(capsys):
    assert run('/dev/null/x') == 1
    assert 'cannot be made' in capsys.readouterr().err
