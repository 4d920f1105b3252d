"""Managing what lies on a backend already."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities
from cinder_ext.drivers.conformance import workbench

NONSENSE = ({}, [], None, 'name', {'source-name': None}, {'source-name': ['a']},
            {'source-name': '/etc/passwd'}, {'source-name': '../x'}, {'source-name': ''},
            {'no-such-key': 'name'})
"""References that no backend may take."""


class ManageVolumesCases(workbench.Cases):
    """What capabilities.ManageVolumes says."""

    word = capabilities.ManageVolumes.word

    def test_an_unmanaged_volume_is_listed_with_its_size_and_its_name(self, bench):
        volume = bench.volume()
        bench.driver.unmanage_volume(volume)
        bench.driver.unmanage_volume(volume)
        found = _one(bench.driver.manageable_volumes(), volume)
        assert (found.size_bytes, found.reason_not_safe) == (volume.size_bytes, None)

    def test_a_managed_volume_has_the_content_and_the_old_name_is_gone(self, bench):
        old, new, reference = _unmanaged(bench)
        assert bench.driver.examine_volume(new, reference).size_bytes == old.size_bytes
        bench.driver.manage_volume(new, reference)
        assert bench.read(new, 0, 4) == b'kept'
        assert old.name_id not in {each.name_id for each in bench.driver.manageable_volumes()}

    def test_repeating_it_changes_nothing(self, bench):
        _old, new, reference = _unmanaged(bench)
        bench.driver.manage_volume(new, reference)
        bench.write(new, 0, b'more')
        assert bench.driver.examine_volume(new, reference).size_bytes == new.size_bytes
        bench.driver.manage_volume(new, reference)
        assert bench.read(new, 0, 4) == b'more'

    def test_a_managed_volume_is_as_large_as_it_has_to_be(self, bench):
        _old, new, reference = _unmanaged(bench)
        larger = dataclasses.replace(new, size_bytes=2 * new.size_bytes)
        bench.driver.manage_volume(larger, reference)
        with bench.path(larger) as path, open(path, 'rb') as device:
            assert device.seek(0, 2) == larger.size_bytes
        assert bench.read(larger, 0, 4) == b'kept'

    def test_what_is_not_there_is_not_managed(self, bench):
        _old, new, reference = _unmanaged(bench)
        bench.driver.manage_volume(new, reference)
        third = bench.new_volume()
        for call in (bench.driver.examine_volume, bench.driver.manage_volume):
            with pytest.raises(exceptions.ResourceMissing):
                call(third, reference)

    @pytest.mark.parametrize('number', range(len(NONSENSE)))
    def test_a_reference_that_is_none_is_refused(self, bench, number):
        for call in (bench.driver.examine_volume, bench.driver.manage_volume):
            with pytest.raises(exceptions.ReferenceRefused):
                call(bench.new_volume(), NONSENSE[number])


class ManageSnapshotsCases(workbench.Cases):
    """What capabilities.ManageSnapshots says."""

    word = capabilities.ManageSnapshots.word

    def test_a_managed_snapshot_has_the_content_of_the_unmanaged_one(self, bench):
        volume = bench.volume()
        bench.write(volume, 0, b'before')
        old = bench.snapshot(volume)
        bench.write(volume, 0, b'after!')
        bench.driver.unmanage_snapshot(old)
        found = _one(bench.driver.manageable_snapshots(), old)
        new = bench.new_snapshot(volume)
        assert bench.driver.examine_snapshot(new, found.reference).size_bytes == volume.size_bytes
        for _time in range(2):
            bench.driver.manage_snapshot(new, found.reference)
        assert bench.read(new, 0, 6) == b'before'
        assert old.name_id not in {each.name_id for each in bench.driver.manageable_snapshots()}

    @pytest.mark.parametrize('number', range(len(NONSENSE)))
    def test_a_reference_of_a_snapshot_that_is_none_is_refused(self, bench, number):
        snapshot = bench.new_snapshot(bench.volume())
        for call in (bench.driver.examine_snapshot, bench.driver.manage_snapshot):
            with pytest.raises(exceptions.ReferenceRefused):
                call(snapshot, NONSENSE[number])


def _one(found, resource):
    """The entry of a volume or snapshot in a list of what can be managed."""
    return next(each for each in found if each.name_id == resource.name_id)


def _unmanaged(bench):
    """(a volume that was let go, one that it can become, its reference)"""
    old = bench.volume()
    bench.write(old, 0, b'kept')
    bench.driver.unmanage_volume(old)
    return old, bench.new_volume(), _one(bench.driver.manageable_volumes(), old).reference
