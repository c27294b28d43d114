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

"""Make one dataset of many bags: the code behind `dpr convert` and the recorder's service."""

from dataclasses import dataclass, field

from diffusion_policy_ros.contract import RECORDED
from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.bags.storage_order import SetBack
from diffusion_policy_ros.data.conversion.episodes import episode_rows, Gap
from diffusion_policy_ros.data.conversion.losses import Losses, place
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.data.datasets.video import DEFAULT_CODEC
from diffusion_policy_ros.data.new_folder import check_new, check_outside
from diffusion_policy_ros.data.recorded import recorded_topics
from diffusion_policy_ros.errors import (
    BagError, ContractError, DatasetError, DiffusionPolicyError)
import numpy as np
from tqdm import tqdm

# Fewer rows make no movement: a piece this short between two gaps is left out.
DEFAULT_MIN_ROWS = 8
# A bag that goes on for at least this long after its last row is worth a warning.
MIN_LOSS_S = 1.0
BAR_FORMAT = '{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}'


@dataclass
class ConversionSummary:
    """
    What a conversion made.

    :ivar bags: Bags that were given.
    :ivar skipped: Bags that gave no episode, or broke off; each has its sentence.
    :ivar episodes: Episodes in the dataset.
    :ivar rows: Rows in the dataset.
    :ivar splits: Gaps inside bags, with rows on both sides.
    :ivar notes: One sentence per skipped bag, split and dropped piece.
    :ivar warnings: One sentence per bag whose end gave no rows.
    :ivar ages_ns: ``{topic: [age of every row in the dataset, ns]}``.
    """

    bags: int = 0
    skipped: int = 0
    episodes: int = 0
    rows: int = 0
    splits: int = 0
    notes: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    ages_ns: dict = field(default_factory=dict)

    def age_table(self) -> dict:
        """Return ``{topic: (median age, 95th percentile) in ms}`` over all rows."""
        return {topic: tuple(np.percentile(ages, [50, 95]) / 1e6)
                for topic, ages in self.ages_ns.items() if ages}


def convert_bags(paths, out, *, contract=None, task=None, codec=DEFAULT_CODEC, crf=None,
                 min_rows=DEFAULT_MIN_ROWS, progress=True, note=None) -> ConversionSummary:
    """
    Convert bags into a LeRobotDataset, streaming: no bag is ever held in memory.

    A bag that cannot be read is skipped with a sentence, and the others are converted.

    :param paths: Bags, in the order of the episodes.
    :param out: Folder of the dataset, which must not exist.
    :param contract: ``RobotContract`` to convert by; by default the one inside the bags, which
        must be the same in all of them.
    :param task: Task sentence for all episodes; by default the one inside each bag.
    :param codec: A key of ``video.CODECS``.
    :param crf: Quality of the video; None takes the codec's default.
    :param min_rows: Pieces with fewer rows are left out.
    :param progress: Show a progress bar.
    :param note: Called with each sentence of the summary's notes as it arises.
    :return: What was made. Without any usable episode no folder is left behind.
    :raises ContractError: if no contract is known, or a bag's disagrees with it.
    :raises DatasetError: if the folder exists or lies inside a bag, the contract cannot be
        stored, or the disk cannot be written; what was saved before stays, as ``<name>.part``.
    """
    check_new(out, DatasetError)
    for path in paths:
        check_outside(out, path, DatasetError)
    summary = ConversionSummary(bags=len(paths))
    report = _Report(summary, note)
    paths, contract = _usable(paths, contract, report)
    if not paths:
        return summary
    with LeRobotWriter(out, contract, codec=codec, crf=crf) as writer:
        bar = tqdm(total=len(paths), desc='converting', bar_format=BAR_FORMAT,
                   disable=None if progress else True)
        conversion = _Conversion(writer, contract, report, min_rows, bar)
        for number, path in enumerate(paths, start=1):
            conversion.convert(path, task)
            bar.update(number - bar.n)
        bar.close()
        summary.episodes, summary.rows = writer.episode_count, writer.row_count
    return summary


class _Report:
    """What is said of the bags, kept in a summary and told to a listener as it arises."""

    def __init__(self, summary, listener):
        self.summary = summary
        self._listener = listener

    def say(self, sentence):
        """Keep a note, and pass it on."""
        self.summary.notes.append(sentence)
        if self._listener:
            self._listener(sentence)

    def skip(self, path, reason, verb='skipped'):
        """Count a bag that is not in the dataset, whole or in part, and say why."""
        self.summary.skipped += 1
        self.say(f'{path}: {verb}: {reason}')


class _Conversion:
    """One run over many bags."""

    def __init__(self, writer, contract, report, min_rows, bar):
        self._writer = writer
        self._contract = contract
        self._report = report
        self._summary = report.summary
        self._summary.ages_ns = {topic: [] for topic in recorded_topics(contract)}
        self._min_rows = min_rows
        self._bar = bar
        self._pending_ages = []
        self._short_pieces = []  # rows of each piece of the bag that was left out
        self._last_ns = 0

    def convert(self, path, task):
        """Convert one bag, or say why it is skipped."""
        before, self._short_pieces = self._writer.episode_count, []
        try:
            with open_bag(path) as bag:
                task = task or bag.custom_data.get('task') or f'{self._contract.robot} task'
                losses = self._add_rows(bag, task)
        except DatasetError:
            raise  # no fault of the bag: the next one could not be written either
        except DiffusionPolicyError as error:
            self._discard()
            kept = self._writer.episode_count - before
            self._report.skip(path, error, 'broken off' if kept else 'skipped')
            return
        if len(self._short_pieces) > 1:
            self._report.say(f'{path}: {len(self._short_pieces)} such pieces in all, with '
                             f'{sum(self._short_pieces)} rows')
        if self._writer.episode_count == before:
            self._report.skip(path, '; '.join(filter(None, [
                f'no stretch of at least {self._min_rows} rows', losses.reason])))
        elif losses.tail_s >= MIN_LOSS_S:
            self._summary.warnings.append(f'{path}: nothing could be used of its last '
                                          f'{losses.tail_s:.1f} s; {losses.tail_reason}')

    def _add_rows(self, bag, task):
        """Write the rows of a bag, ending an episode at each gap; return the ``Losses``."""
        began, losses = False, Losses()
        for event in episode_rows(self._messages(bag), self._contract):
            if isinstance(event, Gap):
                self._end_piece(bag, task, event)
                losses.begin(event, self._last_ns)
                continue
            losses.end(event.tick_ns)
            self._summary.splits += began and not self._writer.pending_rows
            began = True
            self._writer.add_row(event.values, tick_ns=event.tick_ns, ages_ns=event.ages_ns)
            self._pending_ages.append(event.ages_ns)
        self._end_piece(bag, task)
        losses.finish(self._last_ns)
        return losses

    def _messages(self, bag):
        """Read the bag's messages while the progress bar follows."""
        wanted = recorded_topics(self._contract)
        share = 1 / max(1, bag.promised_count(wanted))
        for item in bag.messages(wanted):
            self._bar.update(share)
            if not isinstance(item, SetBack):
                self._last_ns = item[2]
            yield item

    def _end_piece(self, bag, task, gap=None):
        """Save the rows in flight as an episode, or leave them out when they are too few."""
        rows = self._writer.pending_rows
        why = f' {place(gap)}' if gap else ''
        if rows >= self._min_rows:
            self._save(task)
            if gap:
                self._report.say(f'{bag.path}: episode of {rows} rows ends{why}')
        elif rows:
            self._discard()
            if not self._short_pieces:
                self._report.say(f'{bag.path}: {rows} rows left out, fewer than '
                                 f'{self._min_rows}{why}')
            self._short_pieces.append(rows)

    def _save(self, task):
        """Save the rows in flight, and count their ages."""
        self._writer.save_episode(task)
        for ages_ns in self._pending_ages:
            for topic, age_ns in ages_ns.items():
                self._summary.ages_ns[topic].append(age_ns)
        self._pending_ages = []

    def _discard(self):
        """Drop the rows in flight."""
        self._writer.discard_episode()
        self._pending_ages = []


def _usable(paths, contract, report):
    """
    Sort out bags that cannot be opened, or whose own contract is invalid, with their reasons.

    :return: The other bags, and the contract to convert them by.
    :raises ContractError: if there is none for them, or theirs disagree.
    """
    source, usable = 'the given contract', []
    for path in paths:
        try:
            with open_bag(path) as bag:
                inside = bag.contract
        except (BagError, ContractError) as error:
            report.skip(path, error)
            continue
        usable.append(path)
        if contract is None:
            contract, source = inside, f'{path}'
        elif inside is not None:
            _check_agreement(path, inside, contract, source)
    if usable and contract is None:
        raise ContractError('no contract: the bags have none inside; give one with --contract')
    return usable, contract


def _check_agreement(path, inside, contract, source):
    """Refuse a bag whose numbers would mean something else under the contract."""
    found = inside.disagreements(contract, mine='recorded', theirs=source, kinds=RECORDED)
    if found:
        raise ContractError(
            f'{path} was recorded under another contract than {source}: {"; ".join(found)}. '
            'Convert it by its own contract into another dataset')
