"""The file driver keeps the contract, on a plain directory and on shared blocks."""
# SPDX-License-Identifier: Apache-2.0

import os
import tempfile

import pytest

from cinder_ext.drivers import capabilities
from cinder_ext.drivers.conformance import (
    assisted,
    connect,
    exports,
    flushes,
    manage,
    ranges,
    replication,
    revert,
    suite,
    supersede,
    workbench,
)


class TestFileOnSharedBlocks(suite.Conformance, flushes.DeferredFlushCases):
    @pytest.fixture
    def driver(self, xfs_directory):
        return workbench.started('file', file_path=xfs_directory, file_group_snapshot_seconds=60)


class TestFileOnPlainDirectory(suite.Required, connect.SnapshotConnectCases,
                               ranges.AllocatedRangesCases, revert.RevertCases,
                               manage.ManageVolumesCases, manage.ManageSnapshotsCases,
                               supersede.SupersedeCases):
    @pytest.fixture
    def driver(self, tmp_path):
        return workbench.started('file', file_path=tmp_path, file_reflink='off')


class Replicating(replication.ReplicationCases):
    """Only these cases: the others are tried without targets, which change nothing of them."""

    reflink = 'auto'

    @pytest.fixture
    def driver(self, directory):
        for name in ('home', 'away'):
            os.makedirs(os.path.join(directory, name))
        return workbench.started(
            'file', file_path=f'{directory}/home', file_reflink=self.reflink,
            replication_device=f'backend_id:away,path:{directory}/away')

    def test_every_capability_that_is_served_is_among_the_cases(self, driver):
        assert self.word in capabilities.of(driver)


class TestFileReplicatesOnSharedBlocks(Replicating):
    @pytest.fixture
    def directory(self, xfs_directory):
        return tempfile.mkdtemp(dir=xfs_directory)


class TestFileReplicatesOnPlainDirectory(Replicating):
    reflink = 'off'

    @pytest.fixture
    def directory(self, tmp_path):
        return tmp_path


class TestFileAsQcow2(suite.Conformance, exports.ExportsCases):
    """On an ordinary file system: nothing is shared there but by layers."""

    @pytest.fixture
    def driver(self, tmp_path):
        started = workbench.started('file', file_path=tmp_path, file_format='qcow2')
        yield started
        started.stop()


class TestFileAsQcow2ForConsumers(assisted.AssistedSnapshotCases):
    """Consumers open the layers themselves."""

    @pytest.fixture
    def export_directory(self, tmp_path):
        return tmp_path

    @pytest.fixture
    def driver(self, tmp_path):
        started = workbench.started('file', file_path=tmp_path, file_format='qcow2',
                                    file_export='127.0.0.1:/exported')
        yield started
        started.stop()

    def test_every_capability_that_is_served_is_among_the_cases(self, driver):
        assert self.word in capabilities.of(driver)


ONLY_AS_QCOW2 = {'assisted_snapshots', 'exports'}
"""Words of capabilities that raw files have no use for."""
ONLY_AS_RAW = {capabilities.DeferredFlush.word}
"""What layers do not serve: each snapshot of them is another file to be flushed before."""


def _cases(kind, words=None):
    """Names of the cases of a class; of the classes of some capabilities among them."""
    return {name for each in kind.__mro__ if words is None or getattr(each, 'word', None) in words
            for name in vars(each) if name.startswith('test_')}


def test_both_formats_pass_the_same_cases():
    """None of them is left out at run time: no case skips anything."""
    more = _cases(TestFileAsQcow2, ONLY_AS_QCOW2)
    less = _cases(TestFileOnSharedBlocks, ONLY_AS_RAW)
    assert _cases(TestFileAsQcow2) - more == _cases(TestFileOnSharedBlocks) - less
    assert len(_cases(TestFileOnSharedBlocks)) > 60
