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

"""The audit as a whole: good datasets and none, records, contracts, other formats."""

import json
from pathlib import Path

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.datasets.formats import create_dataset
from diffusion_policy_ros.data.datasets.frames import copy_dataset
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.dataset.audit import audit_dataset
from hypothesis import given, HealthCheck, settings, strategies as st
import numpy as np
import pytest

CAMERA = 'observation.images.camera'
SHARED = Path(__file__).resolve().parents[4] / 'shared' / 'data' / 'lerobot'


def test_a_good_dataset_has_no_finding(good):
    audit = audit_dataset(good)
    assert not audit.findings
    assert not audit.has_errors
    assert sorted(audit.curves) == [0, 1, 2]
    assert len(audit.pictures.thumbnails[1, CAMERA]) == 3


@settings(max_examples=8, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1),
       lengths=st.lists(st.integers(2, 12), min_size=1, max_size=4))
def test_what_the_writer_writes_has_no_error(tmp_path_factory, seed, lengths, audits):
    recipe, rng = audits.Recipe(seed, lengths), np.random.default_rng(seed)
    for episode, length in enumerate(lengths):
        scale = 10.0 ** rng.integers(-3, 4)
        recipe.state[episode] = rng.normal(rng.normal(), scale, (length, 2))
        recipe.action[episode] = rng.normal(rng.normal(), scale, (length, 2))
        recipe.ages_ns[episode] = rng.integers(0, 150_000_001, (length, 3))
        recipe.pictures[episode] = rng.integers(0, 256, (length, 48, 64, 3), np.uint8)
    folder = recipe.write(tmp_path_factory.mktemp('random') / 'dataset')
    assert not audit_dataset(folder).has_errors


def test_what_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(DatasetError, match='is no dataset'):
        audit_dataset(tmp_path)


def test_metadata_that_contradicts_itself_is_an_error(copy, audits):
    audits.edit_json(copy / 'meta/info.json', lambda info: info.update(total_episodes=7))
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('ERROR', 'schema')
    assert 'lists 3 episodes, info.json counts 7' in finding.text


def test_a_record_of_other_episodes(copy, audits):
    audits.write_record(copy, {})
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('WARNING', 'record')
    assert 'conversion.json does not list the episodes that are here' in finding.text


def test_a_record_of_other_kinds(copy, audits):
    audits.write_record(copy, {'bag': 'a'}, {'bag': 5}, {'alarms': 5})
    assert audits.found(copy) == [('WARNING', 'record')]


def test_a_record_is_read_once(copy, audits, monkeypatch):
    audits.write_record(copy, {'bag': 'a'}, {'bag': 'b'}, {'bag': 'c'})
    reads = []
    monkeypatch.setattr('diffusion_policy_ros.data.datasets.conversion_record.read_json',
                        lambda path: reads.append(path) or json.loads(path.read_text()))
    assert audit_dataset(copy, every_picture=False).record[2]['bag'] == 'c'
    assert len(reads) == 1


def test_it_is_told_how_far_the_audit_is(copy, monkeypatch, capsys):
    monkeypatch.setattr('diffusion_policy_ros.data.progress.LINE_EVERY_S', 0)
    audit_dataset(copy)
    said = capsys.readouterr().err
    for what in ('rows', 'videos', 'pictures'):
        assert f'checking {what}: 100 % after' in said


def test_the_contract_inside_and_the_one_that_is_asked_for(copy, audits):
    other = parse_contract(audits.CONTRACT.replace('[elbow, wrist]', '[wrist, elbow]'))
    findings = audit_dataset(copy, contract=other).findings
    assert {(f.level, f.check) for f in findings} == {('ERROR', 'contract')}
    assert 'observation.state names: recorded with' in findings[0].text
    assert not audits.found(copy, contract=parse_contract(audits.CONTRACT))
    (copy / 'meta/contract.yaml').unlink()
    assert audits.found(copy) == [('WARNING', 'contract')]
    assert not audits.found(copy, contract=parse_contract(audits.CONTRACT))
    assert audits.found(copy, contract=other) == [('ERROR', 'contract')] * 2
    (copy / 'meta/contract.yaml').write_text(audits.CONTRACT.replace('rate_hz: 10', 'rate_hz: 20'))
    assert audits.found(copy)[0] == ('ERROR', 'contract')


def _is_folder(path):
    path.mkdir()


def _leads_nowhere(path):
    path.symlink_to('nowhere')


@pytest.mark.parametrize('make, reason', [
    (_is_folder, 'Is a directory'), (_leads_nowhere, 'there is no such file')])
def test_a_contract_that_cannot_be_read_is_no_missing_one(copy, audits, make, reason):
    (copy / 'meta/contract.yaml').unlink()
    make(copy / 'meta/contract.yaml')
    for asked in (None, parse_contract(audits.CONTRACT)):
        findings = audit_dataset(copy, contract=asked).findings
        assert [(f.level, f.check) for f in findings] == [('ERROR', 'contract')]
        assert findings[0].text.startswith(
            f'cannot read the contract {copy}/meta/contract.yaml: {reason}')


@pytest.mark.parametrize('kind, library', [('zarr', 'zarr'), ('hdf5', 'h5py')])
def test_other_formats_are_read_through_their_frames(tmp_path, kind, library, audits):
    pytest.importorskip(library)
    recipe = audits.Recipe()
    recipe.state[1][17, 0] = 40.0
    recipe.pictures[2][20:40] = [recipe.pictures[2][20]] * 20
    reader = LeRobotReader(recipe.write(tmp_path / 'd'))
    copy_dataset(reader, create_dataset(tmp_path / f'd.{kind}', kind, like=reader))
    audit = audit_dataset(tmp_path / f'd.{kind}')
    assert [(f.level, f.check) for f in audit.findings] == [
        ('WARNING', 'outliers'), ('WARNING', 'jumps'), ('WARNING', 'frozen')]
    assert 'episode 2 rows 20 to 39' in audit.findings[2].text
    assert len(audit.pictures.thumbnails[1, CAMERA]) == 3
    assert audit.source.episodes[1].tasks == ('Move the block.',)


@pytest.mark.skipif(not (SHARED.parent / 'pusht').is_dir(), reason='no demonstrations')
def test_a_format_that_does_not_say_its_rate_is_refused(tmp_path):
    pytest.importorskip('zarr')
    with pytest.raises(DatasetError, match='rows per second it has; give it with --rate'):
        audit_dataset(SHARED.parent / 'pusht' / 'pusht_cchi_v7_replay.zarr')


@pytest.mark.skipif(not SHARED.is_dir(), reason=f'no {SHARED}')
def test_real_datasets_of_others(audits):
    assert sorted(audits.found(SHARED / 'so101_v3' / 'lerobot_dataset_example')) == [
        ('ERROR', 'constant'),  # action
        ('WARNING', 'constant'),  # state
        ('WARNING', 'contract'),
        ('WARNING', 'statistics'), ('WARNING', 'statistics')]  # std in float32
    audit = audit_dataset(SHARED / 'pusht_v3_no_video' / 'pusht')
    assert sorted((f.level, f.check) for f in audit.findings) == [
        ('ERROR', 'videos'), ('WARNING', 'contract')]
    assert 'file-000.mp4 does not exist' in audit.findings[0].text


def test_what_the_recorder_found_wrong_is_a_warning(copy, audits):
    audits.write_record(copy, {'alarms': ['gap on /camera']}, {'alarms': ['gap', 'rate']},
                        {'alarms': None, 'repaired': '9 messages'})
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('WARNING', 'recorder')
    assert finding.text == '2 episodes with alarms: 0-1; 1 of a repaired bag: 2'
    audits.write_record(copy, {'alarms': []}, {'alarms': None}, {})
    assert not audits.found(copy)
