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

"""One card per episode in a dataset's report: its pictures, and how it moved."""

from base64 import b64encode
from html import escape
from pathlib import PurePath

from diffusion_policy_ros.evaluation.dataset.pictures import MOMENTS
from diffusion_policy_ros.streams import ACTION_KEY
import numpy as np

WIDTH, HEIGHT = 330, 84
MOST_ALARMS = 6  # of one bag that are written out
COLOURS = ('#2b6cb0', '#dd7a1d', '#2f855a', '#b83280', '#6b46c1', '#975a16', '#0987a0',
           '#718096')


def episode_card(audit, episode) -> str:
    """
    Return the HTML of one episode.

    :param audit: ``Audit``.
    :param episode: ``Episode`` that it shows.
    """
    pictures = [(key, audit.pictures.thumbnails.get((episode.index, key), []))
                for key in audit.source.cameras]
    seconds = episode.length / audit.source.rate_hz
    strips = ''.join(_strip(key, jpegs) for key, jpegs in pictures if jpegs)
    entry = audit.record[episode.index] if audit.record else {}
    name = (f'<b>{episode.index}</b> {seconds:.1f} s, {episode.length} rows'
            f'<i>{escape(_origin(audit, entry))}</i>'
            f'<span>{escape("; ".join(episode.tasks))}</span>')
    return (f'<div class="card" id="episode-{episode.index}"><div class="name">{name}</div>'
            f'{_alarms(entry)}'
            f'<div class="body">{strips}{_curves(audit, episode.index)}</div></div>')


def _alarms(entry):
    """Return the recorder's alarms of an episode's bag, and how the bag was repaired."""
    said = list(entry.get('alarms') or [])
    if entry.get('repaired'):
        said.append(f'repaired: {entry["repaired"]}')
    lines = [f'<div class="alarm">{escape(sentence)}</div>' for sentence in said[:MOST_ALARMS]]
    if said[MOST_ALARMS:]:
        lines.append(f'<div class="alarm">and {len(said) - MOST_ALARMS} more</div>')
    return ''.join(lines)


def _origin(audit, entry):
    """Return which bag an episode is of and how it went."""
    words = [f'bag {PurePath(entry["bag"]).name}'] if entry.get('bag') else []
    if entry.get('cut'):
        words.append(f'cut {entry["cut"]}')
    pieces = sum(other['piece'] is not None and all(other[name] == entry[name]
                                                    for name in ('bag', 'cut'))
                 for other in audit.record) if entry.get('piece') else 0
    if pieces > 1:
        words.append(f'piece {entry["piece"]} of {pieces}')
    words += {True: ['success'], False: ['failure']}.get(entry.get('success'), [])
    alarms = entry.get('alarms') or []
    if alarms:
        words.append(f'{len(alarms)} alarm' + ('s' if alarms[1:] else ''))
    if entry.get('repaired'):
        words.append('repaired')
    return ', '.join(words)


def image_tag(data, kind, title='') -> str:
    """
    Return an ``<img>`` that holds its picture.

    :param data: Bytes of the picture.
    :param kind: ``png`` or ``jpeg``.
    :param title: What it shows.
    """
    text = b64encode(data).decode('ascii')
    return f'<img alt="{escape(title)}" title="{escape(title)}" src="data:image/{kind};base64,' \
           f'{text}">'


def _strip(key, jpegs):
    """Return the first, middle and last picture of a camera."""
    name = key.rsplit('.', 1)[-1]
    pictures = ''.join(image_tag(jpeg, 'jpeg', f'{name}, {moment} row')
                       for jpeg, moment in zip(jpegs, MOMENTS))
    return f'<div class="strip">{pictures}<i>{escape(name)}</i></div>'


def _curves(audit, number):
    """Draw state (full lines) and action (dashed), each entry within its range in the dataset."""
    lines = []
    dashed = ' stroke-dasharray="3 2" opacity="0.7"'
    for key, dash in ((audit.source.state_key, ''), (ACTION_KEY, dashed)):
        study, curve = audit.studies.get(key), audit.curves.get(number, {}).get(key)
        if curve is None or study.statistics is None:
            continue
        low = study.statistics['min']
        width = np.maximum(study.statistics['max'] - low, 1e-9)
        heights = HEIGHT - 4 - (HEIGHT - 8) * np.clip((curve - low) / width, 0, 1)
        across = np.linspace(2, WIDTH - 2, len(curve))
        for entry, name in enumerate(study.names):
            points = ' '.join(f'{x:.0f},{y:.1f}' for x, y in zip(across, heights[:, entry])
                              if np.isfinite(y))
            lines.append(f'<polyline points="{points}" fill="none" stroke="{_colour(audit, name)}"'
                         f' vector-effect="non-scaling-stroke" stroke-width="1.2"{dash}>'
                         f'<title>{escape(f"{key} {name}")}</title></polyline>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">' \
           f'{"".join(lines)}</svg>' if lines else ''


def colour_key(audit) -> str:
    """
    Return which entry has which colour, as HTML.

    :param audit: ``Audit``.
    """
    return ' '.join(f'<span style="color:{_colour(audit, name)}">&#9632; {escape(name)}</span>'
                    for name in _names(audit))


def _names(audit):
    """Return the names of all entries of state and action, each once."""
    keys = [key for key in (audit.source.state_key, ACTION_KEY) if key in audit.studies]
    return list(dict.fromkeys(name for key in keys for name in audit.studies[key].names))


def _colour(audit, name):
    """Return the colour of an entry, the same for state and action."""
    return COLOURS[_names(audit).index(name) % len(COLOURS)]
