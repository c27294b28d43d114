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

"""``dpr demo``: a policy drives the simulated Push-T robot over ROS 2, and a report about it."""

from contextlib import contextmanager
import hashlib
import json
import os
from pathlib import Path
import signal
import subprocess
import tempfile

from diffusion_policy_ros.errors import CheckpointError, ConfigError, DiffusionPolicyError

# The demo ends within three minutes: starting takes up to a third of that, the rest of the time
# is for the episodes and for video and report.
DEADLINE_S = 170
MAX_PLAYING_S = 120
# Above what people use by hand, and within what every operating system allows.
DOMAIN_IDS = range(90, 102)
NOTES_SHOWN = 3
COLUMNS = (('episode', 'episode', 0), ('time s', 'seconds', 1),
           ('commands/s', 'commands_per_s', 2), ('interval p99 ms', 'interval_p99_ms', 1),
           ('latency p50 ms', 'latency_p50_ms', 1), ('latency p99 ms', 'latency_p99_ms', 1),
           ('coverage', 'coverage', 3), ('max', 'max_coverage', 3))


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.add_argument('--model', type=Path, help='checkpoint folder; default: '
                        'models/pusht_image of this package')
    parser.add_argument('--rate', type=float, metavar='HZ',
                        help="commands per second, a multiple of the policy's rate, between "
                             "whose rows commands are interpolated; default: the policy's rate")
    parser.add_argument('--episodes', type=int, default=3, help='number of episodes')
    parser.add_argument('--seconds-per-episode', type=float, default=30.0, metavar='S',
                        help='longest duration of an episode, s')
    parser.add_argument('--seed', type=int, default=100_000,
                        help='seed of the first start; the others count up from it')
    parser.add_argument('--out', type=Path, default=Path('demo_report'),
                        help='folder for demo.mp4, report.pdf, report.png and demo.json')
    parser.add_argument('--view', action='store_true', help='open a window on the table')
    parser.add_argument('--domain', type=int, metavar='ID',
                        help='ROS domain; default: one that is chosen from 90 to 101')
    parser.epilog = ('Exit code: 0 when the loop held its rate, 1 when it did not or something '
                     'was in the way.')


def run(args) -> int:
    """
    Play the episodes and write the report.

    :param args: Parsed arguments.
    :return: 0 when the loop held its rate, 1 when it did not.
    :raises DiffusionPolicyError: if something else was in the way.
    """
    contract_path, rate_hz, wanted_hz = _check(args)
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='dpr_demo_') as folder, _interruptible():
        setting = _setting(args, rate_hz, wanted_hz)
        records = _play(args, Path(folder), contract_path, wanted_hz)
        figures = _report(args.out, records, setting)
    print()
    for check in figures['checks']:
        print(_check_line(check))
    notes = [note for episode in figures['episodes'] for note in episode['notes']]
    for note in notes[:NOTES_SHOWN]:
        print(f'policy_server did not command for a while: {note}')
    if len(notes) > NOTES_SHOWN:
        print(f'... and {len(notes) - NOTES_SHOWN} times more, see demo.json')
    print(f'{args.out}: demo.mp4, report.pdf, report.png, demo.json')
    return 0 if figures['passed'] else 1


def _check(args):
    """Complete and check the arguments; return contract, policy rate and wanted rate."""
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.control.timetable import is_multiple
    from diffusion_policy_ros.share import share_path

    args.model = args.model or share_path('models', 'pusht_image')
    if not args.model.is_dir():
        raise CheckpointError(f'--model is {args.model}, which is no folder; name a checkpoint '
                              'folder that dpr train wrote')
    if args.episodes < 1 or args.seed < 0 or args.seconds_per_episode <= 0:
        raise ConfigError('--episodes must be at least 1, --seed at least 0 and '
                          '--seconds-per-episode above 0')
    if args.episodes * args.seconds_per_episode > MAX_PLAYING_S:
        raise ConfigError(f'{args.episodes} episodes of {args.seconds_per_episode:g} s are more '
                          f'than the {MAX_PLAYING_S} s that the demo plays at most; lower '
                          '--episodes or --seconds-per-episode')
    contract_path = share_path('config', 'robots', 'pusht.yaml')
    rate_hz = load_contract(contract_path).rate_hz
    wanted_hz = rate_hz if args.rate is None else args.rate
    if not is_multiple(wanted_hz, rate_hz):
        raise ConfigError(f"--rate is {wanted_hz:g}; it must be a whole multiple of the policy's "
                          f'{rate_hz:g} Hz')
    return contract_path, rate_hz, wanted_hz


def _play(args, folder, contract_path, wanted_hz):
    """Start robot, policy and observer, show what they do, and return the records."""
    from diffusion_policy_ros.cli.children import Children, node_command, node_environment
    from diffusion_policy_ros.evaluation.demo_record import load_record
    from diffusion_policy_ros.share import share_path

    domain_id = DOMAIN_IDS[os.getpid() % len(DOMAIN_IDS)] if args.domain is None else args.domain
    environment = node_environment(domain_id, share_path('config', 'fastdds.xml'))
    print(f'{args.model} drives Push-T at {wanted_hz:g} commands per second, ROS domain '
          f'{domain_id}, this machine only', flush=True)
    with Children(folder, environment) as children:
        children.start('pusht_sim', node_command(
            'pusht_sim', {'seed': args.seed, 'view': args.view}))
        children.start('policy_server', node_command('policy_server', {
            'model': args.model.resolve(), 'contract': contract_path,
            'command_rate_hz': float(wanted_hz)}))
        observer = children.start('demo_observer', node_command('demo_observer', {
            'contract': contract_path, 'command_rate_hz': float(wanted_hz),
            'episodes': args.episodes, 'seconds_per_episode': float(args.seconds_per_episode),
            'records': folder}), stdout=subprocess.PIPE)
        _follow(observer, children)
    return [load_record(folder / f'episode_{number}.npz') for number in range(args.episodes)]


def _follow(observer, children):
    """Print what the observer tells until it has finished, while all others run."""
    shown = None
    for line in _lines(observer.stdout, lambda: _check_children(children)):
        event = json.loads(line)
        kind = event.pop('event')
        if kind == 'error':
            raise DiffusionPolicyError(event['text'])
        if kind == 'stage':
            print(event['text'], flush=True)
            continue
        if event['episode'] != shown:
            print('  '.join(title for title, _, _ in COLUMNS))
            shown = event['episode']
        _print_row(event, finished=kind == 'episode')
    observer.wait()
    _check_children(children, finished=observer.returncode == 0)


def _check_children(children, finished=False):
    """Pass on which process ended, with the end of its log in lines of its own."""
    try:
        children.check(allowed=('demo_observer',) if finished else ())
    except DiffusionPolicyError as error:
        reason, _, log = str(error).partition('\n')
        print(log, flush=True)
        raise DiffusionPolicyError(reason.replace('; its last words:', '; its last words are '
                                                  'above')) from error


def _lines(stream, on_pause):
    """Yield lines as they come; call ``on_pause`` twice a second and between them."""
    import select

    rest = b''
    while True:
        ready, _, _ = select.select([stream], [], [], 0.5)
        if ready:
            data = os.read(stream.fileno(), 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b'\n')
            yield from lines
        else:
            on_pause()


def _print_row(figures, finished):
    """Print one row of the live table."""
    from diffusion_policy_ros.evaluation.demo_record import number

    shown = {**figures, 'episode': figures['episode'] + 1}
    cells = (number(shown[key], digits).rjust(len(title)) for title, key, digits in COLUMNS)
    ending = ('  solved' if figures['solved'] else '  time is over') if finished else ''
    print('  '.join(cells) + ending, flush=True)


def _setting(args, rate_hz, wanted_hz):
    """Describe what is run and where, before the demo itself loads the machine."""
    from diffusion_policy_ros.evaluation.demo_report import DemoSetting
    from diffusion_policy_ros.evaluation.machine import machine_facts, package_versions

    return DemoSetting(model=_model_facts(args.model), rate_hz=rate_hz, command_rate_hz=wanted_hz,
                       machine=machine_facts(), versions=package_versions())


def _report(out, records, setting):
    """Write figures, page and video; return the figures."""
    from diffusion_policy_ros.evaluation.demo_report import demo_figures, write_report
    from diffusion_policy_ros.evaluation.demo_video import write_video
    from tqdm import tqdm

    figures = demo_figures(records, setting)
    (out / 'demo.json').write_text(json.dumps(figures, indent=1))
    write_report(out, records, figures)
    with tqdm(total=sum(len(r.frame_ns) for r in records), desc='video', unit='picture') as bar:
        write_video(out / 'demo.mp4', records,
                    f'{setting.command_rate_hz:g} commands per second', bar.update)
    return figures


def _model_facts(folder):
    """Return what identifies a checkpoint."""
    weights = folder / 'model.safetensors'
    return {'folder': str(folder), 'weights': f'{weights.stat().st_size / 1e6:.1f} MB',
            'sha256': hashlib.sha256(weights.read_bytes()).hexdigest()[:16]}


def _check_line(check):
    """Write a check that went through JSON as ``loop_timing.Check`` does."""
    from diffusion_policy_ros.evaluation.loop_timing import Check

    return str(Check(**check))


@contextmanager
def _interruptible():
    """Within it SIGTERM and SIGHUP act like Ctrl-C, and the deadline is an error."""
    def interrupt(number, frame):
        raise KeyboardInterrupt

    def expire(number, frame):
        raise DiffusionPolicyError(f'the demo was not finished after {DEADLINE_S} s; this machine '
                                   'is too busy or too slow, or lower --episodes')

    handlers = {signal.SIGTERM: interrupt, signal.SIGHUP: interrupt, signal.SIGALRM: expire}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    signal.alarm(DEADLINE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
