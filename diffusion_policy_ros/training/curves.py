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

"""The learning curves of a run as one picture."""

from diffusion_policy_ros.data.files import replacing

# Title of a panel, the figures that it shows, and whether its axis is logarithmic.
PANELS = (
    ('loss', ('loss', 'validation_loss', 'validation_rmse'), True),
    ('action error on held-out episodes, squared robot units', ('validation_action_mse',), True),
    ('rollouts in simulation', ('rollout_score', 'rollout_success'), False),
    ('learning rate', ('learning_rate',), False))
PANEL_HEIGHT = 2.4  # inches
# Largest value over least: from where on an axis is logarithmic, and has ticks at decades only.
LEAST_SPAN, LARGE_SPAN = 10, 1000


def draw_curves(lines, path) -> None:
    """
    Draw a run's figures over its steps, a panel for each kind and stage that has any.

    :param lines: List of ``{'stage': name, 'step': number, figure: value ...}``.
    :param path: PNG file to write or replace; nothing is written without figures.
    """
    from matplotlib.figure import Figure

    panels = [(f'{stage}: {title}', curves, is_log)
              for stage in dict.fromkeys(line['stage'] for line in lines)
              for title, names, is_log in PANELS
              for curves in [_curves(lines, stage, names)] if curves]
    if not panels:
        return
    height = PANEL_HEIGHT * len(panels)
    figure = Figure(figsize=(8, height))
    # By hand: a layout engine draws everything twice, at each checkpoint of a run.
    figure.subplots_adjust(left=0.1, right=0.97, bottom=0.5 / height, top=1 - 0.3 / height,
                           hspace=0.4)
    for axes, (title, curves, is_log) in zip(
            figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels):
        for name, (steps, values) in curves.items():
            axes.plot(steps, values, label=name, marker='.' if len(steps) < 50 else None)
        axes.set_title(title, fontsize=9)
        if is_log:
            _scale(axes, [value for _, values in curves.values() for value in values])
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    axes.set_xlabel('step')
    with replacing(path) as part:
        figure.savefig(part, format='png', dpi=100)


def _scale(axes, values):
    """Make an axis logarithmic where values span a decade; a part of one would have no tick."""
    if min(values) <= 0 or not LEAST_SPAN <= max(values) / min(values):
        return
    from matplotlib.ticker import LogLocator
    axes.set_yscale('log')
    if max(values) / min(values) < LARGE_SPAN:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter('{x:g}')
    axes.minorticks_off()


def _curves(lines, stage, names):
    """Return ``{name: (steps, values)}`` of those figures that a stage has."""
    curves = {}
    for line in lines:
        if line['stage'] == stage:
            for name in names:
                if name in line:
                    steps, values = curves.setdefault(name, ([], []))
                    steps.append(line['step'])
                    values.append(line[name])
    return curves
