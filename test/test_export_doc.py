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
"""What docs/export.md shows runs, and what it names is there."""

from pathlib import Path
import re

from diffusion_policy_ros.choices import BACKENDS, EXPORT_FORMATS
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs' / 'export.md').read_text('utf-8')
PYTHON, CPP = (re.search(rf'^```{language}\n(.*?)^```', PAGE, re.DOTALL | re.MULTILINE).group(1)
               for language in ('python', 'cpp'))


def test_the_python_process_gets_a_plan_from_an_export(export_tiny_policy, tmp_path, monkeypatch):
    exported = export_tiny_policy('onnx')
    (tmp_path / 'models').mkdir()
    (tmp_path / 'models' / 'pusht_state').symlink_to(exported)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(PYTHON, 'docs/export.md', 'exec'), names)
    assert names['executable'].shape == (8, 2) and names['executable'].std() > 0


def test_the_inputs_that_the_page_names_are_those_of_the_model():
    pytest.importorskip('torch')
    from diffusion_policy_ros.policy import Policy
    from diffusion_policy_ros.policy.export.graphs import chunk_graph
    policy = Policy.load(ROOT / 'models' / 'pusht_state')
    graph = chunk_graph(policy, policy.sampler)
    for port in (*graph.inputs, graph.output):
        shape = ', '.join(map(str, port.shape))
        assert re.search(rf'^\|[^|]*`{port.name}` \| float32 \({shape}\) \|', PAGE, re.MULTILINE)
        assert f'"{port.name}"' in CPP
        assert port is graph.output or f'{{{shape}}}' in CPP
    assert 'row < 1 + 8' in CPP and policy.config.n_action_steps == 8


def test_every_format_and_every_backend_has_its_line():
    for form in EXPORT_FORMATS:
        assert f'dpr export models/pusht_state --format {form} ' in PAGE
    rows = re.findall(r'^\| `(\w+)` \| [^|]+ \| [^|]+ \|$', PAGE, re.MULTILINE)
    assert [row for row in rows if row in BACKENDS] == list(BACKENDS)
