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

"""``dpr bench all``: every bench that measures this machine, one after the other, on one page."""

from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
import shutil
import sys
import time

from diffusion_policy_ros.cli.children import Children, package_environment
from diffusion_policy_ros.cli.out_folder import make_out_folder, writing_out
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.share import share_path

MAIN = 'diffusion_policy_ros.cli.main'
PAGE = 'all.md'
MEASURED, LEFT_OUT, FAILED, STOPPED = 'measured', 'left out', 'failed', 'stopped'
NOT_HERE = {kind: f'it takes half an hour and more for one policy; run dpr bench {kind} MODEL'
            for kind in ('success', 'joins')}
# Arguments with which a bench takes a minute or two.
QUICK = {
    'chunk': ['--repeats', '3', '--down-dims', '64', '128', '256'],
    'loop': ['--seconds', '10'],
    'solvers': ['--windows', '2', '--samples', '10', '--evaluations', '2', '5',
                '--solvers', 'ddim', 'dpm_solver++'],
    'convert': ['--gigabytes', '0.1'],
    'train': ['--steps', '2', '--pairs', '1']}
DESCRIPTION = """
Run dpr bench chunk, loop, solvers, convert and train with their defaults, each in a process of its
own and in a folder of its own below --out, and put their reports on one page. With all that it
needs this takes about an hour on two cores, with --quick some minutes. What fails does not stop
the rest.
"""


@dataclass(frozen=True)
class Part:
    """
    What became of one bench.

    :ivar kind: Its name.
    :ivar result: One of the words above.
    :ivar told: Why it did not measure; how long it took, where it did.
    """

    kind: str
    result: str
    told: str


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The parser of this kind of bench.
    """
    parser.description = DESCRIPTION
    parser.add_argument('--dataset', type=Path, metavar='FOLDER',
                        help='LeRobotDataset v3.0 that dpr bench train learns from; it is left '
                             'out without')
    parser.add_argument('--lerobot-python', metavar='PATH',
                        help='Python interpreter that has lerobot, for the benches that compare '
                             'with it, or none')
    parser.add_argument('--quick', action='store_true',
                        help='a minute or two each, to see that all of them run; the figures are '
                             'of little worth')
    parser.add_argument('--out', type=Path, default=Path('all_bench'), metavar='DIR',
                        help=f'folder for {PAGE}, and for the folder and the log of each bench; '
                             'what is there of an earlier run is replaced')
    parser.epilog = ('Exit code: 0 all measured but what was left out for a reason that is told, '
                     '1 one or more failed, 2 wrong usage, 130 stopped with Ctrl-C.')


def run(args) -> int:
    """
    Run one bench after the other and write the page.

    :param args: Parsed arguments.
    :return: Exit code.
    """
    _check(args)
    make_out_folder(args.out)
    parts = []
    for kind, words in _plan(args).items():
        if isinstance(words, str):
            part = Part(kind, LEFT_OUT, words)
        elif STOPPED in {part.result for part in parts}:
            part = Part(kind, STOPPED, 'it had not begun')
        else:
            _say(f'{kind}: started, what it prints goes to {_log(args.out, kind)}')
            part = _run_one(args.out, kind, words + (QUICK[kind] if args.quick else []))
        _say(f'{kind}: {part.result}, {part.told}')
        parts.append(part)
    with writing_out(args.out):
        _write(args.out, parts, args.quick)
    print(f'{args.out}: {PAGE}')
    results = {part.result for part in parts}
    return 130 if STOPPED in results else 1 if FAILED in results else 0


def _say(line):
    """Print a line, where somebody still reads: Ctrl-C ends what the output is piped into, too."""
    with suppress(OSError):
        print(line, flush=True)


def _check(args):
    """Refuse at once what a bench would refuse an hour later."""
    if args.dataset and not (args.dataset / 'meta' / 'info.json').is_file():
        raise ConfigError(f'--dataset is {args.dataset}, which is no LeRobotDataset v3.0 (it has '
                          'no meta/info.json)')
    if args.lerobot_python not in (None, 'none') and shutil.which(args.lerobot_python) is None:
        raise ConfigError(f'--lerobot-python is {args.lerobot_python!r}, which is no program; '
                          'name a Python interpreter that has lerobot, or none')


def _plan(args):
    """Return the arguments of each bench, or why it is left out, by kind."""
    lerobot = ['--lerobot-python', args.lerobot_python] if args.lerobot_python else []
    return {
        'chunk': lerobot,
        'loop': [] if find_spec('rclpy') else 'rclpy cannot be imported; source ROS 2',
        'solvers': [str(share_path('models', 'pusht_image'))],
        'convert': [],
        'train': [str(args.dataset), *lerobot] if args.dataset else
        'there is no dataset to learn from; name one with --dataset',
        **NOT_HERE}


def _run_one(out, kind, words):
    """Run one bench to its end."""
    report = _report(out, kind)
    with writing_out(out):
        report.unlink(missing_ok=True)  # that of an earlier run must not stand for this one
    started_s = time.monotonic()
    with Children(out, package_environment()) as children:
        with writing_out(out):
            bench = children.start(kind, _command(out, kind, words))
        try:
            bench.wait()
        except KeyboardInterrupt:  # the bench has a group of its own, which no terminal reaches
            bench.terminate()  # not SIGINT: what a script starts in the background ignores that
            _say(f'{kind}: stopping; again to stop at once')
            bench.wait()
            return Part(kind, STOPPED, 'after Ctrl-C')
        last_words = children.tail(kind).splitlines()[-1]
    if bench.returncode or not report.exists():
        return Part(kind, FAILED, f'exit code {bench.returncode}: {last_words}')
    return Part(kind, MEASURED, f'{time.monotonic() - started_s:.0f} s')


def _command(out, kind, words):
    """Return the command line of one bench."""
    return [sys.executable, '-m', MAIN, 'bench', kind, *words, '--out', str(out / kind)]


def _report(out, kind):
    """Return the page that a bench writes."""
    return out / kind / f'{kind}.md'


def _log(out, kind):
    """Return the file for what a bench prints."""
    return out / f'{kind}.log'


def _write(out, parts, is_quick):
    """Write what became of each bench, and then the pages of those that have one."""
    from diffusion_policy_ros.evaluation.bench_files import write_lines

    note = ['With `--quick`: the figures are of little worth.', ''] if is_quick else []
    lines = ['# All benches', '', *note, '| bench | result | |', '|---|---|---|',
             *(f'| {part.kind} | {part.result} | {part.told.replace("|", "/")} |'
               for part in parts)]
    for part in parts:
        report = _report(out, part.kind)
        if part.result != LEFT_OUT and report.exists():
            lines += ['', *_below(report.read_text('utf-8'), part.kind)]
    write_lines(out / PAGE, lines)


def _below(text, kind):
    """Return the lines of a page for a page one folder above: smaller headings, longer paths."""
    lines, is_code = [], False
    for line in text.replace('![](', f'![]({kind}/').splitlines():
        is_code ^= line.startswith('```')
        lines.append(f'#{line}' if line.startswith('#') and not is_code else line)
    return lines
