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

"""What a conversion did: of one bag, and of all of them together."""

from dataclasses import asdict, dataclass, field

from diffusion_policy_ros.data.conversion.lag import LagEstimator
from diffusion_policy_ros.data.conversion.stamp_offsets import StampOffsets
from diffusion_policy_ros.data.datasets.conversion_record import count_outcomes
from diffusion_policy_ros.data.datasets.histogram import Histogram
from diffusion_policy_ros.data.recorded import recorded_entries


@dataclass(kw_only=True)
class Counts:
    """
    What is counted of one bag, and added up over all.

    :ivar splits: Gaps inside episodes, with rows on both sides.
    :ivar cuts: Episodes that the cut found, None without a cut.
    :ivar dropped: Episodes that the demonstrator had discarded.
    :ivar failed: Episodes left out because they are tagged as a failure.
    :ivar untagged: Episodes left out because nobody tagged them.
    :ivar notes: One sentence per skipped bag, split, dropped piece and whatever else is left out.
    :ivar warnings: One sentence where a beginning or an end gave no rows; those of all bags also
        where one had lost something before the conversion, where the recorder had alarms, and
        where a topic's headers lie in the future.
    """

    splits: int = 0
    cuts: int = None
    dropped: int = 0
    failed: int = 0
    untagged: int = 0
    notes: list = field(default_factory=list)
    warnings: list = field(default_factory=list)

    def add_counts(self, other) -> None:
        """
        Add what was counted elsewhere.

        :param other: Other ``Counts``.
        """
        self.splits += other.splits
        if other.cuts is not None:
            self.cuts = (self.cuts or 0) + other.cuts
        self.dropped += other.dropped
        self.failed += other.failed
        self.untagged += other.untagged
        self.notes += other.notes
        self.warnings += other.warnings


@dataclass
class PieceReport(Counts):
    """
    What became of one bag; plain values, so that JSON holds it.

    :ivar bag: Path of the bag, as it was given.
    :ivar folder: Name of the folder with its dataset, '' where it gave no episode.
    :ivar files: ``{path in that folder: bytes}``.
    :ivar skipped: It gave no episode, or broke off.
    :ivar lost: The notes that tell what is missing from the dataset.
    :ivar may_pass: It did so because it could not be read, or its process ended: another time it
        may be converted.
    :ivar invented_task: The task sentence that was made up for want of one, '' without any.
    :ivar episodes: ``conversion_record.EPISODE_FIELDS`` of each but for the bag.
    :ivar losses: What the bag had lost before the conversion, one sentence each.
    :ivar undecoded: ``Bag.undecoded`` of a part of a bag; it is no part of the losses yet.
    :ivar ages: ``{topic: Histogram.to_dict()}`` of the rows in the dataset.
    :ivar stamps: ``{topic: StampOffsets.to_dict()}`` of all messages.
    :ivar lags: ``LagEstimator.to_dict()``.
    """

    bag: str
    folder: str = ''
    files: dict = field(default_factory=dict)
    skipped: bool = False
    lost: list = field(default_factory=list)
    may_pass: bool = False
    invented_task: str = ''
    episodes: list = field(default_factory=list)
    losses: list = field(default_factory=list)
    undecoded: dict = field(default_factory=dict)
    ages: dict = field(default_factory=dict)
    stamps: dict = field(default_factory=dict)
    lags: dict = field(default_factory=dict)

    def skip(self, reason, verb='skipped', may_pass=False) -> None:
        """
        Note that the bag is not in the dataset, whole or in part.

        :param reason: Why.
        :param verb: What happened to it.
        :param may_pass: Whether the reason may be gone another time.
        """
        self.skipped = True
        self.may_pass |= may_pass
        self.say(f'{verb}: {reason}', is_loss=True)

    def say(self, sentence, is_loss=False) -> None:
        """
        Note something about the bag.

        :param sentence: What is to be told.
        :param is_loss: Whether the dataset lacks something that it should have.
        """
        self.notes.append(f'{self.bag}: {sentence}')
        self.lost += self.notes[-1:] if is_loss else []

    def told(self, first=0) -> list:
        """
        Return the notes with their level.

        :param first: Number of the first one.
        """
        return [f'{"WARNING" if note in self.lost else "NOTE"}: {note}'
                for note in self.notes[first:]]


@dataclass
class ConversionSummary(Counts):
    """
    What a conversion made.

    :ivar bags: Bags that were given.
    :ivar skipped: Bags that gave no episode, or broke off; each has its sentence.
    :ivar may_pass: How many of them, or of their parts, failed for a reason that may pass.
    :ivar reused: Bags that an earlier, interrupted run had converted.
    :ivar episodes: Episodes in the dataset.
    :ivar rows: Rows in the dataset.
    :ivar ages: ``{topic: Histogram}``, in ns, over every row in the dataset.
    :ivar stamps: ``{topic: StampOffsets}`` over every message with a dated header.
    :ivar lags: A ``Lag`` for each output.
    :ivar offsets_ms: ``{topic: offset_ms}`` of each output, as the contract says.
    :ivar episode_list: ``conversion_record.EPISODE_FIELDS`` of each episode.
    """

    bags: int = 0
    skipped: int = 0
    may_pass: int = 0
    reused: int = 0
    episodes: int = 0
    rows: int = 0
    ages: dict = field(default_factory=dict)
    stamps: dict = field(default_factory=dict)
    lags: list = field(default_factory=list)
    offsets_ms: dict = field(default_factory=dict)
    episode_list: list = field(default_factory=list)

    def age_table(self) -> dict:
        """Return ``{topic: (median age, 95th percentile) in ms}`` over all rows."""
        return {topic: tuple(float(ages.quantile(share)[0]) / 1e6 for share in (0.5, 0.95))
                for topic, ages in self.ages.items() if ages.count}

    def add(self, report) -> None:
        """
        Count one bag.

        :param report: Its ``PieceReport``.
        """
        self.skipped += report.skipped
        self.may_pass += report.may_pass
        self.episodes += len(report.episodes)
        self.rows += sum(episode['rows'] for episode in report.episodes)
        self.warnings += [f'{report.bag}: {loss}' for loss in report.losses]
        alarms = report.episodes[0]['alarms'] if report.episodes else None
        if alarms:
            self._warn_once(f'{report.bag}: recorded with alarms: {"; ".join(alarms)}')
        self.add_counts(report)
        self.episode_list += [{'bag': report.bag, **episode} for episode in report.episodes]
        for topic, stored in report.ages.items():
            counted = self.ages.setdefault(topic, Histogram(1, is_whole=True))
            counted.merge(Histogram.from_dict(stored))
        for topic, stored in report.stamps.items():
            self.stamps.setdefault(topic, StampOffsets()).merge(StampOffsets.from_dict(stored))

    def warn_of_tasks(self, reports) -> None:
        """
        Warn of bags for which a task sentence was made up.

        :param reports: Their ``PieceReport``.
        """
        for task in dict.fromkeys(report.invented_task for report in reports):
            bags = list(dict.fromkeys(r.bag for r in reports if r.invented_task == task))
            if task:
                more = f' and {len(bags) - 1} more bags' if bags[1:] else ''
                self.warnings.append(
                    f'{bags[0]}{more}: no task sentence; {task!r} is written for their episodes; '
                    'give --task SENTENCE')

    def warn_of_stamps(self, contract) -> None:
        """
        Warn of topics whose headers lie in the future: a row cannot take such a sample in time.

        :param contract: The ``RobotContract``.
        """
        for entry in recorded_entries(contract):
            offsets = self.stamps.get(entry.topic)
            if entry.stamp != 'receive' and offsets is not None and offsets.are_ahead():
                self._warn_once(
                    f'{entry.topic}: headers are stamped after the message arrived '
                    f'({offsets.sentence()}), so that rows hold older samples than there were; '
                    'let both machines use one clock (chrony, PTP), or write "stamp: receive"')

    def count_lags(self, contract, reports) -> None:
        """
        Find the lag of each output over all bags.

        :param contract: The ``RobotContract``.
        :param reports: Their ``PieceReport``.
        """
        estimator = LagEstimator(contract)
        for report in reports:
            estimator.merge(report.lags)
        self.lags = estimator.results()
        self.offsets_ms = {output.topic: output.offset_ms for output in contract.actions}

    def _warn_once(self, sentence):
        """Add a warning; the parts of one bag have it in common."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def to_dict(self) -> dict:
        """Return what is kept beside the dataset, as JSON can hold it."""
        return {
            'bags': self.bags, 'skipped': self.skipped, 'episodes': self.episodes,
            'rows': self.rows, 'splits': self.splits, 'cuts': self.cuts, 'dropped': self.dropped,
            'failed': self.failed, 'untagged': self.untagged,
            'notes': self.notes, 'warnings': self.warnings,
            'ages': {topic: {'median_ms': median, 'p95_ms': p95}
                     for topic, (median, p95) in self.age_table().items()},
            'header_minus_receive': {t: s.figures() for t, s in self.stamps.items()},
            'lags': [{**asdict(lag), 'sentence': lag.sentence(self.offsets_ms[lag.topic])}
                     for lag in self.lags],
            'episode_list': self.episode_list}

    def lines(self) -> list:
        """Return the summary's details, one line each; without any row, where they are."""
        told = []
        if self.cuts is not None:
            told.append(f'  cut: {self.cuts} episodes found, {self.dropped} of them discarded by '
                        'the demonstrator')
        if self.failed or self.untagged:
            told.append(f'  only successes: left out {self.failed} episodes tagged as failure and '
                        f'{self.untagged} without a tag')
        if not self.episodes:
            return told
        told.append(f'  outcomes: {count_outcomes(self.episode_list)}')
        for topic, (median_ms, p95_ms) in self.age_table().items():
            told.append(f'  {topic}: age median {median_ms:.1f} ms, 95th percentile '
                        f'{p95_ms:.1f} ms')
        for topic, offsets in self.stamps.items():
            told.append(f'  {topic}: header minus receive {offsets.sentence()}')
        told += [f'  {lag.topic}: {lag.sentence(self.offsets_ms[lag.topic])}' for lag in self.lags]
        return told
