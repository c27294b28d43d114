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

"""Parameters that are declared once, with their ranges, and refuse bad values with a reason."""

from diffusion_policy_ros.checks import suggestion
from rcl_interfaces.msg import (
    FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult)

FOREIGN_PREFIXES = ('qos_overrides.', 'use_sim_time', 'start_type_description_service')


class Parameters:
    """
    The declared parameters of one node.

    Reading ``parameters['rate_hz']`` gives the present value in the type of its default.
    """

    def __init__(self, node, specs, *, is_locked=lambda: False, check=lambda values: ''):
        """
        Declare the parameters and watch every later change.

        :param node: The node that owns them.
        :param specs: Sequence of ``ParameterSpec``.
        :param is_locked: Called before a change; True refuses changes of ``fixed`` parameters.
        :param check: Called with all values as they would be after a change (dict name ->
            value); returns the reason to refuse, or an empty string. Not called for the
            values at start.
        :raises rclpy.exceptions.ParameterException: when an override at start is refused.
        """
        self._node = node
        self._specs = {spec.name: spec for spec in specs}
        self._is_locked = is_locked
        self._check = lambda values: ''
        node.add_on_set_parameters_callback(self._on_set)
        for spec in specs:
            node.declare_parameter(spec.name, spec.default, _descriptor(spec))
        self._check = check
        self._warn_about_unknown_overrides()

    def __getitem__(self, name):
        """Return the present value of a declared parameter."""
        return self._typed(name, self._node.get_parameter(name).value)

    def values(self) -> dict:
        """Return all present values by name."""
        return {name: self[name] for name in self._specs if self._node.has_parameter(name)}

    def _typed(self, name, value):
        """Return a value in the type of the parameter's default."""
        return type(self._specs[name].default)(value)

    def _on_set(self, changes):
        """Accept all changes of one request, or none, with the reason."""
        known = [change for change in changes if change.name in self._specs]
        for change in known:
            spec = self._specs[change.name]
            reason = spec.refusal(change.value)
            if not reason and spec.fixed and self._is_locked():
                reason = (f'{change.name} cannot change while the node is configured; '
                          'deactivate and clean it up first')
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        wanted = {change.name: self._typed(change.name, change.value) for change in known}
        reason = self._check({**self.values(), **wanted})
        return SetParametersResult(successful=not reason, reason=reason)

    def _warn_about_unknown_overrides(self):
        """Point at overrides that no parameter takes: most are misspelt."""
        # rclpy offers no public view of the overrides that a node was started with.
        overrides = getattr(self._node, '_parameter_overrides', {})
        for name in overrides:
            if name in self._specs or name.startswith(FOREIGN_PREFIXES):
                continue
            self._node.get_logger().warning(f'unknown parameter "{name}" is ignored; '
                                            f'{suggestion(name, self._specs)}')


def _descriptor(spec) -> ParameterDescriptor:
    """Return what ``ros2 param describe`` shows."""
    notes = [f'one of: {", ".join(spec.choices)}'] if spec.choices else []
    if spec.fixed:
        notes.append('changes only while the node is unconfigured')
    descriptor = ParameterDescriptor(
        name=spec.name, description=spec.description, read_only=spec.read_only,
        additional_constraints='; '.join(notes),
        # A whole number is fine for a float or a text: the type is checked in refusal().
        dynamic_typing=isinstance(spec.default, (float, str)))
    if spec.low is not None and isinstance(spec.default, float):
        descriptor.floating_point_range = [FloatingPointRange(
            from_value=float(spec.low), to_value=float(spec.high), step=0.0)]
    elif spec.low is not None:
        descriptor.integer_range = [IntegerRange(
            from_value=spec.low, to_value=spec.high, step=1)]
    return descriptor
