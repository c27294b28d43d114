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

"""The figures of a demo, and its report on one page."""

from dataclasses import asdict, dataclass

from diffusion_policy_ros.evaluation.demo_record import number, percentiles, real_time_factor
from diffusion_policy_ros.evaluation.live_simulations import LIVE
from diffusion_policy_ros.evaluation.live_views import view_of
from diffusion_policy_ros.evaluation.loop_timing import (
    Check, check_timing, intervals_ms, MAX_DEVIATION_SHARE, measure_timing)
from matplotlib.figure import Figure
import numpy as np

PAGE_INCHES = (8.27, 11.69)
PNG_DPI = 110
STRIP_PICTURES = 6
MEASURED = (
    'Command interval: between arrivals of commands at a third process, stamped by the middleware '
    'on arrival, from the first command of an episode to its end; nothing is expected between '
    'episodes. Latency: from the stamp of the oldest sample that a plan starts from to the '
    'finished plan, as policy_server publishes it.')


@dataclass(frozen=True)
class DemoSetting:
    """
    What was run, and where.

    :ivar sim: Name of the simulation, a key of ``LIVE``.
    :ivar model: Name of the checkpoint and its facts, text by name.
    :ivar rate_hz: Rows per second of the policy.
    :ivar command_rate_hz: Commands per second that were wanted.
    :ivar machine: Facts about the machine, text by name.
    :ivar versions: Versions of the software, text by name.
    :ivar withheld: Share of the CPU time asked for that a virtual machine's host withheld.
    """

    sim: str
    model: dict
    rate_hz: float
    command_rate_hz: float
    machine: dict
    versions: dict
    withheld: float = 0.0


def demo_figures(records, setting) -> dict:
    """
    Return all figures of a demo, ready for JSON.

    :param records: Sequence of ``EpisodeRecord``.
    :param setting: ``DemoSetting``.
    """
    wanted_hz = setting.command_rate_hz
    timing = measure_timing([record.span for record in records], wanted_hz)
    checks = check_timing(timing, setting.withheld)
    sent = np.concatenate([np.diff(record.sent_ns) / 1e6 for record in records])
    latency = percentiles(np.concatenate([record.latency_ms for record in records]))
    return {
        'passed': all(check.passed is not False for check in checks),
        'checks': [asdict(check) for check in checks],
        'timing': timing.to_dict(),
        'sent_interval_p99_ms': percentiles(sent)[1],
        'latency_p50_ms': latency[0], 'latency_p99_ms': latency[1],
        'real_time_factor': real_time_factor(records),
        'mean_best_score': float(np.mean([record.best_score for record in records])),
        'episodes': [record.figures(wanted_hz) for record in records],
        'measured': MEASURED, **asdict(setting)}


def write_report(folder, records, figures):
    """
    Write ``report.pdf`` and ``report.png``, one page.

    :param folder: Folder to write to.
    :param records: Sequence of ``EpisodeRecord``, at least one.
    :param figures: What ``demo_figures`` returned.
    """
    live = LIVE[figures['sim']]
    page = Figure(figsize=PAGE_INCHES)
    grid = page.add_gridspec(5, 2, height_ratios=(0.8, 1.6, 1.6, 0.6, 0.9), hspace=0.45,
                             left=0.09, right=0.97, top=0.91, bottom=0.03)
    outcome = 'the loop held its rate' if figures['passed'] else 'the loop did NOT hold its rate'
    page.suptitle(f'{live.title} over ROS 2, live: {outcome}', fontsize=15, fontweight='bold')
    page.text(0.5, 0.952, check_lines(figures), ha='center', va='top', fontsize=9)
    _draw_strip(page.add_subplot(grid[0, :]), records)
    _draw_score(page.add_subplot(grid[1, :]), records, live)
    _draw_intervals(page.add_subplot(grid[2, 0]), records, figures['command_rate_hz'])
    _draw_latency(page.add_subplot(grid[2, 1]), records)
    _draw_table(page.add_subplot(grid[3, :]), figures)
    _write_facts(page.add_subplot(grid[4, :]), figures)
    page.savefig(folder / 'report.pdf')
    page.savefig(folder / 'report.png', dpi=PNG_DPI)


def check_lines(figures):
    """
    Return the checks as text, one per line.

    :param figures: What ``demo_figures`` returned, or read from its JSON.
    """
    return '\n'.join(str(Check(**check)) for check in figures['checks'])


def _draw_strip(axes, records):
    """Show pictures of the best episode, with the plan."""
    best = max(records, key=lambda record: record.best_score)
    axes.axis('off')
    if not len(best.frame_ns):
        return
    view = view_of(best.sim)
    chosen = np.linspace(0, len(best.frame_ns) - 1, STRIP_PICTURES).round().astype(int)
    pictures = [np.pad(view.pictures(best, index)[0], ((0, 0), (0, 12), (0, 0)),
                       constant_values=255) for index in chosen]
    axes.imshow(np.hstack(pictures))
    axes.set_title(f'episode {best.number + 1}, every '
                   f'{(best.end_ns - best.start_ns) / 1e9 / (STRIP_PICTURES - 1):.1f} s; '
                   'red: the plan from the due row on', fontsize=9)


def _draw_score(axes, records, live):
    """Plot the score over time."""
    for record in records:
        axes.plot((record.score_ns - record.start_ns) / 1e9, record.score[:, 0],
                  label=f'episode {record.number + 1}, seed {record.seed}')
    axes.axhline(live.goal, color='grey', linestyle='--', linewidth=1)
    axes.set(xlabel='time since the first command (s)', ylabel=f'{live.score}: {live.meaning}',
             ylim=(0, 1.02))
    axes.legend(fontsize=8, loc='upper left')


def _draw_intervals(axes, records, wanted_hz):
    """Plot the spread of the command intervals and what is allowed."""
    period_ms = 1e3 / wanted_hz
    found = intervals_ms([record.span for record in records])
    axes.hist(found, bins=np.linspace(0.5 * period_ms, 1.5 * period_ms, 81), log=True)
    for share in (1 - MAX_DEVIATION_SHARE, 1 + MAX_DEVIATION_SHARE):
        axes.axvline(share * period_ms, color='grey', linestyle='--', linewidth=1)
    beyond = int(np.sum(np.abs(found - period_ms) > 0.5 * period_ms))
    axes.set(xlabel='interval between commands (ms)', ylabel='commands',
             title=f'{len(found)} intervals, {beyond} beyond the plot')
    axes.title.set_fontsize(9)


def _draw_latency(axes, records):
    """Plot the latency of every plan over time."""
    for record in records:
        axes.plot((record.latency_ns - record.start_ns) / 1e9, record.latency_ms, '.-',
                  linewidth=0.7, markersize=4)
    axes.set(xlabel='time since the first command (s)', ylabel='picture to finished plan (ms)')
    axes.set_ylim(bottom=0)


def _draw_table(axes, figures):
    """Write one row per episode."""
    columns = ('episode', 'seed', 'time s', 'solved', f'best {LIVE[figures["sim"]].score}',
               'commands/s', 'interval p99 ms', 'latency p50 ms', 'latency p99 ms')
    rows = [(episode['episode'] + 1, episode['seed'], number(episode['seconds']),
             'yes' if episode['solved'] else 'no', number(episode['best_score'], 2),
             number(episode['commands_per_s'], 2), number(episode['interval_p99_ms']),
             number(episode['latency_p50_ms'], 0), number(episode['latency_p99_ms'], 0))
            for episode in figures['episodes']]
    axes.axis('off')
    table = axes.table(cellText=rows, colLabels=columns, loc='upper center', cellLoc='center')
    table.auto_set_font_size(False)
    table.set_fontsize(6.5)


def _write_facts(axes, figures):
    """Write model, machine, versions and what was measured."""
    axes.axis('off')
    lines = [f'{name}: ' + ', '.join(f'{key} {value}' for key, value in figures[name].items())
             for name in ('model', 'machine', 'versions')]
    lines.append(f'rates: policy {figures["rate_hz"]:g} rows per second, wanted '
                 f'{figures["command_rate_hz"]:g} commands per second; real-time factor of the '
                 f'simulation {number(figures["real_time_factor"], 2)}')
    axes.text(0, 1, '\n'.join(_wrapped([*lines, MEASURED])), va='top', fontsize=7.5,
              transform=axes.transAxes)


def _wrapped(lines, width=130):
    """Break lines at words."""
    from textwrap import wrap
    return [part for line in lines for part in wrap(line, width)]
