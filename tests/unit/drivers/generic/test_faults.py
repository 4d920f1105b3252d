"""Faults of the operating system in the words of the contract."""
# SPDX-License-Identifier: Apache-2.0

import errno
import os

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers.generic import faults


@pytest.mark.parametrize(('number', 'kind'), [
    (errno.ENOSPC, exceptions.NoSpace), (errno.EDQUOT, exceptions.NoSpace),
    (errno.EIO, exceptions.BackendDown), (errno.ESTALE, exceptions.BackendDown),
    (errno.ENOTCONN, exceptions.BackendDown), (errno.ENOENT, exceptions.BackendDown),
    (errno.EACCES, exceptions.DriverError)])
def test_each_fault_has_its_class_and_says_what_was_done(number, kind):
    with pytest.raises(exceptions.DriverError, match='writing at 4096') as caught:
        with faults.mapped('writing at 4096'):
            raise OSError(number, os.strerror(number))
    assert type(caught.value) is kind
    assert os.strerror(number) in str(caught.value)


def test_other_faults_pass():
    with pytest.raises(exceptions.ResourceMissing):
        with faults.mapped('anything'):
            raise exceptions.ResourceMissing(name='volume-1')
