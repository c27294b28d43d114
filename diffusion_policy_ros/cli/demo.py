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

"""``dpr demo``: a policy drives a simulated robot over ROS 2, and a report about it."""

from collections import Counter
from contextlib import contextmanager, ExitStack
from dataclasses import replace
import fcntl
import json
import os
from pathlib import Path
import shlex
import shutil
import signal
import tempfile

from diffusion_policy_ros.cli.demo_arguments import add_arguments, check_arguments
from diffusion_policy_ros.cli.ros_domain import hold_domain
from diffusion_policy_ros.cli.simulations import load_simulation
from diffusion_policy_ros.cli.stopping import interrupting_signals
from diffusion_policy_ros.errors import ConfigError, DiffusionPolicyError
from diffusion_policy_ros.evaluation.live_simulations import LIVE

__all__ = ['add_arguments', 'run']

OUTPUTS = ('demo.mp4', 'report.pdf', 'report.png', 'demo.json')
UNFINISHED = 'unfinished_dpr_demo_'  # nobody else's folders are called so
NOTES_SHOWN = 3
MENTIONED_WITHHELD = 0.01
COLUMNS = (('episode', 'episode', 0), ('time s', 'seconds', 1),
           ('commands/s', 'commands_per_s', 2), ('interval p99 ms', 'interval_p99_ms', 1),
           ('latency p50 ms', 'latency_p50_ms', 1), ('latency p99 ms', 'latency_p99_ms', 1))


def run(args) -> int:
    """
    Play the episodes and write the report.

    :param args: Parsed arguments.
    :return: 0 when the loop held its rate, 1 when it did not.
    :raises DiffusionPolicyError: if something else was in the way.
    """
    from diffusion_policy_ros.machine import WithheldTime

    plan = check_arguments(args)
    load_simulation(plan.demo.sim)  # what it lacks on this machine is told at once
    with interrupting_signals(), _deadline(plan.demo.deadline_s), \
            _workplace(args.out) as folder:
        setting, withheld = _setting(plan), WithheldTime()
        records = _play(args, plan, folder)
        figures = _report(args.out, folder, records,
                          replace(setting, withheld=withheld.share()))
    _print_results(figures)
    print(f'{args.out}: {", ".join(OUTPUTS)}')
    return 0 if figures['passed'] else 1


def _print_results(figures):
    """Print what came of the episodes, and what may have disturbed them."""
    from diffusion_policy_ros.evaluation.demo_record import number
    from diffusion_policy_ros.evaluation.demo_report import check_lines

    solved = sum(episode['solved'] for episode in figures['episodes'])
    measured = figures['model'].get('measured')
    print(f'\nsolved {solved} of {len(figures["episodes"])}'
          + (f'; this checkpoint in lock step: {measured}' if measured else ''))
    print(check_lines(figures))
    print('real-time factor of the simulation: ' + number(figures['real_time_factor'], 2))
    if figures['withheld'] >= MENTIONED_WITHHELD:
        print(f'The host of this virtual machine withheld {figures["withheld"]:.0%} of the CPU '
              'time that was asked for; commands wait for that')
    if not all(check['passed'] for check in figures['checks']):
        print('To hold the rate, close other programs and allow real-time scheduling (dpr '
              f'doctor); load average when it began: {figures["machine"]["load average"]}, on '
              f'{figures["machine"]["cores"]} cores')
    notes = Counter(note for episode in figures['episodes'] for note in episode['notes'])
    for note, times in notes.most_common(NOTES_SHOWN):
        print(f'policy_server did not command for a while ({times}x): {note}')
    if len(notes) > NOTES_SHOWN:
        print(f'... and for {len(notes) - NOTES_SHOWN} other reasons, see demo.json')


@contextmanager
def _workplace(out):
    """
    Make the report's folder and, in it, one for unfinished work that vanishes in the end.

    Whoever works there holds a lock on it, which the end of a process, whatever its cause, frees;
    what demos that were killed have left is removed.
    """
    with ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            for left in out.glob(f'{UNFINISHED}*'):
                with _locked(left) as is_held:
                    if is_held:
                        shutil.rmtree(left)
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=out))
            stack.enter_context(_locked(folder))
        except OSError as error:
            raise ConfigError(f'--out is {out}, where no report can be written: {error}; choose '
                              'another folder') from error
        yield Path(folder)


@contextmanager
def _locked(folder):
    """Try to lock a folder within the context; tell whether nobody else has."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_held = True
        except BlockingIOError:
            is_held = False
        yield is_held
    finally:
        os.close(descriptor)


def _play(args, plan, folder):
    """Start robot, policy and observer, show what they do, and return the records."""
    from diffusion_policy_ros.cli.children import Children, node_environment
    from diffusion_policy_ros.cli.live_nodes import play_episodes
    from diffusion_policy_ros.evaluation.demo_record import load_record
    from diffusion_policy_ros.share import share_path

    sim, rate_hz = plan.demo.sim, float(plan.command_rate_hz)
    with hold_domain(args.domain) as domain_id:
        environment = node_environment(domain_id, share_path('config', 'fastdds.xml'))
        print(f'{plan.model} drives {LIVE[sim].title} at {plan.command_rate_hz:g} commands per '
              f'second, ROS domain {domain_id}, this machine only', flush=True)
        _demonstrate(args.out / 'bags', plan, folder, environment)
        with Children(folder, environment) as children:
            _follow(LIVE[sim].score, play_episodes(
                children, sim, plan.contract_path, has_safety=plan.demo.has_safety,
                simulation={'seed': args.seed, **({'view': True} if args.view else {})},
                server={'model': plan.model.resolve(), 'contract': plan.contract_path,
                        'command_rate_hz': rate_hz},
                observer={'command_rate_hz': rate_hz, 'episodes': plan.episodes,
                          'records': folder.resolve(),
                          'seconds_per_episode': float(plan.seconds_per_episode)}))
    return [load_record(folder / f'episode_{number}.npz') for number in range(plan.episodes)]


def _demonstrate(bags, plan, folder, environment):
    """Let the expert show the task first, where there is one, and tell what was recorded."""
    from diffusion_policy_ros.cli.children import Children
    from diffusion_policy_ros.cli.info_bag import describe_bags
    from diffusion_policy_ros.cli.live_nodes import record_demonstrations

    demo = plan.demo
    if not demo.demonstrations:
        return
    print(f'the expert demonstrates ({demo.demonstrations}x), the recorder writes', flush=True)
    with Children(folder, environment) as children:
        found = record_demonstrations(children, demo.sim, plan.contract_path, bags,
                                      episodes=demo.demonstrations, task=demo.task)
    for bag in found:
        facts = describe_bags(bag)
        print(f'{bag}: {facts["custom data"]["outcome"]}, {facts["messages"]} messages in '
              f'{facts["duration_s"]:.1f} s')
    print(f'many such bags become a dataset (dpr convert {shlex.quote(str(bags))} --out '
          'datasets/NAME), a dataset a policy; now the policy', flush=True)


def _follow(score, events):
    """Show what the observer tells until it has finished, while all others run."""
    columns = (*COLUMNS, (score, 'score', 3), ('best', 'best_score', 3))
    shown = None
    for kind, event in events:
        if kind == 'guard':
            continue
        if event['episode'] != shown:
            print('  '.join(title for title, _, _ in columns))
            shown = event['episode']
        _print_row(columns, event, finished=kind == 'episode')


def _print_row(columns, figures, finished):
    """Print one row of the live table."""
    from diffusion_policy_ros.evaluation.demo_record import number

    shown = {**figures, 'episode': figures['episode'] + 1}
    cells = (number(shown[key], digits).rjust(len(title)) for title, key, digits in columns)
    ending = ('  solved' if figures['solved'] else '  time is over') if finished else ''
    print('  '.join(cells) + ending, flush=True)


def _setting(plan):
    """Describe what is run and where, before the demo itself loads the machine."""
    from diffusion_policy_ros.evaluation.demo_report import DemoSetting
    from diffusion_policy_ros.machine import machine_facts, package_versions

    return DemoSetting(sim=plan.demo.sim, model=plan.model_facts, rate_hz=plan.rate_hz,
                       machine=machine_facts(), command_rate_hz=plan.command_rate_hz,
                       versions=package_versions())


def _report(out, folder, records, setting):
    """Write figures, page and video; show them when all are complete; return the figures."""
    from diffusion_policy_ros.evaluation.demo_report import demo_figures, write_report
    from diffusion_policy_ros.evaluation.demo_video import write_video
    from tqdm import tqdm

    figures = demo_figures(records, setting)
    count = sum(len(record.frame_ns) for record in records)
    try:
        (folder / 'demo.json').write_text(json.dumps(figures, indent=1))
        write_report(folder, records, figures)
        with tqdm(total=count, desc='video', unit='picture', disable=None) as bar:
            write_video(folder / 'demo.mp4', records,
                        f'{setting.command_rate_hz:g} commands per second', bar.update)
        for name in OUTPUTS:
            os.replace(folder / name, out / name)
    except OSError as error:
        raise DiffusionPolicyError(f'cannot write the report to {out}: {error}') from error
    return figures


@contextmanager
def _deadline(deadline_s):
    """Within it the deadline is an error."""
    def expire(number, frame):
        raise DiffusionPolicyError(f'the demo was not finished after {deadline_s} s; this machine '
                                   'is too busy or too slow, or lower --episodes')

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(deadline_s)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
