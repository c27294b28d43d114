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

"""The report of a dataset: one HTML file with everything inside, to be judged in a minute."""

import errno
from html import escape
from pathlib import Path
import re

from diffusion_policy_ros.checks import told
from diffusion_policy_ros.data.datasets.conversion_record import count_outcomes
from diffusion_policy_ros.data.datasets.lerobot_format import REPORT_PATH
from diffusion_policy_ros.data.files import replacing
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.dataset.audit import MOST_SHOWN
from diffusion_policy_ros.evaluation.dataset.cards import colour_key, episode_card, image_tag
from diffusion_policy_ros.evaluation.dataset.finding import count_levels, ERROR, WARNING
from diffusion_policy_ros.evaluation.dataset.plots import (
    plot_courses, plot_histograms, plot_lengths, plot_streams)

EPISODE = re.compile(r'episode (\d+)')
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
STYLE = """
body{font:14px/1.45 system-ui,sans-serif;color:#1a202c;background:#f4f6f9;margin:0}
main{max-width:1120px;margin:0 auto;padding:18px 22px 60px}
h1{font-size:22px;margin:6px 0 2px}h2{font-size:16px;margin:30px 0 8px}
.path{color:#718096;margin:0 0 12px}.facts{display:flex;flex-wrap:wrap;gap:8px;margin:12px 0}
.facts div{background:#fff;border:1px solid #e2e8f0;border-radius:6px;padding:6px 12px}
.facts b{display:block;font-size:17px}.facts span{color:#718096;font-size:12px}
.verdict{display:inline-block;padding:4px 12px;border-radius:14px;color:#fff;font-weight:600}
.ERROR{background:#c53030}.WARNING{background:#c05621}.NOTE{background:#4a5568}.OK{background:#2f855a}
.finding{background:#fff;border:1px solid #e2e8f0;border-radius:6px;padding:7px 12px;margin:5px 0;
display:grid;grid-template-columns:84px 110px 1fr;gap:8px}
.finding .tag{color:#fff;border-radius:4px;font-size:11px;padding:1px 0;text-align:center;
align-self:start;margin-top:2px}.finding em{color:#4a5568;font-style:normal;display:block}
a{color:#2b6cb0}.card:target{outline:2px solid #2b6cb0}
.panel{background:#fff;border:1px solid #e2e8f0;border-radius:6px;padding:8px}
.panel>img{width:100%;display:block}.hint{color:#718096;font-size:13px;margin:2px 0 8px}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(520px,1fr));gap:8px}
.card{background:#fff;border:1px solid #e2e8f0;border-radius:6px;padding:6px 8px}
.card .name{font-size:12px;color:#4a5568;margin-bottom:4px;white-space:nowrap;overflow:hidden;
text-overflow:ellipsis}.card .name b{color:#1a202c;font-size:13px;margin-right:4px}
.card .name i{font-style:normal;margin-left:8px}.card .alarm{font-size:12px;color:#c05621}
.card .name span{color:#a0aec0;margin-left:8px}.card .body{display:flex;flex-wrap:wrap;gap:8px;
align-items:center}
.strip img{height:64px;margin-right:2px;border-radius:3px;vertical-align:bottom}
.strip i{display:block;font-size:11px;color:#a0aec0;font-style:normal}
.card svg{background:#fafbfc;border-radius:4px;flex:1;min-width:320px;height:84px}
.key span{margin-right:10px;white-space:nowrap}
"""


def write_page(audit, out=None) -> Path:
    """
    Write the report of an audit.

    :param audit: ``Audit``.
    :param out: HTML file to write; None writes ``report.html`` into the dataset.
    :return: Path of the file.
    :raises DatasetError: if the file cannot be written.
    """
    path = Path(out) if out else audit.folder / REPORT_PATH
    page = report_html(audit)
    try:
        with replacing(path) as temporary:
            # The name of a bag's folder need not be text.
            temporary.write_text(page, encoding='utf-8', errors='backslashreplace')
    except OSError as error:
        room = 'make room on the disk, or ' if error.errno in NO_ROOM else ''
        raise DatasetError(f'cannot write the report {path}: {told(error)}; {room}have it written '
                           'to another place with dpr check --out') from error
    return path


def report_html(audit) -> str:
    """
    Return the report.

    :param audit: ``Audit``.
    """
    parts = [_head(audit), _findings(audit)]
    if audit.source is not None:
        parts += [_lengths(audit), _streams(audit), _numbers(audit), _cards(audit)]
    title = escape(audit.folder.resolve().name)
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f'<style>{STYLE}</style></head><body><main>{"".join(parts)}</main></body></html>\n')


def verdict(audit) -> tuple:
    """
    Return (class, words) of what all findings come to.

    :param audit: ``Audit``.
    """
    counts = count_levels(audit.findings)
    if counts[ERROR]:
        return ERROR, f'FAIL: {_counted(counts[ERROR], "error")}'
    if counts[WARNING]:
        return WARNING, f'PASS, {_counted(counts[WARNING], "thing")} to look at'
    return 'OK', 'PASS'


def _head(audit):
    """Return the name, the verdict and the facts."""
    kind, words = verdict(audit)
    text = (f'<h1>{escape(audit.folder.resolve().name)}</h1><p class="path">'
            f'{escape(str(audit.folder))}</p><span class="verdict {kind}">{words}</span>')
    if audit.source is None:
        return text
    source = audit.source
    facts = {'rows': f'{source.row_count:,}', 'episodes': f'{len(source.episodes):,}',
             'duration': _duration(source.row_count / source.rate_hz),
             'rows per second': f'{source.rate_hz:g}', 'format': source.kind}
    if audit.record:
        facts['outcomes'] = count_outcomes(audit.record)
    for key in source.cameras:
        shape = source.features[key]['shape']
        codec = audit.videos.facts[key][0] if audit.videos and key in audit.videos.facts else ''
        facts[key.rsplit('.', 1)[-1]] = f'{shape[1]}x{shape[0]} {codec}'
    for key, study in audit.studies.items():
        facts[key] = _counted(len(study.names), 'number')
    return text + '<div class="facts">' + ''.join(
        f'<div><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for name, value in facts.items()) + '</div>'


def _findings(audit):
    """Return the findings, the worst first."""
    rows = ''.join(
        f'<div class="finding"><span class="tag {f.level}">{f.level}</span><b>{escape(f.check)}'
        f'</b><span>{_linked(f.text, audit)}<em>{escape(f.remedy)}</em></span></div>'
        for f in audit.findings)
    unseen = '' if audit.every_picture or not audit.source or not audit.source.cameras else (
        '<p class="hint">Frames were counted, not all decoded; dpr check also looks for frozen, '
        'black, damaged and exchanged pictures.</p>')
    return f'<h2>Findings</h2>{rows or "<p>Nothing to report.</p>"}{unseen}'


def _linked(text, audit):
    """Return a text whose episodes lead to their cards."""
    def link(found):
        is_shown = int(found[1]) in audit.curves
        return f'<a href="#episode-{found[1]}">{found[0]}</a>' if is_shown else found[0]

    return EPISODE.sub(link, escape(text))


def _lengths(audit):
    """Return how long the episodes are."""
    return _section('Episode lengths', '', plot_lengths(audit))


def _streams(audit):
    """Return ages and rates of the streams."""
    if not any(stream.histogram.any() for stream in audit.ages.streams.values()):
        return _section('Streams', 'The dataset does not say how old its samples were.', b'')
    return _section('Streams', 'A row holds the newest sample of each stream that is not after '
                    'it. Young and below the red limit is good; fewer new samples than rows '
                    'means that a stream is slower than the dataset.', plot_streams(audit))


def _numbers(audit):
    """Return histograms and courses of state and action."""
    return _section('Values', 'What each entry was, over all rows.', plot_histograms(audit)) \
        + _section('Trajectories', f'Each entry over time (s), {len(audit.curves)} episodes in '
                   'one panel: one that differs stands out. Blue: state, orange: action.',
                   plot_courses(audit))


def _cards(audit):
    """Return the episodes one by one."""
    episodes = [e for e in audit.source.episodes if e.index in audit.curves]
    some = f'{len(episodes)} of {len(audit.source.episodes)} episodes, evenly spread. ' \
        if len(audit.source.episodes) > MOST_SHOWN else ''
    return (f'<h2>Episodes</h2><p class="hint">{some}First, middle and last picture; state (full '
            'lines) and action (dashed) over time, each entry within its range in the dataset.'
            f'</p><p class="key hint">{colour_key(audit)}</p><div class="cards">'
            + ''.join(episode_card(audit, episode) for episode in episodes) + '</div>')


def _section(title, hint, png):
    """Return a heading, a sentence and a plot."""
    plot = f'<div class="panel">{image_tag(png, "png", title)}</div>' if png else ''
    return f'<h2>{title}</h2><p class="hint">{hint}</p>{plot}'


def _counted(count, name):
    """Return a number of things in words."""
    return f'{count} {name}' + ('' if count == 1 else 's')


def _duration(seconds):
    """Return a duration in words."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min {rest} s' if minutes \
        else f'{seconds:.1f} s'
