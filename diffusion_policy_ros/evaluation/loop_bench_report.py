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

"""What a bench of the control loop found: lines, ``loop.json``, ``loop.md`` and ``loop.png``."""

import json

from diffusion_policy_ros.evaluation.bench_files import write_lines, write_picture
from diffusion_policy_ros.evaluation.demo_record import number
from diffusion_policy_ros.evaluation.loop_bench import MAX_GAP_PERIODS, MIB
from diffusion_policy_ros.evaluation.loop_timing import (
    Check, intervals_ms, MAX_DEVIATION_SHARE)
from matplotlib.figure import Figure
import numpy as np

OUTPUTS = ('loop.json', 'loop.md', 'loop.png')
FIGURE_INCHES = (12, 8)
NOTES_SHOWN = 3
MENTIONED_WITHHELD = 0.01
MEASURED = (
    'Intervals are those between arrivals of commands at a third process, stamped by the '
    'middleware, from the first command on; the longest time without one includes the end. Due: '
    "the command's own stamp. Arrival, decoding, sending: from a sample's stamp over its "
    'arrival and decoding, and from the date of a command to its departure, without the policy, '
    'the waits that are asked for, and those of the threads for each other. Plan latency: as '
    'policy_server publishes it. CPU and memory: from /proc, once a second; resident memory '
    'includes what is shared with other processes, such as the pictures of the middleware. '
    'Growth: median of the slopes between all pairs of samples after the first minute, or the '
    'first third of a shorter run.')


def lines(figures) -> list:
    """
    Return what a terminal shows.

    :param figures: What ``loop_figures`` returned.
    """
    server, notes = figures['server'], figures['not_commanding']
    found = [
        *(str(Check(**check)) for check in figures['checks']),
        f'policy_server: {number(server["cpu_cores"], 2)} cores, '
        f'{server["resident_mib"]:.0f} MiB resident, {server["threads"]} threads, '
        f'{number(server["involuntary_switches_per_s"])} involuntary switches per second']
    if figures['withheld'] >= MENTIONED_WITHHELD:
        found.append(f'The host of this virtual machine withheld {figures["withheld"]:.0%} of the '
                     'CPU time that was asked for; commands wait for that')
    found += [f'policy_server did not command for a while ({times}x): {note}'
              for note, times in list(notes.items())[:NOTES_SHOWN]]
    if len(notes) > NOTES_SHOWN:
        found.append(f'... and for {len(notes) - NOTES_SHOWN} other reasons, see loop.json')
    return found


def write_loop(folder, record, figures):
    """
    Write ``loop.json``, ``loop.md`` and ``loop.png``.

    :param folder: Folder that exists.
    :param record: ``LoopRecord``.
    :param figures: What ``loop_figures`` returned of it.
    """
    write_lines(folder / 'loop.json', [json.dumps(figures, indent=1)])
    text = ['# Control loop', '', *(f'- {line}' for line in lines(figures)), '',
            *_table('', ('p50', 'p99', 'max'), _spreads(figures)),
            '', *_table('', ('policy_server', 'bench_robot'), _usage(figures)),
            '', *_table('', ('',), _facts(figures)), '', MEASURED, '', '![](loop.png)']
    write_lines(folder / 'loop.md', text)
    _write_picture(folder / 'loop.png', record, figures)


def _spreads(figures):
    """Return rows of times in ms."""
    timing = figures['timing']
    rows = {'interval between commands (ms)': {
        name: timing[f'interval_{name}_ms'] for name in ('p50', 'p99', 'max')},
        'arrival, decoding, sending (ms)': figures['own_ms'],
        'due to sent (ms)': figures['due_to_sent_ms'],
        'sent to received (ms)': figures['sent_to_received_ms'],
        **{f'plan: {part.removesuffix("_ms").replace("_", " ")} (ms)': spread
           for part, spread in figures['plan_latency'].items()}}
    return {name: [number(spread.get(rank), 2) for rank in ('p50', 'p99', 'max')]
            for name, spread in rows.items()}


def _usage(figures):
    """Return rows of what the processes used."""
    columns = (('cpu_cores', 'CPU (cores)', 2), ('resident_mib', 'resident memory (MiB)', 1),
               ('private_mib', 'private memory (MiB)', 1),
               ('growth_mib_per_min', 'growth of the resident memory (MiB/min)', 2),
               ('private_growth_mib_per_min', 'growth of the private memory (MiB/min)', 2),
               ('threads', 'threads', 0),
               ('involuntary_switches_per_s', 'involuntary switches per second', 1))
    return {title: [number(figures[process][key], digits) for process in ('server', 'robot')]
            for key, title, digits in columns}


def _facts(figures):
    """Return rows of what was run, and where."""
    timing = figures['timing']
    facts = {'policy': figures['model'], 'rows per second': f'{figures["rate_hz"]:g}',
             'commands per second, wanted': f'{figures["command_rate_hz"]:g}',
             'robot': figures['streams'],
             'parameters': ', '.join(f'{name} {value}' for name, value in
                                     figures['parameters'].items()) or 'defaults',
             'seconds': f'{timing["seconds"]:.1f}', 'commands': timing['commands'] + 1,
             'plans': figures['plans'], 'CPU time withheld (host)': f'{figures["withheld"]:.1%}',
             **figures['machine'], **figures['versions']}
    return {name: [str(value)] for name, value in facts.items()}


def _table(title, columns, rows):
    """Write a table in Markdown: rows by name."""
    return [f'| {" | ".join(cells)} |' for cells in (
        (title, *columns), ['---'] * (len(columns) + 1),
        *((name, *cells) for name, cells in rows.items()))]


def _write_picture(path, record, figures):
    """Plot intervals and what the processes used."""
    page = Figure(figsize=FIGURE_INCHES, layout='constrained')
    errors, gaps, cpu, memory = page.subplots(2, 2).flat
    period_ms = 1e3 / figures['command_rate_hz']
    _draw_errors(errors, intervals_ms([record.span]) - period_ms, period_ms)
    _draw_gaps(gaps, record, period_ms)
    for process in record.usage:
        cpu.plot(record.usage_s[1:], record.cpu_cores(process), linewidth=1, label=process)
    cpu.set(xlabel='time (s)', ylabel='busy cores')
    for name, style in (('resident', '-'), ('private', ':')):
        memory.plot(record.usage_s, record.usage['server'][f'{name}_bytes'] / MIB, style,
                    label=f'policy_server, {name}')
    memory.set(xlabel='time (s)', ylabel='memory (MiB)')
    for axes in (cpu, memory):
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=8)
    write_picture(path, page)


def _draw_errors(axes, errors_ms, period_ms):
    """Plot the spread of the interval errors and what is allowed."""
    edge_ms = 0.5 * period_ms
    axes.hist(errors_ms, bins=np.linspace(-edge_ms, edge_ms, 101), log=len(errors_ms) > 0)
    for sign in (-1, 1):
        axes.axvline(sign * MAX_DEVIATION_SHARE * period_ms, color='grey', linestyle='--',
                     linewidth=1)
    beyond = int(np.sum(np.abs(errors_ms) > edge_ms))
    axes.set(xlabel=f'interval between commands minus {period_ms:.1f} ms (ms)',
             ylabel='commands', title=f'{len(errors_ms)} intervals, {beyond} beyond the plot')


def _draw_gaps(axes, record, period_ms):
    """Plot every interval over time and the longest that is allowed."""
    time_s = (record.received_ns[1:] - record.usage_ns[0]) / 1e9
    axes.plot(time_s, intervals_ms([record.span]), '.', markersize=2)
    axes.axhline(MAX_GAP_PERIODS * period_ms, color='grey', linestyle='--', linewidth=1)
    axes.set(xlabel='time (s)', ylabel='interval between commands (ms)')
    axes.set_ylim(bottom=0)
