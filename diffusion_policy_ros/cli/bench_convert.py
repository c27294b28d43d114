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

"""``dpr bench convert``: the speed and the memory of ``dpr convert`` on this machine."""

from dataclasses import asdict, dataclass
import json
from pathlib import Path
import resource
import subprocess
import sys
import tempfile
import time

from diffusion_policy_ros.choices import CODECS
from diffusion_policy_ros.cli.info_facts import size_of
from diffusion_policy_ros.cli.out_folder import make_out_folder, writing_out
from diffusion_policy_ros.cli.usage import check_range
from diffusion_policy_ros.errors import DiffusionPolicyError

OURS = 'dpr convert'
PLAIN = 'diffusion_policy_ros.evaluation.bench_plain'
MAIN = 'diffusion_policy_ros.cli.main'
WATCH_PERIOD_S = 0.02
LEAST_GB, MOST_GB = 0.02, 100.0  # a smaller bag is too short for an episode
COLUMNS = ('what', 'bag GB', 'seconds', 'CPU seconds', 'MB/s', 'times real time',
           'peak memory MB', 'of it private MB', 'output MB')
EXPLAINED = (
    'Each line is one process, from its start to its end, imports included. The bag holds two '
    '640x480 rgb8 cameras at 30 Hz with moving, noise-free pictures, and joint states and '
    'commands at 100 Hz; mcap, uncompressed, read from the page cache. MB/s: bytes of the bag per '
    'second of work, 1e6 bytes. Times real time: seconds of recording per second of work. Peak '
    'memory: the largest sum over the process and its children of what is in RAM; private is '
    'what belongs to no file. "rosbags alone" reads and deserializes every message and does '
    'nothing with it. The plain loop makes one row per picture of the first camera from what came '
    'last, and checks nothing; it writes a LeRobotDataset with lerobot and its defaults where '
    'that can be imported, and otherwise h264 videos with PyAV and one table.')
DESCRIPTION = f"""
Make bags, convert them with "dpr convert", and compare that with reading them alone and with the
plain loop that people write. {EXPLAINED} With bags of several sizes, the growth of the peak memory
from the smallest to the largest is told: a converter that streams needs as much for each. The disk
of --out needs room for the largest bag and what is made of it. Exit code: 0 measured, 1 it failed
(stderr says why), 2 wrong usage.
"""


@dataclass(frozen=True)
class Measured:
    """
    One run.

    :ivar what: What was run.
    :ivar gigabytes: Size of the bag, 1e9 bytes.
    :ivar seconds: Duration of the run, s.
    :ivar cpu_s: CPU time of the process and its children, s.
    :ivar duration_s: Duration of the recording, s.
    :ivar peak_bytes: Largest memory of the process and its children, bytes.
    :ivar private_bytes: The same of memory that belongs to no file.
    :ivar output_bytes: What was written.
    """

    what: str
    gigabytes: float
    seconds: float
    cpu_s: float
    duration_s: float
    peak_bytes: int
    private_bytes: int
    output_bytes: int

    @property
    def megabytes_per_s(self) -> float:
        """Return bytes of the bag per time, MB/s."""
        return self.gigabytes * 1e3 / self.seconds

    @property
    def real_time_factor(self) -> float:
        """Return seconds of recording per second of work."""
        return self.duration_s / self.seconds

    def cells(self) -> tuple:
        """Return the line of the table."""
        return (self.what, f'{self.gigabytes:.2f}', f'{self.seconds:.1f}', f'{self.cpu_s:.1f}',
                f'{self.megabytes_per_s:.0f}', f'{self.real_time_factor:.2f}',
                f'{self.peak_bytes / 1e6:.0f}', f'{self.private_bytes / 1e6:.0f}',
                f'{self.output_bytes / 1e6:.1f}')


def add_arguments(parser) -> None:
    """
    Declare the arguments.

    :param parser: The parser of this kind of bench.
    """
    parser.description = DESCRIPTION
    parser.add_argument('--gigabytes', type=float, nargs='+', default=[0.25, 1.0], metavar='G',
                        help='sizes of the bags that are made and converted, 1e9 bytes')
    parser.add_argument('--codec', choices=CODECS,
                        default='h264', help='how dpr convert stores pictures; the plain loop '
                                             'stays as it is')
    parser.add_argument('--out', type=Path, default=Path('convert_bench'), metavar='DIR',
                        help='folder for convert.json and convert.md, which are replaced where '
                             'they exist; the bags are made in it and removed')


def run(args) -> int:
    """
    Measure and write the report.

    :param args: Parsed arguments.
    :return: 0.
    :raises DiffusionPolicyError: if nothing could be measured.
    """
    for size in args.gigabytes:
        check_range('gigabytes', size, LEAST_GB, MOST_GB)
    make_out_folder(args.out)
    measured = []
    for _ in _measure_size(args, LEAST_GB):
        pass  # all find their libraries in the page cache
    for size in args.gigabytes:
        for row in _measure_size(args, size):
            print('  '.join(f'{name} {cell}' for name, cell in zip(COLUMNS, row.cells())),
                  flush=True)
            measured.append(row)
    growth = _growth(measured)
    told = _told(measured, growth)
    print(*told, sep='\n')
    _write(args, measured, growth, told)
    print(f'{args.out}: convert.json, convert.md')
    return 0


def _measure_size(args, size):
    """Make a bag and yield what each way to read it needs."""
    from diffusion_policy_ros.evaluation.bench_bag import write_bench_bag

    with tempfile.TemporaryDirectory(prefix='dpr_bench_', dir=args.out) as name:
        folder = Path(name)
        bag = folder / 'bag'
        duration_s = write_bench_bag(bag, size * 1e9)
        gigabytes = size_of(bag) / 1e9
        runs = (('read', [PLAIN, 'read', str(bag), str(folder / 'read')]),
                ('loop', [PLAIN, 'loop', str(bag), str(folder / 'loop')]),
                (OURS, [MAIN, 'convert', str(bag), '--out', str(folder / OURS),
                        '--codec', args.codec, '--no-report']))
        for name, words in runs:
            _read_once(bag)  # all find the bag in the page cache
            printed, used = _run_watched(words)
            what = OURS if name == OURS else printed.splitlines()[-1]
            yield Measured(what, gigabytes, duration_s=duration_s,
                           output_bytes=size_of(folder / name), **used)


def _run_watched(words):
    """Run a module in a process; return what it printed, and what it used."""
    with tempfile.TemporaryFile('w+') as printed, tempfile.TemporaryFile('w+') as told:
        began_s, began_cpu_s = time.perf_counter(), _cpu_of_children()
        process = subprocess.Popen([sys.executable, '-m', *words], stdout=printed, stderr=told,
                                   stdin=subprocess.DEVNULL)
        peaks = [0, 0]
        try:
            while process.poll() is None:
                peaks = [max(pair) for pair in zip(peaks, _memory_of_tree(process.pid))]
                time.sleep(WATCH_PERIOD_S)
        finally:
            process.kill()
            process.wait()
        used = {'seconds': time.perf_counter() - began_s,
                'cpu_s': _cpu_of_children() - began_cpu_s,
                'peak_bytes': peaks[0], 'private_bytes': peaks[1]}
        if process.returncode:
            told.seek(0)
            lines = told.read().strip().splitlines() or ['it said nothing']
            raise DiffusionPolicyError(f'python -m {" ".join(words)} ended with exit code '
                                       f'{process.returncode}: {lines[-1]}')
        printed.seek(0)
        return printed.read(), used


def _cpu_of_children():
    """Return the CPU time of all processes that were started here and have ended, s."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memory_of_tree(pid):
    """Return the memory of a process and its children: all in RAM, and private, bytes."""
    from diffusion_policy_ros.evaluation.process_usage import read_usage

    resident = private = 0
    try:
        usage = read_usage(pid)
        resident, private = usage.resident_bytes, usage.private_bytes
        for path in Path(f'/proc/{pid}/task').glob('*/children'):
            for child in path.read_text('ascii').split():
                below = _memory_of_tree(int(child))
                resident, private = resident + below[0], private + below[1]
    except (OSError, DiffusionPolicyError):
        pass  # it has just ended
    return resident, private


def _growth(measured):
    """Return how much more memory our largest bag needs than our smallest, bytes."""
    ours = sorted((row for row in measured if row.what == OURS), key=lambda row: row.gigabytes)
    return ours[-1].peak_bytes - ours[0].peak_bytes if len(ours) > 1 else None


def _told(measured, growth):
    """Compare in sentences."""
    told, others = [], []
    for row in measured:
        if row.what != OURS:
            others.append(row)
            continue
        compared = ' and '.join(
            f'{row.megabytes_per_s / other.megabytes_per_s:.2f} times as fast as {other.what} '
            f'({other.megabytes_per_s:.0f} MB/s)' for other in others)
        told.append(f'{row.gigabytes:.2f} GB: {OURS} takes {row.seconds:.1f} s, '
                    f'{row.real_time_factor:.2f} times real time, {row.megabytes_per_s:.0f} MB/s, '
                    f'which is {compared}; peak memory {row.peak_bytes / 1e6:.0f} MB')
        others = []
    if growth is not None:
        sizes = [row.gigabytes for row in measured]
        told.append(f'from {min(sizes):.2f} to {max(sizes):.2f} GB, the peak memory of {OURS} '
                    f'grows by {growth / 1e6:+.0f} MB')
    return told


def _write(args, measured, growth, told):
    """Write ``convert.json`` and ``convert.md``."""
    from diffusion_policy_ros.evaluation.bench_files import write_lines
    from diffusion_policy_ros.machine import machine_facts, package_versions

    facts = {**machine_facts(), **package_versions(
        ('diffusion_policy_ros', 'rosbags', 'av', 'numpy', 'pyarrow', 'lerobot')),
        'codec': args.codec}
    rows = [{**asdict(row), 'megabytes_per_s': row.megabytes_per_s,
             'real_time_factor': row.real_time_factor} for row in measured]
    table = [COLUMNS, ['---'] * len(COLUMNS), *(row.cells() for row in measured)]
    lines = ['# Conversion', '', '| | |', '|---|---|',
             *(f'| {name} | {text} |' for name, text in facts.items()), '', EXPLAINED, '',
             *(f'| {" | ".join(line)} |' for line in table), '', *(f'- {line}' for line in told)]
    with writing_out(args.out):
        write_lines(args.out / 'convert.json', [json.dumps(
            {'facts': facts, 'runs': rows, 'growth_bytes': growth}, indent=2)])
        write_lines(args.out / 'convert.md', lines)


def _read_once(bag):
    """Read all files of a bag."""
    for path in bag.rglob('*'):
        if path.is_file():
            with open(path, 'rb') as file:
                while file.read(1 << 24):
                    pass
