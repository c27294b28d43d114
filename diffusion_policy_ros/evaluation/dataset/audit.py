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

"""Look at a whole dataset once, row by row, and say what a person should know before training."""

from dataclasses import dataclass, field
from pathlib import Path

from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.conversion_record import (
    episode_entries, repeated_episodes, told_alarms)
from diffusion_policy_ros.data.datasets.formats import detect_format, open_dataset
from diffusion_policy_ros.data.progress import progress_bar
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.dataset.ages import AgesCheck
from diffusion_policy_ros.evaluation.dataset.channels import ChannelStudy, check_statistics
from diffusion_policy_ros.evaluation.dataset.contract import contract_findings
from diffusion_policy_ros.evaluation.dataset.episode_table import EpisodeTableCheck
from diffusion_policy_ros.evaluation.dataset.finding import (
    ERROR, Finding, sorted_findings, WARNING)
from diffusion_policy_ros.evaluation.dataset.frames import FramesUnderAudit
from diffusion_policy_ros.evaluation.dataset.likeness import LikenessCheck
from diffusion_policy_ros.evaluation.dataset.outliers import OutlierCheck
from diffusion_policy_ros.evaluation.dataset.pictures import PictureCheck
from diffusion_policy_ros.evaluation.dataset.rows import check_lengths, check_totals, RowsCheck
from diffusion_policy_ros.evaluation.dataset.source import LeRobotSource
from diffusion_policy_ros.evaluation.dataset.videos import VideoCheck
from diffusion_policy_ros.streams import ACTION_KEY
import numpy as np

# A page of more episodes is not looked through; these are spread evenly.
MOST_SHOWN = 120
CURVE_POINTS = 150


@dataclass
class Audit:
    """
    What an audit found, and what its report shows.

    :ivar folder: The dataset.
    :ivar source: What ``open_source`` returned, None where it could not be opened.
    :ivar findings: ``Finding`` objects, the worst first.
    :ivar studies: ``{key: ChannelStudy}``.
    :ivar ages: ``AgesCheck``.
    :ivar videos: ``VideoCheck``, None without videos.
    :ivar pictures: ``PictureCheck``.
    :ivar curves: ``{episode number: {key: values of some rows (points, D)}}``.
    :ivar every_picture: Whether all pictures were decoded.
    :ivar record: What is known of each episode, as ``conversion_record.episode_entries``; None
        without a record.
    """

    folder: Path
    source: object = None
    findings: list = field(default_factory=list)
    studies: dict = field(default_factory=dict)
    ages: object = None
    videos: object = None
    pictures: object = None
    curves: dict = field(default_factory=dict)
    every_picture: bool = True
    record: list = None

    @property
    def has_errors(self) -> bool:
        """Tell whether any finding is an ERROR."""
        return any(finding.level == ERROR for finding in self.findings)


def audit_dataset(folder, *, contract=None, every_picture=True, rate_hz=None) -> Audit:
    """
    Audit a dataset.

    Rows are read episode by episode, twice; what is kept does not grow with the dataset beyond
    some numbers per episode.

    :param folder: Folder or file of the dataset.
    :param contract: ``RobotContract`` that it shall fit, beside the one inside.
    :param every_picture: Decode every picture, to find frozen and black ones; otherwise frames
        are only counted. Formats without videos are always read whole.
    :param rate_hz: Rows per second, Hz, for formats that do not hold it.
    :return: The ``Audit``.
    :raises DatasetError: if there is no dataset.
    """
    audit = Audit(Path(folder), every_picture=every_picture)
    try:
        audit.source = open_source(folder, rate_hz)
    except DatasetError as error:
        if not (audit.folder / layout.INFO_PATH).is_file():
            raise
        audit.findings.append(Finding(ERROR, 'schema', str(error)))
        return audit
    found, repeated = _read_record(audit)
    table = EpisodeTableCheck(audit.source) if audit.source.has_bookkeeping else None
    checks = _first_look(audit, table, repeated)
    found += [*contract_findings(audit.source, contract), *check_lengths(audit.source)]
    found += [finding for check in checks for finding in check.findings()]
    found += _check_videos(audit)
    found += _second_look(audit)
    found += _episode_findings(audit, table)
    found += check_statistics(audit.source, audit.studies, audit.pictures.means)
    audit.findings = sorted_findings(dict.fromkeys([*audit.source.findings, *found]))
    return audit


def open_source(path, rate_hz=None):
    """
    Open a dataset for its audit.

    :param path: Folder or file of a dataset of any format.
    :param rate_hz: Rows per second, Hz, for formats that do not hold it.
    :return: A ``LeRobotSource`` or a ``FramesUnderAudit``.
    :raises DatasetError: if it is no dataset, its metadata contradicts itself, or its rate is
        unknown.
    """
    if detect_format(path) != 'lerobot':
        return FramesUnderAudit(path, open_dataset(path, rate_hz=rate_hz))
    if rate_hz is not None:
        open_dataset(path, rate_hz=rate_hz)  # refuses another than its own
    return LeRobotSource(path)


def _read_record(audit):
    """Read which bag each episode is of; return findings, and the numbers that are there twice."""
    if not audit.source.has_bookkeeping:
        return [], []
    try:
        audit.record = episode_entries(audit.source.reader)
        return _recorder_findings(audit.record or ()), repeated_episodes(audit.record or ())
    except DatasetError as error:
        return [Finding(WARNING, 'record', str(error), 'nothing learns from it, but dpr edit '
                        'refuses the dataset until then')], []


def _recorder_findings(entries):
    """Return what the recorder had found wrong with episodes."""
    said = told_alarms(entries)
    return [Finding(WARNING, 'recorder', said, 'the cards of the report say what it was; take '
                    'episodes out with `dpr edit`')] if said else []


def _first_look(audit, table, repeated):
    """Read all rows once; return the checks that have seen them, beside the episode table's."""
    source = audit.source
    audit.ages = AgesCheck(source)
    audit.studies = {key: ChannelStudy(key, names, source.row_count)
                     for key, names in source.vectors.items()}
    checks = [LikenessCheck(source, repeated), audit.ages, *audit.studies.values()]
    if source.has_bookkeeping:
        checks.insert(0, RowsCheck(source))
    shown = set(_shown(source))
    for rows in _with_progress(source, 'rows'):
        for check in [*checks, table] if table else checks:
            check.look(rows)
        if rows.episode.index in shown:
            chosen = np.unique(np.linspace(0, max(0, rows.count - 1), CURVE_POINTS).astype(int))
            audit.curves[rows.episode.index] = {
                key: rows.columns[key][chosen].astype(np.float32)
                for key in (source.state_key, ACTION_KEY) if key in rows.columns and rows.count}
    return checks


def _second_look(audit):
    """Read all rows again, now that it is known what is usual, and the pictures with them."""
    source = audit.source
    outliers = [OutlierCheck(study, source.contract) for key, study in audit.studies.items()
                if key in (source.state_key, ACTION_KEY) or key.startswith('observation')]
    audit.pictures = PictureCheck(source, _shown(source), every_picture=audit.every_picture)
    state = audit.studies.get(source.state_key)
    state_range = state.statistics['max'] - state.statistics['min'] \
        if state and state.statistics else None
    broken = audit.videos.broken if audit.videos else ()
    for rows in _with_progress(source, 'pictures' if source.cameras else 'rows again'):
        for check in outliers:
            check.look(rows)
        for key in source.cameras:
            if (key, rows.episode.index) not in broken:
                audit.pictures.look(rows, key, state_range)
    return [finding for check in (*outliers, audit.pictures) for finding in check.findings()]


def _episode_findings(audit, table):
    """Return what was found wrong with the episode table, now that all has been seen."""
    if table is None:
        return []
    for (number, key), mean in audit.pictures.episode_means.items():
        table.look_at_pictures(audit.source.episodes[number], key, mean)
    return table.findings()


def _check_videos(audit):
    """Count frames, where the format keeps them in videos."""
    source = audit.source
    if not source.has_bookkeeping:
        return []
    found, keys = check_totals(source), source.reader.video_keys
    if not keys:
        return found
    audit.videos = VideoCheck(source)
    with progress_bar('checking videos', source.row_count * len(keys)) as bar:
        for key in keys:
            found += audit.videos.look(key, bar.update)
    return found


def _shown(source):
    """Return the numbers of the episodes that a report shows."""
    chosen = np.unique(np.linspace(0, len(source.episodes) - 1, MOST_SHOWN).round().astype(int))
    return [source.episodes[number].index for number in chosen]


def _with_progress(source, what):
    """Yield the rows of all episodes behind a progress bar."""
    with progress_bar(f'checking {what}', source.row_count) as bar:
        for rows in source.rows():
            yield rows
            bar.update(rows.episode.length)
