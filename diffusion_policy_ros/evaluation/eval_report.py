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

"""The report of an evaluation: figures as JSON, videos, and one HTML page that holds it all."""

from base64 import b64encode
from dataclasses import dataclass, field
from html import escape
import json
from pathlib import PurePath

from diffusion_policy_ros.data.files import replacing
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation.dataset.cards import image_tag
from diffusion_policy_ros.evaluation.dataset.report import STYLE
from diffusion_policy_ros.evaluation.demo_video import write_video
from diffusion_policy_ros.evaluation.eval_plots import plot_curves, plot_scores
from diffusion_policy_ros.evaluation.eval_result import RESULT
from diffusion_policy_ros.evaluation.intervals import interval_text
from diffusion_policy_ros.evaluation.live_simulations import LIVE
from diffusion_policy_ros.settings import flattened

PAGE = 'report.html'
OWN_STYLE = STYLE + """
table{border-collapse:collapse;background:#fff;font-size:13px}
td,th{border:1px solid #e2e8f0;padding:2px 10px;text-align:right}
td:first-child,th:first-child{text-align:left}
.scroll{max-height:420px;overflow:auto;display:inline-block}
.videos{display:grid;grid-template-columns:repeat(auto-fill,minmax(340px,1fr));gap:8px}
.videos video{width:100%}
"""
HOW = {
    False: 'In lock step, in simulated time: the same loop as on a robot, without ROS. What the '
           'computer takes to plan costs nothing; an injected delay does.',
    True: 'Through ROS 2 in real time: simulation, policy_server and command_safety as separate '
          'processes, so that planning takes what it takes. The seeds are the same as in lock '
          'step; a run does not repeat bit for bit.'}


@dataclass(frozen=True)
class Measured:
    """
    One evaluation, with all that a report shows of it.

    :ivar name: Its name in plots and sentences.
    :ivar settings: How it was run, ready for JSON.
    :ivar evaluation: ``Evaluation``.
    :ivar curves: ``Curves``.
    :ivar records: ``best``, ``median`` and ``worst`` to the ``EpisodeRecord`` of that episode.
    :ivar live: Figures of the live loop, text by name; empty in lock step.
    """

    name: str
    settings: dict
    evaluation: object
    curves: object
    records: dict = field(default_factory=dict)
    live: dict = field(default_factory=dict)

    @property
    def episodes(self) -> tuple:
        """Return the results of the episodes."""
        return self.evaluation.episodes

    def to_dict(self) -> dict:
        """Return settings and figures, ready for JSON."""
        live = {'live': self.live} if self.live else {}
        return {**self.settings, **live, **self.evaluation.to_dict()}


def write_folder(folder, measured, other=None, comparison=None, facts=None) -> None:
    """
    Write ``eval.json``, the videos and ``report.html``; what is there of these is replaced.

    :param folder: Folder that exists.
    :param measured: ``Measured``.
    :param other: What it was compared with: another ``Measured``, a ``StoredResult`` or None.
    :param comparison: ``Comparison`` with it.
    :param facts: Facts about machine and software, text by name.
    :raises ConfigError: if something cannot be written.
    """
    try:
        figures = {**measured.to_dict(), 'curves': measured.curves.to_dict()}
        if comparison is not None:
            figures['comparison'] = comparison.to_dict()
        # The figures first: they took longest, and drawing may be interrupted.
        with replacing(folder / RESULT) as part:
            part.write_text(json.dumps(figures, indent=1), encoding='utf-8')
        videos = {}
        for name, record in measured.records.items():
            path = folder / f'{name}.mp4'
            write_video(path, [record], PurePath(measured.name).name)
            videos[name] = (path.name, path.read_bytes(), record)
        with replacing(folder / PAGE) as part:
            part.write_text(report_html(measured, videos, other, comparison, facts or {}),
                            encoding='utf-8')
    except OSError as error:
        raise ConfigError(f'--out {folder} cannot be written: {error}') from error


def report_html(measured, videos, other, comparison, facts) -> str:
    """
    Return the page.

    :param measured: ``Measured``.
    :param videos: Name to (file name, bytes of the mp4, ``EpisodeRecord``).
    :param other: As for ``write_folder``.
    :param comparison: As for ``write_folder``.
    :param facts: As for ``write_folder``.
    """
    shown = {measured.name: measured}
    if isinstance(other, Measured):
        shown[other.name] = other
    results = {measured.name: measured.episodes}
    if comparison is not None:
        seeds = set(comparison.seeds)
        results[other.name] = [each for each in other.episodes if each.seed in seeds]
    parts = [
        _head(measured), _comparison(comparison),
        _plot('Over time', 'Share of the episodes that were solved by then, and mean of the best '
              'score so far; bands: 95 % intervals of each instant.',
              plot_curves({name: each.curves for name, each in shown.items()})),
        _plot('Scores', 'How many episodes reached which score.', plot_scores(results)),
        _videos(videos), _live(measured), _episodes(results),
        '<h2>Settings</h2>' + _table(('setting', 'value'), flattened(measured.settings).items()),
        '<h2>Machine and software</h2>' + _table(('name', 'value'), facts.items())]
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>'
            f'{escape(measured.name)}</title><style>{OWN_STYLE}</style></head><body><main>'
            f'{"".join(parts)}</main></body></html>\n')


def _head(measured):
    """Return the name and the figures."""
    figures, settings = measured.evaluation.to_dict(), measured.settings
    facts = {
        'success (95 %)': _interval(figures['success_rate'], figures['success_rate_95'], 100, 1)
        + ' %',
        'mean score (95 %)': _interval(figures['mean_score'], figures['mean_score_95'], 1, 3),
        'episodes': str(figures['episodes']), 'seconds': f'{figures["seconds"]:.0f}',
        'weights (SHA-256)': settings['model_sha256'][:16]}
    cut = '' if measured.evaluation.is_whole else \
        '<p class="hint">Stopped before its end: only the episodes that were through count.</p>'
    return (f'<h1>{escape(measured.name)} in {escape(settings["sim"])}</h1>'
            f'<p class="path">{escape(settings["model"])}</p>'
            f'<p>{HOW[settings["through_ros"]]}</p>{cut}<div class="facts">' + ''.join(
                f'<div><b>{escape(value)}</b><span>{name}</span></div>'
                for name, value in facts.items()) + '</div>')


def _comparison(comparison):
    """Return which one is better."""
    if comparison is None:
        return ''
    rows = [(name, f'{factor * test.first:.{digits}f}', f'{factor * test.second:.{digits}f}',
             _interval(test.difference, test.difference_95, factor, digits), f'{test.p:.4g}')
            for name, test, factor, digits in (
                ('success (%)', comparison.success, 100, 1),
                ('mean score', comparison.score, 1, 3))]
    first, second = comparison.names
    return ('<h2>Comparison</h2><p>' + escape(comparison.sentence()) + '</p>'
            + _table(('', first, second, 'difference (95 %)', 'p'), rows)
            + f'<p class="hint">Only {escape(first)} solved {comparison.only[0]}, only '
            f'{escape(second)} {comparison.only[1]} of the episodes. Success: the exact test '
            'of McNemar; score: permutation of signs; better is said where p is below 0.025.</p>')


def _videos(videos):
    """Return the videos, inside the page."""
    if not videos:
        return ''
    shown = ''.join(
        f'<div class="panel"><b>{name}</b>: seed {record.seed}, '
        f'best {LIVE[record.sim].score} {record.best_score:.3f} (<a href="{file}">{file}</a>)'
        f'<video controls muted preload="metadata" src="data:video/mp4;base64,'
        f'{b64encode(data).decode("ascii")}"></video></div>'
        for name, (file, data, record) in videos.items())
    return ('<h2>Episodes to see</h2><p class="hint">Red: the plan that is followed, from the due '
            'row on. These are the very episodes that were measured, not another run of them; '
            'pictures of cameras are as they were before any noise.</p>'
            f'<div class="videos">{shown}</div>')


def _live(measured):
    """Return how the live loop did."""
    return '<h2>The live loop</h2>' + _table(('figure', 'value'), measured.live.items()) \
        if measured.live else ''


def _episodes(results):
    """Return a table of all episodes; of two, side by side where the seeds are the same."""
    (name, first), *others = results.items()
    known = [{result.seed: result for result in other} for _, other in others]
    rows = []
    for result in first:
        row = [result.seed, *_cells(result)]
        for table in known:
            row += _cells(table[result.seed]) if result.seed in table else ['', '', '']
        rows.append(row)
    columns = ['seed'] + [f'{word} {PurePath(each).name}' if others else word
                          for each in results for word in ('score', 'solved', 'steps')]
    return f'<h2>Episodes</h2><div class="scroll">{_table(columns, rows)}</div>'


def _cells(result):
    """Return what the table says of an episode."""
    return [f'{result.score:.3f}', 'yes' if result.success else 'no', result.steps]


def _plot(title, hint, png):
    """Return a heading, a sentence and a plot."""
    return (f'<h2>{title}</h2><p class="hint">{hint}</p><div class="panel">'
            f'{image_tag(png, "png", title)}</div>')


def _table(columns, rows):
    """Return a table."""
    def line(cells, tag):
        return '<tr>' + ''.join(f'<{tag}>{escape(str(c))}</{tag}>' for c in cells) + '</tr>'

    return f'<table>{line(columns, "th")}{"".join(line(row, "td") for row in rows)}</table>'


def _interval(value, interval, factor, digits):
    """Write a figure with its interval."""
    return f'{factor * value:.{digits}f} ({interval_text(interval, factor, digits)})'
