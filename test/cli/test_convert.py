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

"""`dpr convert` from the outside: what it prints, what it writes, how it exits."""

import argparse
import json
from pathlib import Path
import resource
import shutil
import sys

from diffusion_policy_ros.cli.convert import add_arguments, CODEC
from diffusion_policy_ros.cli.convert_end import warn_of_lost_record
from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.data.conversion.conversion import ConversionSummary
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.video import CODECS, DEFAULT_CODEC, PICTURE_CODEC
import numpy as np
import pytest
import yaml

zarr = pytest.importorskip('zarr')
CONFIG = Path(__file__).parents[2] / 'config'
CONTRACT = str(CONFIG / 'robots/pusht.yaml')
MAPPING = str(CONFIG / 'import/pusht_zarr.yaml')


def dpr_convert(*words):
    """Run the command."""
    return main(['convert', *map(str, words)])


def zarr_to_bags(tmp_path, out):
    """Make bags of the tiny buffer."""
    return dpr_convert(tmp_path / 'tiny.zarr', '--mapping', MAPPING, '--contract', CONTRACT,
                       '--to', 'bags', '--out', out)


@pytest.fixture
def bags(tmp_path):
    """Make bags of a tiny buffer with the command itself: episodes of 9 and 12 rows."""
    group = zarr.open_group(str(tmp_path / 'tiny.zarr'), mode='w')
    arrays = {'data/img': np.full((21, 96, 96, 3), 7, np.float32),
              'data/state': np.ones((21, 5), np.float32),
              'data/action': np.arange(42, dtype=np.float32).reshape(21, 2),
              'meta/episode_ends': np.array([9, 21])}
    for name, values in arrays.items():
        group[name] = values
    assert zarr_to_bags(tmp_path, tmp_path / 'bags') == 0
    return tmp_path / 'bags'


def test_bags_become_a_dataset(bags, tmp_path, capsys):
    """The contract inside the bags is enough; the summary counts and dates."""
    assert zarr_to_bags(tmp_path, tmp_path / 'same bags') == 0
    assert capsys.readouterr().out.endswith(
        f"\nnext: dpr convert '{tmp_path / 'same bags'}' --out datasets/NAME\n")
    assert dpr_convert(bags, '--out', tmp_path / 'dataset') == 0
    printed = capsys.readouterr().out
    assert printed.endswith(f"\nnext: dpr train {tmp_path / 'dataset'} --out models/NAME\n")
    assert '21 rows in 2 episodes from 2 bags (0 skipped, 0 splits)' in printed
    assert 'camera/image_raw: age median 0.0 ms, 95th percentile 0.0 ms' in printed
    reader = LeRobotReader(tmp_path / 'dataset')
    assert [e.length for e in reader.episodes] == [9, 12]
    assert [p.name for p in sorted(bags.iterdir())] == ['episode_000000', 'episode_000001']


def test_a_skipped_bag_shows_in_the_exit_code(bags, tmp_path, capsys):
    """The rest is converted all the same, which a script can tell from a failure."""
    (bags / 'episode_000000/episode_000000.mcap').write_bytes(b'no bag at all')
    assert dpr_convert(bags, '--out', tmp_path / 'dataset') == 3
    printed = capsys.readouterr()
    assert 'episode_000000: skipped: cannot read the bag' in printed.err
    assert 'can be added later: dpr convert BAG --out MORE, then dpr edit ' \
        f'{tmp_path / "dataset"} --append MORE' in printed.err
    assert 'dataset: 0 ERROR, ' in printed.out
    assert '12 rows in 1 episodes from 2 bags (1 skipped, 0 splits)' in printed.out


def test_a_bag_that_fails_for_good_is_not_to_be_added_later(bags, tmp_path, capsys):
    """As one that is too short stays so."""
    assert dpr_convert(bags, '--out', tmp_path / 'dataset', '--min-rows', 10) == 3
    said = capsys.readouterr().err
    assert 'WARNING: ' in said and 'episode_000000: skipped: no stretch' in said
    assert 'can be added later' not in said


def test_nothing_usable_is_an_error(bags, tmp_path, capsys):
    """And leaves no folder."""
    assert dpr_convert(bags, '--out', tmp_path / 'dataset', '--min-rows', 50) == 1
    printed = capsys.readouterr()
    assert 'no bag gave an episode; nothing was written' in printed.err
    assert printed.out == ''
    assert not (tmp_path / 'dataset').exists()


def test_a_bag_that_is_named_twice_is_converted_once(bags, tmp_path, capsys):
    first = sorted(bags.iterdir())[0]
    assert dpr_convert(bags, first, f'{bags}/../{bags.name}', '--out', tmp_path / 'dataset') == 0
    assert f'from {len(list(bags.iterdir()))} bags' in capsys.readouterr().out


@pytest.mark.parametrize('out', ['.', '/', '..'])
def test_a_folder_without_a_name_is_an_error(bags, tmp_path, out, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert dpr_convert(bags, '--out', out) == 1
    assert 'exists already' in capsys.readouterr().err


def test_an_existing_folder_is_an_error(bags, tmp_path, capsys):
    """For datasets and for bags."""
    (tmp_path / 'dataset').mkdir()
    assert dpr_convert(bags, '--out', tmp_path / 'dataset') == 1
    assert 'never overwritten' in capsys.readouterr().err
    assert zarr_to_bags(tmp_path, tmp_path / 'dataset') == 1
    assert 'never overwritten' in capsys.readouterr().err


def test_a_full_disk_is_an_error_in_one_line(bags, tmp_path, capsys):
    """With the path and the remedy."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2500, hard))
    try:
        code = dpr_convert(bags, '--out', tmp_path / 'dataset')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1
    said = capsys.readouterr().err
    assert 'dpr convert: cannot write the' in said and str(tmp_path / 'dataset') in said
    assert 'Make room on the disk' in said


def test_a_full_disk_leaves_no_bags(bags, tmp_path, capsys):
    """Neither half ones nor some of them, which would look like all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2500, hard))
    try:
        code = zarr_to_bags(tmp_path, tmp_path / 'more')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and 'make room on the disk' in said
    assert not list(tmp_path.glob('more*'))


@pytest.mark.parametrize('command', ['bags', 'dataset'])
def test_what_a_killed_conversion_left_is_told(bags, tmp_path, command, capsys):
    """It has another name than a finished one, and is never taken for one or overwritten."""
    (tmp_path / 'out.part').mkdir()
    (tmp_path / 'out.part/some').touch()
    convert = {'bags': lambda: zarr_to_bags(tmp_path, tmp_path / 'out'),
               'dataset': lambda: dpr_convert(bags, '--out', tmp_path / 'out')}[command]
    assert convert() == 1
    assert 'out.part is left of a run that was stopped' in capsys.readouterr().err
    assert [p.name for p in tmp_path.glob('out*')] == ['out.part']
    assert [p.name for p in (tmp_path / 'out.part').iterdir()] == ['some']


def test_what_is_read_is_never_written_into(bags, tmp_path, capsys):
    """Bags and buffers."""
    assert dpr_convert(bags, '--out', bags / 'episode_000000/dataset') == 1
    assert 'which is only read; choose another --out' in capsys.readouterr().err
    assert zarr_to_bags(tmp_path, tmp_path / 'tiny.zarr/bags') == 1
    assert 'which is only read; choose another --out' in capsys.readouterr().err
    assert dpr_convert(bags, '--out', bags) == 1


def test_a_stream_that_fails_for_good_is_a_warning_at_the_end(bags, tmp_path, capsys, monkeypatch):
    """After the summary, where nobody overlooks it."""
    def convert(*args, **options):
        return ConversionSummary(bags=1, episodes=1, rows=9, warnings=['a: nothing could be used'])

    monkeypatch.setattr('diffusion_policy_ros.data.conversion.conversion.convert_bags', convert)
    assert dpr_convert(bags, '--out', tmp_path / 'dataset', '--no-report') == 0
    assert capsys.readouterr().err == 'WARNING: a: nothing could be used\n'


def test_help_tells_what_each_exit_code_means(capsys):
    with pytest.raises(SystemExit):
        dpr_convert('--help')
    said = ' '.join(capsys.readouterr().out.split())
    assert '3 the dataset is written but at least one bag is missing from it' in said
    assert 'or it has an ERROR' in said
    for default in ('(default: h264,', '(default: 8)', '(default: dataset,'):
        assert default in said


def test_a_missing_source_is_an_error(tmp_path, capsys):
    """Not a traceback."""
    assert dpr_convert(tmp_path / 'nowhere', '--out', tmp_path / 'dataset') == 1
    assert 'nowhere does not exist' in capsys.readouterr().err


@pytest.mark.parametrize('words, match', [
    (['x.zarr', '--to', 'bags'], 'needs --mapping and --contract'),
    (['bags', '--mapping', MAPPING], '--mapping is for --to bags'),
    (['bags', '--to', 'bags', '--mapping', MAPPING, '--contract', CONTRACT],
     '--to bags is for zarr buffers, bags is none'),
    (['x.zarr', 'y'], 'x.zarr is a dataset; give it alone'),
    (['x.zarr', '--cut', 'marker:/m'], '--cut is for bags, x.zarr is a dataset'),
    (['x.zarr', '--contract', CONTRACT, '--to', 'hdf5'], '--contract makes bags, or a LeRobot'),
    (['x.zarr', '--rename', 'a=b'], '--rename is for a dataset that gets a contract'),
    (['bags', '--by-order', '--contract', CONTRACT], '--by-order is for a dataset that gets a'),
    (['bags', '--rate', '10'], '--rate is for zarr and HDF5 files'),
    (['x.zarr', '--rate', '-5'], '--rate is -5.0; it is above 0 and at most 1000 Hz'),
    (['x.zarr', '--rate', '0'], '--rate is 0.0'),
    (['x.zarr', '--rate', 'nan'], '--rate is nan'),
    (['x.zarr', '--rate', 'inf', '--to', 'hdf5'], '--rate is inf'),
    (['bags', '--jobs', '0'], '--jobs is 0; it must be at least 1'),
    (['bags', '--jobs', '2', '--cluster', 'tcp://x:1'], 'give one of them'),
    (['bags', '--crf', '52'], '--crf is 52; codec h264 takes 0 (best) to 51'),
    (['bags', '--codec', 'av1', '--crf', '64'], 'codec av1 takes 0 (best) to 63'),
    (['bags', '--codec', 'h264-lossless', '--crf', '7'], 'takes none'),
    (['bags', '--min-rows', '0'], 'at least 1'),
    (['x.zarr', '--min-rows', '0'], '--min-rows is for bags, x.zarr is a dataset'),
    (['x.zarr', '--only', 'success'], '--only is for bags'),
    (['bags', '--to', 'zarr', '--codec', 'h264'], '--codec is for LeRobotDatasets, not for --to'),
    (['x.zarr', '--to', 'hdf5', '--crf', '9'], '--crf is for LeRobotDatasets, not for --to hdf5'),
    (['x.zarr', '--to', 'bags', '--mapping', MAPPING, '--contract', CONTRACT, '--task', 'Go.'],
     '--task is not for --to bags'),
    (['x.zarr', '--to', 'bags', '--mapping', MAPPING, '--contract', CONTRACT, '--jobs', '2'],
     '--jobs is for bags, x.zarr is a dataset'),
    (['bags', '--task', 'a\udcffb'], r"--task is 'a\udcffb', which is no text in UTF-8"),
    (['bags', '--out', 'o\udcff'], r"--out is 'o\udcff', which is no text in UTF-8"),
])
def test_wrong_usage_exits_with_2(tmp_path, words, match, capsys):
    """Before anything is read or written."""
    assert dpr_convert('--out', tmp_path / 'out', *words) == 2
    assert match in capsys.readouterr().err


def test_a_cut_episode_carries_its_task_and_success(bags, tmp_path, capsys):
    """A list of times, of which the part before is left out, and lossless pictures in rows."""
    (tmp_path / 'times.yaml').write_text('- {start: 0.2, end: 0.85, task: Push., success: true}')
    assert dpr_convert(bags / 'episode_000001', '--cut', f'times:{tmp_path / "times.yaml"}',
                       '--codec', 'png', '--min-rows', 5, '--out', tmp_path / 'dataset') == 0
    printed = capsys.readouterr().out
    assert '7 rows in 1 episodes from 1 bags' in printed
    assert 'cut: 1 episodes found, 0 of them discarded' in printed
    assert 'outcomes: 1 success, 0 failure, 0 without a tag' in printed
    assert LeRobotReader(tmp_path / 'dataset').episodes[0].tasks == ('Push.',)
    told = json.loads((tmp_path / 'dataset/meta/conversion.json').read_text())
    assert told['episode_list'][0]['success'] is True


def test_a_wrong_cut_is_wrong_usage(bags, tmp_path, capsys):
    assert dpr_convert(bags, '--cut', 'banana', '--out', tmp_path / 'dataset') == 2
    assert dpr_convert(bags, '--cut', '', '--out', tmp_path / 'dataset') == 2
    assert "dpr convert: cut is 'banana'; it must be one of services:PREFIX" \
        in capsys.readouterr().err
    assert not list(tmp_path.glob('dataset*'))


def test_offsets_and_lags_are_printed(bags, tmp_path, capsys):
    """In this buffer nothing moves that is measured."""
    assert dpr_convert(bags, '--out', tmp_path / 'dataset', '--no-report') == 0
    printed = capsys.readouterr().out
    assert 'joint_states: header minus receive median 0.0 ms, 5 % 0.0, 95 % 0.0, max 0.0 ms' \
        in printed
    assert 'joint_commands: lag unknown: no episode is as long as 2 s' in printed
    assert not (tmp_path / 'dataset/report.html').exists()


def test_a_report_is_written_beside_the_dataset(bags, tmp_path, capsys):
    pytest.importorskip('matplotlib')
    assert dpr_convert(bags, '--out', tmp_path / 'dataset') == 0
    assert f'report: {tmp_path / "dataset/report.html"}' in capsys.readouterr().out
    assert (tmp_path / 'dataset/report.html').is_file()


@pytest.mark.parametrize('skipped, code', [(False, 0), (True, 3)])
@pytest.mark.parametrize('place', ['audit.audit_dataset', 'report.write_page'])
def test_a_report_that_fails_is_told_and_does_not_change_the_exit_code(
        bags, tmp_path, capsys, monkeypatch, place, skipped, code):
    """As where the machine gives no more threads, or no more memory."""
    def fail(*args, **options):
        raise BlockingIOError(11, 'Resource temporarily unavailable')

    pytest.importorskip('matplotlib')
    monkeypatch.setattr(f'diffusion_policy_ros.evaluation.dataset.{place}', fail)
    if skipped:
        (bags / 'episode_000000/episode_000000.mcap').write_bytes(b'no bag at all')
    assert dpr_convert(bags, '--out', tmp_path / 'dataset') == code
    printed = capsys.readouterr()
    assert printed.err.endswith(
        'WARNING: the dataset is whole, the report failed: BlockingIOError: [Errno 11] Resource '
        'temporarily unavailable\n')
    assert printed.out.endswith('--out models/NAME\n')
    assert len(LeRobotReader(tmp_path / 'dataset').episodes) == 2 - skipped


@pytest.mark.parametrize('target, name', [('zarr', 'o.zarr'), ('hdf5', 'o.hdf5')])
def test_success_tags_that_another_format_cannot_hold_are_told(
        bags, tmp_path, capsys, target, name):
    """From bags and from a dataset; without tags nothing is lost."""
    pytest.importorskip('h5py')
    bag = bags / 'episode_000001'
    assert dpr_convert(bag, '--to', target, '--out', tmp_path / name) == 0
    assert 'WARNING' not in capsys.readouterr().err
    (tmp_path / 'times.csv').write_text('start,end,success\n0,1.1,true\n')
    cut = [bag, '--cut', f'times:{tmp_path / "times.csv"}']
    assert dpr_convert(*cut, '--to', target, '--out', tmp_path / f'2{name}') == 0
    assert dpr_convert(*cut, '--out', tmp_path / 'tagged', '--no-report') == 0
    assert dpr_convert(tmp_path / 'tagged', '--to', target, '--out', tmp_path / f'3{name}') == 0
    assert capsys.readouterr().err.count(
        f'WARNING: {target} has no place for success tags (1 success, 0 failure, 0 without') == 2


@pytest.mark.parametrize('entry, said', [
    ({'bag': 'a', 'success': None, 'alarms': ['gap']},
     'WARNING: zarr has no place for what the recorder found wrong (1 episodes with alarms: 0), '
     'the names of the bags; keep the LeRobotDataset too\n'),
    ({'bag': 'a', 'success': None, 'alarms': []},
     'NOTE: zarr has no place for the names of the bags; keep the LeRobotDataset too\n'),
    ({'bag': None, 'success': None}, '')])
def test_what_else_another_format_cannot_hold_is_told(capsys, entry, said):
    warn_of_lost_record('dataset', [entry])
    assert capsys.readouterr().err == ''
    warn_of_lost_record('zarr', [entry])
    assert capsys.readouterr().err == said


def test_ctrl_c_while_the_report_is_made_says_that_the_dataset_is_whole(
        bags, tmp_path, capsys, monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr('diffusion_policy_ros.evaluation.dataset.audit.audit_dataset', interrupt)
    assert dpr_convert(bags, '--out', tmp_path / 'dataset') == 130
    assert f'the dataset is whole; dpr check {tmp_path / "dataset"} judges it' \
        in capsys.readouterr().err
    assert LeRobotReader(tmp_path / 'dataset').episodes


def test_without_matplotlib_there_is_a_dataset_and_a_warning(bags, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'diffusion_policy_ros.evaluation.dataset.report', None)
    assert dpr_convert(bags, '--out', tmp_path / 'dataset') == 0
    assert 'WARNING: the dataset is whole, the report failed: ModuleNotFoundError: ' \
        in capsys.readouterr().err
    assert LeRobotReader(tmp_path / 'dataset').episodes


@pytest.mark.parametrize('target, name', [('zarr', 'out.zarr'), ('hdf5', 'out.hdf5')])
def test_bags_become_other_formats_and_those_a_dataset_again(
        bags, tmp_path, target, name, capsys):
    """Without loss: every value of every frame is that of the dataset made of the bags."""
    pytest.importorskip('h5py')
    assert dpr_convert(bags, '--out', tmp_path / 'direct', '--codec', 'png', '--no-report') == 0
    assert dpr_convert(bags, '--to', target, '--out', tmp_path / name) == 0
    assert not list(tmp_path.glob('*.dataset')) and not list(tmp_path.glob('*.part'))
    back = [tmp_path / name, '--out', tmp_path / 'back', '--codec', 'png', '--no-report']
    assert dpr_convert(*back) == 0
    assert '21 rows in 2 episodes' in capsys.readouterr().out
    direct, again = LeRobotReader(tmp_path / 'direct'), LeRobotReader(tmp_path / 'back')
    keys = [key for key in direct.features if 'images' not in key]
    first, second = direct.columns(keys), again.columns(keys)
    assert all(np.array_equal(first[key], second[key]) for key in keys)
    for one, other in zip(direct.frames('observation.images.camera'),
                          again.frames('observation.images.camera')):
        assert np.array_equal(one, other)
    assert [e.tasks for e in direct.episodes] == [e.tasks for e in again.episodes]


def test_several_sources_are_converted_in_their_order(bags, tmp_path):
    assert dpr_convert(bags / 'episode_000001', bags / 'episode_000000',
                       '--out', tmp_path / 'dataset', '--no-report') == 0
    assert [e.length for e in LeRobotReader(tmp_path / 'dataset').episodes] == [12, 9]


@pytest.mark.parametrize('target, name', [('zarr', 'out.zarr.zip'), ('hdf5', 'out.hdf5')])
@pytest.mark.parametrize('count', [1, 2])
def test_another_format_that_was_interrupted_goes_on(
        bags, tmp_path, target, name, count, capsys, monkeypatch):
    """Neither Ctrl-C nor kill -9 in the copy costs a conversion."""
    pytest.importorskip('h5py')
    words = [*sorted(bags.iterdir())[:count], '--to', target, '--out', tmp_path / name]
    with monkeypatch.context() as patch:
        def stop(source, writer, progress):
            raise KeyboardInterrupt

        patch.setattr('diffusion_policy_ros.data.conversion.conversion.copy_dataset', stop)
        assert dpr_convert(*words) == 130
    assert [path.name for path in tmp_path.glob('out*')] == [f'{name}.part']
    (tmp_path / f'{name}.part/made').mkdir(exist_ok=True)
    (tmp_path / f'{name}.part/made/{name}.part').write_text('what a kill leaves')
    capsys.readouterr()
    assert dpr_convert(*words) == 0
    printed = capsys.readouterr().out
    assert f'{count} from the run before' in printed and f'next: dpr check {tmp_path}' in printed
    assert [path.name for path in tmp_path.glob('out*')] == [name]
    assert main(['check', str(tmp_path / name)]) in (0, 3)
    assert f'in {count} episodes' in capsys.readouterr().out


def test_what_is_wrong_with_the_dataset_is_printed_and_shows_in_the_exit_code(
        tmp_path, capsys):
    """Commands that never change teach nothing; notes are for the report."""
    group = zarr.open_group(str(tmp_path / 'still.zarr'), mode='w')
    for name, values in {'data/img': np.full((21, 96, 96, 3), 7, np.float32),
                         'data/state': np.ones((21, 5), np.float32),
                         'data/action': np.ones((21, 2), np.float32),
                         'meta/episode_ends': np.array([9, 21])}.items():
        group[name] = values
    assert dpr_convert(tmp_path / 'still.zarr', '--mapping', MAPPING, '--contract', CONTRACT,
                       '--to', 'bags', '--out', tmp_path / 'bags') == 0
    capsys.readouterr()
    assert dpr_convert(tmp_path / 'bags', '--out', tmp_path / 'dataset') == 3
    printed = capsys.readouterr().out
    assert 'ERROR    constant: ' in printed and 'WARNING  constant: ' in printed
    assert '1 ERROR, ' in printed and '\nNOTE ' not in printed and 'next:' not in printed
    assert dpr_convert(tmp_path / 'bags', '--out', tmp_path / 'unjudged', '--no-report') == 0
    assert 'ERROR' not in capsys.readouterr().out


def tag(bag, outcome):
    """Let the recorder have tagged a bag."""
    path = bag / 'metadata.yaml'
    said = yaml.safe_load(path.read_text())
    said['rosbag2_bagfile_information']['custom_data']['outcome'] = outcome
    path.write_text(yaml.safe_dump(said))


def test_only_successes_are_converted_where_that_is_wanted(bags, tmp_path, capsys):
    """Failures and what nobody tagged are counted; to leave them out is no loss."""
    for number in range(3):
        shutil.copytree(bags / 'episode_000001', bags / f'more_{number}')
    for name, outcome in (('episode_000001', 'success'), ('more_0', 'failure'),
                          ('more_1', 'success')):
        tag(bags / name, outcome)
    assert dpr_convert(bags, '--only', 'success', '--out', tmp_path / 'some', '--no-report') == 0
    printed = capsys.readouterr()
    assert '24 rows in 2 episodes from 5 bags (0 skipped' in printed.out
    assert 'only successes: left out 1 episodes tagged as failure and 2 without a tag' \
        in printed.out
    assert 'outcomes: 2 success, 0 failure, 0 without a tag' in printed.out
    assert [line for line in printed.err.splitlines() if 'tag' in line] == [
        f'NOTE: {bags / name}: 1 of 1 episodes left out for want of a success tag'
        for name in ('episode_000000', 'more_2')]
    assert dpr_convert(bags, '--out', tmp_path / 'all', '--no-report') == 0
    assert 'outcomes: 2 success, 1 failure, 2 without a tag' in capsys.readouterr().out
    assert main(['info', str(tmp_path / 'all')]) == 0
    assert 'outcomes' in (told := capsys.readouterr().out)
    assert '2 success, 1 failure, 2 without a tag' in told
    assert main(['edit', str(tmp_path / 'all'), '--delete', '0,1', '--out',
                 str(tmp_path / 'edited')]) == 0
    assert main(['info', str(tmp_path / 'edited')]) == 0
    assert '1 success, 1 failure, 1 without a tag' in capsys.readouterr().out


def test_only_successes_of_a_bag_that_is_cut_are_converted(bags, tmp_path, capsys):
    """A tag of the cut goes before that of the bag."""
    tag(bags / 'episode_000001', 'success')
    (tmp_path / 'times.csv').write_text(
        'start,end,success\n0,0.35,true\n0.4,0.75,false\n0.8,1.15,\n')
    assert dpr_convert(bags / 'episode_000001', '--cut', f'times:{tmp_path / "times.csv"}',
                       '--only', 'success', '--min-rows', 3, '--out', tmp_path / 'dataset',
                       '--no-report') == 0
    printed = capsys.readouterr().out
    assert '8 rows in 2 episodes from 1 bags' in printed
    assert 'left out 1 episodes tagged as failure and 0 without a tag' in printed
    assert 'cut: 3 episodes found, 0 of them discarded' in printed


def test_nothing_tagged_as_success_is_an_error(bags, tmp_path, capsys):
    assert dpr_convert(bags, '--only', 'success', '--out', tmp_path / 'dataset') == 1
    printed = capsys.readouterr()
    assert 'left out 0 episodes tagged as failure and 2 without a tag' in printed.out
    assert 'nothing was written' in printed.err
    assert not list(tmp_path.glob('dataset*'))


def test_a_folder_of_bags_may_have_zarr_in_its_name(bags, tmp_path, capsys):
    bags.rename(tmp_path / 'x.zarr_rec')
    assert dpr_convert(tmp_path / 'x.zarr_rec', '--out', tmp_path / 'dataset', '--no-report') == 0
    assert '21 rows in 2 episodes from 2 bags' in capsys.readouterr().out


def test_what_goes_on_after_ctrl_c_is_told(bags, tmp_path, capsys, monkeypatch):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr('diffusion_policy_ros.data.conversion.conversion.convert_bags', stop)
    assert dpr_convert(bags, '--out', tmp_path / 'dataset') == 130
    assert 'the same command goes on where this one was stopped' in capsys.readouterr().err


def test_what_may_not_be_read_is_an_error(tmp_path, capsys, monkeypatch):
    """In one line."""
    def refuse(*args, **options):
        raise PermissionError(13, 'Permission denied')

    for name in ('is_file', 'is_dir'):
        monkeypatch.setattr(Path, name, refuse)
    assert dpr_convert(tmp_path, '--out', tmp_path / 'dataset') == 1
    said = capsys.readouterr().err
    assert said == f'dpr convert: cannot read {tmp_path}: Permission denied\n'


def test_unknown_arguments_exit_with_2(tmp_path):
    """As argparse does it."""
    for words in (['bags'], ['bags', '--out', 'x', '--codec', 'vp9'], ['--out', 'x']):
        with pytest.raises(SystemExit) as caught:
            dpr_convert(*words)
        assert caught.value.code == 2


def test_choices_and_defaults_are_those_of_the_library():
    """They are repeated here only so that `--help` stays fast."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert CODEC == DEFAULT_CODEC
    for codec in (*CODECS, PICTURE_CODEC):
        assert parser.parse_args(['bags', '--out', 'x', '--codec', codec]).codec == codec
