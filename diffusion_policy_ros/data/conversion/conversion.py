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

from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
import os
from pathlib import Path
import shlex

from diffusion_policy_ros.checks import first_of
from diffusion_policy_ros.contract import RECORDED
from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.conversion.cluster import convert_on_cluster
from diffusion_policy_ros.data.conversion.cutting import about_times
from diffusion_policy_ros.data.conversion.part_folder import fingerprint, identity_of, PartFolder
from diffusion_policy_ros.data.conversion.piece import PieceJob
from diffusion_policy_ros.data.conversion.settings import MIN_ROWS, Settings
from diffusion_policy_ros.data.conversion.stretches import conclude, divide
from diffusion_policy_ros.data.conversion.summary import ConversionSummary, PieceReport
from diffusion_policy_ros.data.conversion.workers import convert_here, convert_side_by_side
from diffusion_policy_ros.data.datasets.formats import create_dataset, open_dataset
from diffusion_policy_ros.data.datasets.frames import copy_dataset
from diffusion_policy_ros.data.datasets.lerobot_format import RECORD_PATH
from diffusion_policy_ros.data.datasets.lerobot_writer import check_storable
from diffusion_policy_ros.data.datasets.video import check_quality, DEFAULT_CODEC, PICTURE_CODEC
from diffusion_policy_ros.data.files import write_json, writing
from diffusion_policy_ros.data.new_folder import check_new, check_outside, in_the_way
from diffusion_policy_ros.data.progress import progress_bar
from diffusion_policy_ros.errors import BagError, ContractError, DatasetError
from diffusion_policy_ros.machine import package_versions
from diffusion_policy_ros.on_disk import put_in_place


def convert_bags(paths, out, *, to='lerobot', contract=None, task=None, codec=DEFAULT_CODEC,
                 crf=None, min_rows=MIN_ROWS, cut=None, only_success=False, jobs=1, cluster=None,
                 progress=True, note=None) -> ConversionSummary:
    """
    Convert bags into a dataset, streaming: no bag is ever held in memory.

    A bag that cannot be read is skipped with a sentence, and the others are converted. Each one
    becomes a dataset in ``<out>.part``, and at the end they are joined in the order of the bags.
    A conversion that was interrupted goes on where it was when it is run again.

    :param paths: Bags, in the order of the episodes.
    :param out: Folder or file of the dataset, which must not exist.
    :param to: One of ``formats.FORMATS``; the others are copied from a LeRobotDataset without
        loss, which has no name of its own.
    :param contract: ``RobotContract``; by default the one inside the bags, the same in all.
    :param task: Task sentence for all episodes; by default the one inside each bag.
    :param codec: A key of ``video.CODECS``, for LeRobot.
    :param crf: Quality of the video, for LeRobot; None takes the codec's default.
    :param min_rows: Pieces with fewer rows are left out.
    :param cut: ``cutting.Cut`` of the bags into episodes; by default each bag is one.
    :param only_success: Leave out episodes that are not tagged as a success.
    :param jobs: Processes that convert side by side; the result is the same for any number.
    :param cluster: Address of a Dask scheduler to convert on, in place of this machine.
    :param progress: Show a progress bar.
    :param note: Called with each of the summary's notes as it arises, its level before it.
    :return: What was made. Without any usable episode no folder is left behind.
    :raises ContractError: if no contract is known, or a bag's disagrees with it.
    :raises ConfigError: if the cluster does not answer, or no more.
    :raises DatasetError: if the folder exists or lies inside a bag, the contract cannot be
        stored, or the disk cannot be written; what was converted before stays in ``<name>.part``.
    """
    if to != 'lerobot':
        codec, crf = PICTURE_CODEC, None
    settings = Settings(task, codec, crf, min_rows, cut, only_success)
    return _convert(paths, Path(out), to, contract, settings, note or (lambda sentence: None),
                    {'count': jobs, 'cluster': cluster, 'progress': progress})


def _convert(paths, out, to, contract, settings, tell, how):
    """Convert what can be opened, join it, and sum all up."""
    if in_the_way(out) == out:
        _refuse(out, to)
    for path in paths:
        check_outside(out, path, DatasetError)
    summary = ConversionSummary(bags=len(paths))
    usable, contract, unusable = _usable(paths, contract, tell)
    for report in unusable:
        _tell(report, tell)
    if not usable:
        _sum_up(summary, unusable, None)
        return summary
    check_storable(contract)
    check_quality(settings.codec, settings.crf)
    with PartFolder(out, _manifest(usable, to, contract, settings)) as part:
        conversion = _Conversion(part, usable, contract, settings, tell)
        reports = conversion.run(**how)
        summary.reused = conversion.reused
        _sum_up(summary, [*unusable, *reports], contract)
        _finish(part, out, to, reports, summary.to_dict(), how['progress'])
    return summary


def _refuse(out, to):
    """Say that there is something already, and how episodes are added to it."""
    hint = '. To add episodes to it: dpr convert BAGS --out MORE, then dpr edit ' \
        f'{shlex.quote(str(out))} --append MORE' if to == 'lerobot' and out.is_dir() else ''
    check_new(out, DatasetError, or_else=hint)


class _Conversion:
    """One run over many bags, each of which is converted in one or more parts."""

    def __init__(self, part, paths, contract, settings, tell):
        self._part = part
        self._paths = paths
        self._contract = contract.to_yaml()
        self._settings = settings
        self._tell = tell
        # By the number of a bag and of its part.
        self._fields = {(bag, number): fields for bag, path in enumerate(paths)
                        for number, fields in enumerate(divide(path, contract, settings.cut))}
        self._reports = {key: report for key in self._fields
                         if (report := part.finished(key))}
        self.reused = len(paths) - len({key[0] for key in self._fields
                                        if key not in self._reports})
        for report in self._reports.values():
            _tell(report, tell)

    def run(self, count, cluster, progress):
        """Convert what is missing, and return the reports of all bags in their order."""
        self._part.tidy(self._reports.values())
        jobs = {key: self._job(key, cluster) for key in self._fields
                if key not in self._reports}
        with progress_bar('converting', len(self._fields), len(self._reports), progress) as bar:
            shares = {}

            def show(key, share):
                shares[key] = share
                bar.update(len(self._reports) + sum(shares.values()) - bar.n)

            for key, outcome in _run(jobs, count, cluster, show):
                self._take(key, outcome)
                shares.pop(key, None)
                bar.update(len(self._reports) + sum(shares.values()) - bar.n)
        if self._settings.cut is not None:
            self._tell_of_bags()
        return [self._reports[key] for key in self._fields]

    def _job(self, key, cluster):
        """Describe the conversion of one bag or part."""
        bag, folder = self._bag(key), self._part.new_piece(key).absolute()
        return PieceJob(bag.absolute() if cluster else bag, folder, self._contract,
                        self._settings, **self._fields[key])

    def _bag(self, key):
        """Return the path of the bag that a job belongs to."""
        return Path(self._paths[key[0]])

    def _tell_of_bags(self):
        """Tell of each bag what only all parts of it tell."""
        for _, keys in groupby(self._fields, key=itemgetter(0)):
            reports = [self._reports[key] for key in keys]
            new = conclude(reports, self._settings.min_rows)
            _tell(reports[0], self._tell, len(reports[0].notes) - len(new))
        found = sum(report.cuts or 0 for report in self._reports.values())
        for sentence in about_times(self._settings.cut, found, len(self._paths)):
            reports[-1].notes.append(sentence)
            self._tell(f'NOTE: {sentence}')

    def _take(self, key, outcome):
        """Keep what became of a bag; one that failed is tried again by the next run."""
        if isinstance(outcome, PieceReport):
            report = outcome
            self._part.keep(key, report)
        else:
            report = PieceReport(str(self._bag(key)))
            report.skip(outcome, may_pass=True)
        self._reports[key] = report
        _tell(report, self._tell)


def _run(jobs, count, cluster, show):
    """Choose where to convert."""
    if cluster:
        return convert_on_cluster(jobs, cluster)
    if count == 1 or len(jobs) < 2:
        return convert_here(jobs, show)
    return convert_side_by_side(jobs, count, show)


def _tell(report, tell, first=0):
    """Tell the notes of one bag, from one on."""
    for sentence in report.told(first):
        tell(sentence)


def _sum_up(summary, reports, contract):
    """Count all bags, in their order."""
    for report in reports:
        summary.add(report)
    summary.warn_of_tasks(reports)
    if contract is not None:
        summary.warn_of_stamps(contract)
        summary.count_lags(contract, reports)


def _finish(part, out, to, reports, found, progress):
    """Join the datasets of all bags, and give the result its name; without any, clean up."""
    sources = [part.piece(report) for report in reports if report.episodes]
    if sources:
        part.tidy(reports)
        whole = sources[0]
        if len(sources) > 1:
            from diffusion_policy_ros.data.datasets.edit import merge_datasets
            whole = part.path / 'merged'
            # Linked, so that they stay until it has its name.
            merge_datasets(sources, whole, progress)
        with writing(out):
            if to == 'lerobot':
                write_json(whole / RECORD_PATH, found)
            else:
                whole = _copied(open_dataset(whole), to, part.path / 'made' / out.name, progress)
            put_in_place(whole, out)
    part.remove()


def _copied(source, to, path, progress):
    """Copy a dataset into another format; return its path."""
    with progress_bar('copying', int(source.episode_ends[-1]), is_shown=progress) as bar:
        copy_dataset(source, create_dataset(path, to, like=source), progress=bar.update)
    return path


def _manifest(paths, to, contract, settings):
    """Return what identifies a conversion."""
    cut = settings.cut
    return {'bags': [identity_of(path) for path in paths], 'settings': {
        **vars(settings), 'to': to, 'cut': None if cut is None else {
            'text': cut.text, 'times': [list(asdict(times).values()) for times in cut.times]},
        'contract': fingerprint(contract.to_yaml()),
        'program': package_versions(('diffusion_policy_ros', 'av'))}}


def _usable(paths, contract, tell):
    """
    Sort out bags that cannot be opened, or have no valid contract, with their reasons.

    :return: The other bags, the contract to convert them by, and the reports of the former.
    :raises ContractError: if there is none for them, or theirs disagree.
    """
    source, usable, unusable = 'the given contract', [], []
    given = contract
    for path in paths:
        try:
            with open_bag(path) as bag:
                inside = bag.contract if given is None else _contract_inside(bag, tell)
        except (BagError, ContractError) as error:
            unusable.append(PieceReport(os.fspath(path)))
            unusable[-1].skip(error, may_pass=isinstance(error, BagError))
            continue
        usable.append(path)
        if contract is None:
            contract, source = inside, f'{path}'
        elif inside is not None:
            _check_agreement(path, inside, contract, source)
    if usable and contract is None:
        raise ContractError('no contract: the bags have none inside; give one with --contract')
    return usable, contract, unusable


def _contract_inside(bag, tell):
    """Return the contract in a bag that is not converted by it, None where there is none."""
    try:
        return bag.contract
    except ContractError as error:
        tell(f'NOTE: {bag.path}: the given contract cannot be compared with the one inside: '
             f'{error}')
        return None


def _check_agreement(path, inside, contract, source):
    """Refuse a bag whose numbers would mean something else under the contract."""
    found = inside.disagreements(contract, mine='recorded', theirs=source, kinds=RECORDED)
    if found:
        raise ContractError(
            f'{path} was recorded under another contract than {source}: {first_of(found)}. '
            'Convert it by its own contract into another dataset')
