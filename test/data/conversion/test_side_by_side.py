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

"""Many processes, a cluster and interrupted runs make the same dataset, byte for byte."""

from contextlib import ExitStack, suppress
from dataclasses import replace
import multiprocessing
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading

from diffusion_policy_ros.data.conversion import (
    conversion, part_folder, piece, stretches, workers)
from diffusion_policy_ros.data.conversion.conversion import convert_bags
from diffusion_policy_ros.data.conversion.cutting import parse_cut
from diffusion_policy_ros.data.conversion.piece import PieceJob
from diffusion_policy_ros.data.conversion.settings import Settings
from diffusion_policy_ros.data.conversion.workers import default_jobs
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.errors import BagError, ConfigError, DatasetError
from diffusion_policy_ros.evaluation.bench_bag import FRAME_BYTES, write_bench_bag
import pytest

# Far longer than any of them needs here, and shorter than the time limit of a test.
CLUSTER_LIFE_S = 150


@pytest.fixture
def bags(tmp_path, demonstration):
    """Write five bags of different lengths; the fourth is none."""
    found = [demonstration.write_bag(tmp_path / f'bags/{k}', range(10 * k, 10 * k + 9 + k),
                                     task=f'task {k % 2}') for k in range(5)]
    (found[3] / '3.mcap').write_bytes(b'no bag at all')
    return found


def convert(bags, out, **options):
    """Convert without a progress bar; of so small pictures x264 rarely makes two unlike videos."""
    return convert_bags(bags, out, progress=False, **{'codec': 'png', **options})


def content(folder):
    """Return every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob('*')) if path.is_file()}


def told(summary):
    """Return a summary's counts."""
    return (summary.bags, summary.skipped, summary.episodes, summary.rows, summary.notes,
            summary.to_dict())


def break_into(monkeypatch, number, act):
    """Let something happen when the bag of a number is to be converted, in this process."""
    attempt = workers.attempt

    def attempted(job, on_share=None):
        return act(job) if Path(job.bag).name == str(number) else attempt(job, on_share)

    monkeypatch.setattr(workers, 'attempt', attempted)


def test_several_processes_make_what_one_makes(bags, tmp_path):
    """To the last byte, with the same summary; the bad bag costs only itself."""
    one = convert(bags, tmp_path / 'one')
    three = convert(bags, tmp_path / 'three', jobs=3)
    assert content(tmp_path / 'one') == content(tmp_path / 'three')
    assert told(one) == told(three) and (one.episodes, one.skipped) == (4, 1)
    assert [e.length for e in LeRobotReader(tmp_path / 'one').episodes] == [9, 10, 11, 13]
    assert sorted(p.name for p in tmp_path.iterdir()) == ['bags', 'one', 'three']


def test_videos_are_the_same_from_several_processes(tmp_path):
    """Pictures of a usual size, lossy."""
    write_bench_bag(tmp_path / 'a', 30 * FRAME_BYTES)
    write_bench_bag(tmp_path / 'b', 40 * FRAME_BYTES)
    bags = [tmp_path / 'a', tmp_path / 'b']
    convert(bags, tmp_path / 'one', codec='h264')
    convert(bags, tmp_path / 'two', codec='h264', jobs=2)
    assert len(list((tmp_path / 'one').rglob('*.mp4'))) == 4
    assert content(tmp_path / 'one') == content(tmp_path / 'two')


# A worker that dies is followed by another. LocalCluster gives up one that takes more than 15 s to
# come back (lost-worker-timeout), as on a busy machine, and then all wait for ever.
CLUSTER = """
import subprocess, sys, threading
from distributed import LocalCluster

def serve(address):
    while True:
        subprocess.run([sys.executable, '-m', 'distributed.cli.dask_worker', address, '--no-nanny',
                        '--nthreads', '1', '--no-dashboard', '--host', '127.0.0.1'])

with LocalCluster(n_workers=0, host='127.0.0.1', processes=False, protocol='tcp://',
                  dashboard_address='127.0.0.1:0') as cluster:
    for _ in range(int(sys.argv[1])):
        threading.Thread(target=serve, args=(cluster.scheduler_address,), daemon=True).start()
    cluster.wait_for_workers(int(sys.argv[1]))
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def start_cluster(tmp_path):
    """
    Start a cluster in a group of processes of its own, which is killed in the end.

    The function returns its process and its address. No test waits for it any longer than
    ``CLUSTER_LIFE_S``: then it is killed as well, and whoever waits is told.
    """
    pytest.importorskip('distributed')
    with ExitStack() as stack:
        def start(workers_count, **config):
            process = subprocess.Popen(
                [sys.executable, '-c', CLUSTER, str(workers_count)], start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                text=True, cwd=tmp_path, env={**os.environ, **{
                    f'DASK_DISTRIBUTED__SCHEDULER__{name}': value
                    for name, value in config.items()}})
            life = threading.Timer(CLUSTER_LIFE_S, end, [process])
            stack.callback(process.communicate)
            stack.callback(end, process)
            stack.callback(life.cancel)
            life.start()
            address = process.stdout.readline().strip()
            assert address.startswith('tcp://')
            return process, address

        yield start


def end(process):
    """Kill a process with all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def test_a_cluster_makes_what_one_process_makes(bags, tmp_path, start_cluster):
    one = convert(bags, tmp_path / 'one')
    many = convert(bags, tmp_path / 'many', cluster=start_cluster(2)[1])
    assert content(tmp_path / 'one') == content(tmp_path / 'many')
    assert told(many)[:4] == told(one)[:4]


def test_a_cluster_converts_the_parts_of_one_bag(
        tmp_path, demonstration, monkeypatch, start_cluster):
    """A long one that is cut; its episodes keep their order and their numbers."""
    (tmp_path / 'times.csv').write_text('start,end\n0.5,2\n2,3.2\n3.4,4.7\n5,6\n')
    bag = demonstration.write_bag(tmp_path / 'bag', range(60))
    cut = parse_cut(f'times:{tmp_path / "times.csv"}')
    size = part_folder.identity_of(bag)['bytes']
    monkeypatch.setattr(stretches, 'BYTES_PER_PART', 1 + size // 4)
    one = convert([bag], tmp_path / 'one', cut=cut)
    parts, keep = [], part_folder.PartFolder.keep
    monkeypatch.setattr(part_folder.PartFolder, 'keep', lambda part, number, report: (
        parts.append(number), keep(part, number, report)))
    many = convert([bag], tmp_path / 'many', cut=cut, cluster=start_cluster(2)[1])
    assert len(parts) == 3 and told(many) == told(one)
    assert [entry['cut'] for entry in many.episode_list] == [1, 2, 3, 4]
    assert content(tmp_path / 'one') == content(tmp_path / 'many')


def killed_after(number, times, notes):
    """Return an ``attempt`` that kills its process when it has converted the bag of a number."""
    def attempted(job):
        from diffusion_policy_ros.data.conversion.workers import attempt
        report = attempt(job)
        if job.bag.name == number and len(list(notes.iterdir())) < times:
            (notes / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return report

    return attempted


@pytest.mark.parametrize('workers_count, number, times, lengths', [
    (2, 1, 1, [9, 10, 11, 13]), (1, 0, 99, [10, 11, 13])])
def test_a_cluster_worker_that_is_killed_costs_at_most_its_bag(
        bags, tmp_path, monkeypatch, start_cluster, workers_count, number, times, lengths):
    """
    It is tried again, though what the worker had written is there; at last it is given up.

    The bags that wait for one worker, all of them here, count as killed with it.
    """
    (tmp_path / 'notes').mkdir()
    monkeypatch.setattr('diffusion_policy_ros.data.conversion.cluster.attempt',
                        killed_after(str(number), times, tmp_path / 'notes'))
    _, address = start_cluster(workers_count, ALLOWED_FAILURES=str(int(times == 1)),
                               WORKER_SATURATION='inf')
    summary = convert(bags, tmp_path / 'out', cluster=address)
    assert [e.length for e in LeRobotReader(tmp_path / 'out').episodes] == lengths
    assert 1 <= len(list((tmp_path / 'notes').iterdir())) <= (1 if times == 1 else 2)
    told = [n for n in summary.notes if f'{bags[number]}: skipped: the cluster failed' in n]
    assert len(told) == 4 - len(lengths) and all('KilledWorker' in note for note in told)
    assert not (tmp_path / 'out.part').exists()


def waits_at(number, path):
    """Return an ``attempt`` that waits before the bag of a number until a path exists."""
    def attempted(job):
        from diffusion_policy_ros.data.conversion.workers import attempt
        while job.bag.name == number and not path.exists():
            pass
        return attempt(job)

    return attempted


def test_a_cluster_that_goes_away_is_told_and_its_work_is_kept(
        bags, tmp_path, monkeypatch, caplog, start_cluster):
    """One sentence; the next run goes on."""
    process, address = start_cluster(1)

    def end_it(part, number, report):
        keep(part, number, report)
        end(process)

    keep = part_folder.PartFolder.keep
    with monkeypatch.context() as patch:
        patch.setattr(part_folder.PartFolder, 'keep', end_it)
        patch.setattr('diffusion_policy_ros.data.conversion.cluster.attempt',
                      waits_at('4', tmp_path / 'never'))
        with pytest.raises(ConfigError, match='the cluster tcp.* went away .* same command'):
            convert(bags, tmp_path / 'out', cluster=address)
    assert not [record for record in caplog.records if record.name.startswith('distributed')]
    assert convert(bags, tmp_path / 'out').reused >= 1
    assert [e.length for e in LeRobotReader(tmp_path / 'out').episodes] == [9, 10, 11, 13]


def test_a_cluster_that_does_not_answer_is_told(bags, tmp_path, monkeypatch):
    pytest.importorskip('distributed')
    monkeypatch.setattr('diffusion_policy_ros.data.conversion.cluster.CONNECT_TIMEOUT_S', 0.3)
    with pytest.raises(ConfigError, match='the cluster tcp://127.0.0.1:1 does not answer.*dask'):
        convert(bags, tmp_path / 'out', cluster='tcp://127.0.0.1:1')
    assert not (tmp_path / 'out.part').exists()


def test_a_worker_that_is_killed_costs_its_bag_alone(bags, tmp_path, monkeypatch):
    """It is counted, with the signal, and another one takes over."""
    begin, killed = workers._Worker.begin, []

    def begin_and_kill(worker, number, job):
        if Path(job.bag).name == '1':
            killed.append(worker._process.pid)
            os.kill(worker._process.pid, signal.SIGKILL)
        begin(worker, number, job)

    monkeypatch.setattr(workers._Worker, 'begin', begin_and_kill)
    summary = convert(bags, tmp_path / 'out', jobs=2)
    assert len(killed) == 1
    assert (summary.episodes, summary.skipped) == (3, 2)
    assert any(f'{bags[1]}: skipped: its process was ended (SIGKILL)' in n for n in summary.notes)
    assert [e.length for e in LeRobotReader(tmp_path / 'out').episodes] == [9, 11, 13]


def test_no_process_is_left_when_nobody_takes_the_next_report(tmp_path, contract):
    """As after Ctrl-C between two bags."""
    settings = Settings(None, 'png', None, 8, None, False)
    jobs = {number: PieceJob(tmp_path / 'gone', tmp_path / str(number), contract.to_yaml(),
                             settings) for number in range(3)}
    before = set(multiprocessing.active_children())
    outcomes = workers.convert_side_by_side(jobs, 2, lambda number, share: None)
    number, report = next(outcomes)
    assert report.skipped and len(set(multiprocessing.active_children()) - before) == 2
    outcomes.close()
    assert not set(multiprocessing.active_children()) - before


def test_a_fault_of_our_own_costs_one_bag(bags, tmp_path, monkeypatch):
    def fail(job, on_share):
        if Path(job.bag).name == '2':
            raise ZeroDivisionError('x')
        return real(job, on_share)

    real = workers.convert_piece
    monkeypatch.setattr(workers, 'convert_piece', fail)
    summary = convert(bags, tmp_path / 'out')
    assert (summary.episodes, summary.skipped) == (3, 2)
    assert 'ZeroDivisionError: x (a fault of the converter; please report it)' in \
        summary.notes[-1] + summary.notes[-2]


def test_an_interrupted_run_goes_on_where_it_was(bags, tmp_path, monkeypatch):
    """Finished bags are not read again, and the result is that of one run."""
    convert(bags, tmp_path / 'whole')
    with monkeypatch.context() as patch:
        def stop(job):
            raise KeyboardInterrupt

        break_into(patch, 4, stop)
        with pytest.raises(KeyboardInterrupt):
            convert(bags, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    done = []
    with monkeypatch.context() as patch:
        attempt = workers.attempt
        patch.setattr(workers, 'attempt',
                      lambda job, share: done.append(job.bag.name) or attempt(job, share))
        summary = convert(bags, tmp_path / 'out')
    assert done == ['4'] and summary.reused == 3
    assert (summary.episodes, summary.skipped) == (4, 1)
    assert content(tmp_path / 'out') == content(tmp_path / 'whole')
    assert not (tmp_path / 'out.part').exists()


def test_a_piece_that_was_damaged_meanwhile_is_made_again(bags, tmp_path, monkeypatch):
    convert(bags, tmp_path / 'whole')

    def fail(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(conversion, '_finish', fail)
        with pytest.raises(KeyboardInterrupt):
            convert(bags, tmp_path / 'out')
    data = next((tmp_path / 'out.part/pieces').glob('000001-00.*/data/*/*.parquet'))
    data.unlink()
    (tmp_path / 'out.part/pieces/000002-00.json').write_text('{"ba')
    assert convert(bags, tmp_path / 'out').reused == 2
    assert content(tmp_path / 'out') == content(tmp_path / 'whole')


SCRIPT = """
import os, sys
from diffusion_policy_ros.data.conversion import conversion, workers
attempt = workers.attempt
def attempted(job, on_share):
    if job.bag.name == '2':
        print('there', flush=True)
        sys.stdin.read()
    return attempt(job, on_share)
workers.attempt = attempted
conversion.convert_bags(sys.argv[2:], sys.argv[1], codec='png', progress=False)
"""


def test_a_killed_run_is_finished_by_the_next_and_not_disturbed_before(bags, tmp_path):
    """While it runs nobody else works in its folder; kill -9 costs the bag in flight."""
    convert(bags, tmp_path / 'whole')
    out = tmp_path / 'out'
    process = subprocess.Popen([sys.executable, '-c', SCRIPT, str(out), *map(str, bags)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b'there\n'
        with pytest.raises(DatasetError, match='out.part is being written by another conversion'):
            convert(bags, out)
    finally:
        process.kill()
        process.communicate()
    assert convert(bags, out).reused == 2
    assert content(out) == content(tmp_path / 'whole')


def running(group):
    """Return what processes of a group run, zombies that nobody waits for aside."""
    found = []
    for path in Path('/proc').glob('[0-9]*/stat'):
        with suppress(OSError):
            state, _, owner = path.read_text().rpartition(')')[2].split()[:3]
            found += [path.parent.name] if int(owner) == group and state != 'Z' else []
    return found


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_the_same_command_goes_on(tmp_path):
    """It reaches the whole group of processes, as from a terminal."""
    for number, frames in enumerate((20, 200, 200)):
        write_bench_bag(tmp_path / f'bags/{number}', frames * FRAME_BYTES)
    command = [sys.executable, '-m', 'diffusion_policy_ros.cli.main', 'convert',
               str(tmp_path / 'bags'), '--out', str(tmp_path / 'out'), '--jobs', '2',
               '--no-report']
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True)
    try:
        while not list((tmp_path / 'out.part').glob('pieces/*.json')):
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        told, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert 'the same command goes on where this one was stopped' in told
    assert 'Traceback' not in told
    while running(process.pid):  # until the test's own time limit
        pass
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    assert ' from the run before) -> ' in done.stdout
    assert LeRobotReader(tmp_path / 'out').row_count == 10 + 100 + 100


@pytest.mark.parametrize('options, said', [
    ({'codec': 'av1'}, 'settings (codec: png then, av1 now)'),
    ({'task': 'other'}, 'settings (task: None then, other now)'),
    ({'cut': parse_cut('marker:/m')}, 'settings (cut: None then'),
    ({'contract': 20}, 'settings (contract: '),
    ({'bags': 2}, 'bags, or bags that have changed')])
def test_a_conversion_of_something_else_is_not_continued(
        bags, tmp_path, monkeypatch, contract, options, said):
    """Nothing of it is touched."""
    def stop(job):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        break_into(patch, 4, stop)
        with pytest.raises(KeyboardInterrupt):
            convert(bags, tmp_path / 'out', contract=contract)
    before = content(tmp_path / 'out.part')
    kept = bags[:options.pop('bags', 5)]
    limits = {'elbow': {'velocity': 1.0}}
    options['contract'] = replace(contract, limits=limits) if 'contract' in options else contract
    with pytest.raises(DatasetError) as caught:
        convert(kept, tmp_path / 'out', **options)
    assert f'out.part is left of a conversion with other {said}' in str(caught.value)
    assert content(tmp_path / 'out.part') == before


def test_a_bag_that_could_not_be_read_is_tried_again(bags, tmp_path, monkeypatch):
    """A network disk that did not answer is no property of the bag, whole or in part."""
    def interrupt(*args):
        raise KeyboardInterrupt

    def fail(*args):
        raise BagError('cannot read the bag: stale file handle')

    with monkeypatch.context() as patch:
        patch.setattr(conversion, '_finish', interrupt)
        patch.setattr(piece, 'episode_rows', fail)
        with pytest.raises(KeyboardInterrupt):
            convert(bags[:1], tmp_path / 'all')
        patch.undo()
        patch.setattr(conversion, '_finish', interrupt)
        rows = piece.episode_rows

        def broken(*args):
            for count, row in enumerate(rows(*args)):
                if count == 9:
                    fail()
                yield row

        patch.setattr(piece, 'episode_rows', broken)
        with pytest.raises(KeyboardInterrupt):
            convert(bags[:3], tmp_path / 'out')
    again = convert(bags[:1], tmp_path / 'all')
    assert (again.reused, again.skipped, again.rows) == (0, 0, 9)
    again = convert(bags[:3], tmp_path / 'out')
    assert (again.reused, again.skipped, again.rows) == (1, 0, 30) and not again.notes


def test_what_counts_as_finished_is_on_the_disk(bags, tmp_path, monkeypatch):
    """Whenever the power goes: a piece before its report, and all before it has its name."""
    synced, fsync, replace_file, kept = set(), os.fsync, Path.rename, []

    def noted(handle):
        fsync(handle)
        found = os.fstat(handle)
        synced.add((found.st_ino, found.st_mtime_ns))

    def checked(path, target):
        files = [path] if path.is_file() else [p for p in path.rglob('*') if p.is_file()]
        if Path(target).suffix == '.json':
            kept.append(Path(target).name)
            files += Path(target).parent.glob(f'{Path(target).stem}.*/**/*.*')
        for file in filter(Path.is_file, files):
            assert (file.stat().st_ino, file.stat().st_mtime_ns) in synced, file
        return replace_file(path, target)

    monkeypatch.setattr(os, 'fsync', noted)
    monkeypatch.setattr(Path, 'rename', checked)
    convert(bags, tmp_path / 'out')
    assert len([name for name in kept if name.startswith('0')]) == 4


def test_a_bag_that_changed_is_noticed(bags, tmp_path):
    """By its size and by the time of its change."""
    before = part_folder.identity_of(bags[0])
    os.utime(bags[0] / '0.mcap', ns=(1, before['changed_ns'] + 5))
    after = part_folder.identity_of(bags[0])
    assert after['changed_ns'] == before['changed_ns'] + 5
    assert part_folder.identity_of(bags[0] / '0.mcap')['bytes'] < after['bytes']
    assert part_folder.identity_of(tmp_path / 'gone')['bytes'] == 0


def test_a_full_disk_ends_all_and_keeps_what_was_finished(
        bags, tmp_path, monkeypatch, full_disk):
    """After making room, the same call finishes it."""
    def fill(job):
        raise DatasetError('cannot write the dataset: full. Make room on the disk')

    with monkeypatch.context() as patch:
        break_into(patch, 2, fill)
        with pytest.raises(DatasetError, match='Make room'):
            convert(bags, tmp_path / 'out')
    assert convert(bags, tmp_path / 'out').reused == 2


def test_jobs_are_as_many_as_bags_bytes_cores_and_memory_allow(monkeypatch):
    monkeypatch.setattr(workers, 'usable_cores', lambda: 8)
    monkeypatch.setattr(workers, '_free_memory', lambda: 5_500_000_000)
    monkeypatch.setattr(workers, 'identity_of', lambda bag: {'bytes': 10_000_000})
    assert [default_jobs(['bag'] * n) for n in (0, 1, 3, 6, 100)] == [1, 1, 1, 3, 5]
    monkeypatch.setattr(workers, '_free_memory', lambda: 100)
    assert default_jobs(['bag'] * 9) == 1


def test_the_progress_of_several_processes_is_told(bags, tmp_path, monkeypatch):
    """Each worker tells of its bag as it goes."""
    shares, lock = {}, threading.Lock()
    run = conversion._run

    def watched(jobs, count, cluster, show):
        def shown(number, share):
            with lock:
                shares.setdefault(number, []).append(share)
            show(number, share)
        return run(jobs, count, cluster, shown)

    monkeypatch.setattr(conversion, '_run', watched)
    convert(bags, tmp_path / 'out', jobs=2)
    assert len(shares) == 4  # the fourth of the five is unusable
    for told_shares in shares.values():
        assert told_shares == sorted(told_shares) and 0 < told_shares[-1] <= 1
