"""A volume that one backend cannot make is made by another one."""
# SPDX-License-Identifier: Apache-2.0

import errno
import os
import shutil
import subprocess
import uuid

import pytest

from cinder_ext.db import placement, qos_specs, services, volume_types
from cinder_ext.rpc.volume import VolumeAPI
from cinder_ext.states import messages as words

MORE = """
[DEFAULT]
scheduler_default_weighers = GoodnessWeigher
[alpha]
goodness_function = 100
[beta]
goodness_function = 50
"""


@pytest.fixture
def preferring(make_cloud):
    """A started cloud whose scheduler takes alpha where both can take a volume."""
    cloud = make_cloud(more=MORE)
    cloud.start()
    return cloud


@pytest.fixture
def full():
    """Mounts a small file system at a directory and fills it; yields the function."""
    mounted = []

    def mount(directory):
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m,nr_inodes=16', 'tmpfs', str(directory)],
                       check=True, timeout=30)
        mounted.append(directory)
        for room in ('volumes', 'snapshots'):
            (directory / room).mkdir()
        _fill(directory)

    yield mount
    for directory in mounted:
        subprocess.run(['umount', '-l', str(directory)], check=True, timeout=30)


def _fill(directory):
    """Take every inode: a sparse file needs no block."""
    number = 0
    while os.statvfs(directory).f_favail:
        (directory / f'filler-{number}').touch()
        number += 1
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        (directory / 'one-more').touch()


def _break(cloud, backend):
    """Let every create at a backend fail: its directory of volumes is a file."""
    directory = cloud.directory / backend / 'volumes'
    shutil.rmtree(directory)
    directory.touch()


def test_volume_that_the_better_backend_is_too_full_for_goes_to_the_other(preferring, full, caplog):
    full(preferring.directory / 'alpha')
    volume_id = preferring.volume(volume_type_id=None)
    row = preferring.row(volume_id)
    assert (row.host, row.status) == ('node@beta#beta', 'available')
    assert preferring.path(volume_id, 'beta').exists()
    assert placement.tried_hosts(row) == ['node@alpha#alpha']
    assert 'full' in row.request['tried'][0]['reason']
    assert f'volume {volume_id} cannot be created at node@alpha#alpha: ' in caplog.text
    assert preferring.told(volume_id) == []
    assert os.listdir(preferring.directory / 'alpha' / 'volumes') == []


def test_volume_that_no_backend_can_make_is_in_error_and_every_reason_is_logged(preferring, caplog):
    _break(preferring, 'alpha')
    _break(preferring, 'beta')
    volume_id = preferring.volume('error', volume_type_id=None)
    [(action, detail, text)] = preferring.told(volume_id)
    assert (action, detail) == (words.SCHEDULE_ALLOCATE_VOLUME, words.NO_BACKEND_AVAILABLE)
    assert text == '2 of 2 pools: it was tried and failed there.'
    for backend in ('alpha', 'beta'):
        host = f'node@{backend}#{backend}'
        assert f'volume {volume_id} cannot be created at {host}: ' in caplog.text
        assert f'volume {volume_id} cannot be placed on {host}: it was tried' in caplog.text
    assert preferring.row(volume_id).host is None


def test_attempts_end_at_the_configured_number(make_cloud):
    cloud = make_cloud(more=MORE.replace('[alpha]', 'scheduler_max_attempts = 1\n[alpha]'))
    cloud.start()
    _break(cloud, 'alpha')
    volume_id = cloud.volume('error', volume_type_id=None)
    assert cloud.row(volume_id).host == 'node@alpha#alpha'
    assert cloud.told(volume_id) == [(words.SCHEDULE_ALLOCATE_VOLUME, words.NO_BACKEND_AVAILABLE,
                                      'Attempts to create it that failed: 1.')]


def test_where_it_failed_is_remembered_although_scheduler_and_message_are_lost(preferring):
    preferring.stop()
    volume_id = preferring.record_volume(volume_type_id=None)
    assert placement.place_volume(preferring.context, volume_id, 'node@alpha#alpha', 'nova')
    assert placement.place_again(preferring.context, preferring.row(volume_id), 'burnt', 3)
    row = preferring.row(volume_id)
    assert (row.host, row.status, row.availability_zone) == (None, 'creating', None)
    preferring.start()
    assert preferring.becomes(volume_id, 'available').host == 'node@beta#beta'
    assert not preferring.path(volume_id).exists()


def test_zone_that_was_asked_for_stays_asked_for(preferring):
    preferring.stop()
    volume_id = preferring.record_volume(volume_type_id=None, availability_zone='nova')
    placement.place_volume(preferring.context, volume_id, 'node@alpha#alpha', 'nova')
    placement.place_again(preferring.context, preferring.row(volume_id), 'burnt', 3)
    assert preferring.row(volume_id).availability_zone == 'nova'


def test_volume_of_a_backend_that_is_gone_goes_to_the_other(preferring):
    # Put away by a rename: the service has reported, and does not know yet.
    (preferring.directory / 'alpha').rename(preferring.directory / 'away')
    volume_id = preferring.volume(volume_type_id=None)
    assert preferring.row(volume_id).host == 'node@beta#beta'


def test_clone_is_not_made_where_its_source_is_not(preferring):
    source_id = preferring.volume(volume_type_id=None)
    preferring.path(source_id).unlink()
    clone_id = preferring.volume('error', volume_type_id=None, source_volid=source_id)
    assert preferring.told(clone_id) == [
        (words.CREATE_VOLUME_FROM_BACKEND, words.DRIVER_FAILED_CREATE, None)]


def test_late_message_to_a_backend_that_the_volume_has_left_does_nothing(preferring):
    services.set_disabled(preferring.context, 'cinder-volume', 'node@beta', True)
    preferring.backends.stop()
    # Placed from the first: the scheduler looks for what is not.
    volume_id = preferring.record_volume(volume_type_id=None, host='node@gamma#gamma',
                                         availability_zone='nova')
    preferring.start_backends()
    VolumeAPI(preferring.conf).create_volume(preferring.context, 'node@alpha', volume_id)
    assert preferring.volume(volume_type_id=None)
    assert preferring.row(volume_id).status == 'creating'
    assert not preferring.path(volume_id).exists()


def test_failure_of_a_volume_that_was_reset_meanwhile_changes_nothing(preferring):
    volume_id = preferring.volume(volume_type_id=None)
    row = preferring.row(volume_id)
    for attempts in (1, 3):
        assert placement.place_again(preferring.context, row, 'late', attempts) is None
    assert preferring.row(volume_id).status == 'available'
    assert preferring.told(volume_id) == []


def test_same_host_and_different_host_of_the_own_project_are_obeyed(cloud):
    there = cloud.volume(volume_type_id=cloud.types['beta'])
    near = cloud.volume(volume_type_id=None, request={'scheduler_hints': {'same_host': [there]}})
    # An id without its dashes is the same id.
    far = cloud.volume(volume_type_id=None, request={
        'scheduler_hints': {'different_host': there.replace('-', '').upper()}})
    assert cloud.row(near).host == 'node@beta#beta'
    assert cloud.row(far).host == 'node@alpha#alpha'


def test_volumes_of_other_projects_are_as_if_they_were_not_there(cloud):
    foreign = cloud.volume(volume_type_id=cloud.types['beta'], project_id='other')
    near = cloud.volume('error', volume_type_id=None,
                        request={'scheduler_hints': {'same_host': foreign}})
    assert 'no volume of the hint same_host is there' in cloud.told(near)[0][2]
    far = cloud.volume(volume_type_id=cloud.types['beta'],
                       request={'scheduler_hints': {'different_host': foreign}})
    assert cloud.row(far).host == 'node@beta#beta'


@pytest.mark.parametrize('hint', ['x', ['x'], 5, {'a': 1}, [[]], [None], ["' OR 1=1"],
                                  [str(uuid.uuid4())] * 101])
def test_hint_that_names_no_volumes_is_refused_with_the_reason(cloud, hint):
    volume_id = cloud.volume('error', volume_type_id=None,
                             request={'scheduler_hints': {'different_host': hint}})
    assert 'the hint different_host: it names' in cloud.told(volume_id)[0][2]


def test_filter_function_of_the_configuration_decides(make_cloud):
    cloud = make_cloud(more='[alpha]\nfilter_function = volume.size > 1\n'
                            '[beta]\nfilter_function = "volume.size < 3 and '
                            'capabilities.volume_backend_name == beta"\n')
    cloud.start()
    assert cloud.row(cloud.volume(volume_type_id=None)).host == 'node@beta#beta'
    assert cloud.row(cloud.volume(volume_type_id=None, size=3)).host == 'node@alpha#alpha'
    volume_id = cloud.volume('error', volume_type_id=cloud.types['alpha'])
    assert 'its filter_function does not take it' in cloud.told(volume_id)[0][2]


def test_volumes_are_spread_by_their_number(make_cloud):
    cloud = make_cloud(more='[DEFAULT]\nscheduler_default_weighers = VolumeNumberWeigher\n')
    cloud.start()
    found = [cloud.row(cloud.volume(volume_type_id=None)).host for _ in range(4)]
    assert found == ['node@alpha#alpha', 'node@beta#beta'] * 2


def test_retype_obeys_the_filter_function_of_the_present_backend(make_cloud):
    cloud = make_cloud(more='[alpha]\nfilter_function = extra.storage_protocol == file\n'
                            '[beta]\nfilter_function = volume.size > 1\n')
    cloud.start()
    picky, plain = (volume_types.create(cloud.context, {'name': name}, specs).id for name, specs in (
        ('picky', {'storage_protocol': 'file'}), ('plain', {})))
    volume_id = cloud.volume(volume_type_id=picky)
    assert cloud.row(volume_id).host == 'node@alpha#alpha'
    record = cloud.migrate(volume_id, requested_policy='never', destination_type_id=plain)
    assert (record.phase, record.error_code) == ('refused', 'cinder_ext.move_not_asked_for')
    assert 'its filter_function' in record.error


def test_formula_sees_the_quality_of_service_of_the_type(make_cloud):
    cloud = make_cloud(more='[alpha]\nfilter_function = qos.iops <= 100\n'
                            '[beta]\nfilter_function = qos.iops > 100\n')
    cloud.start()
    slow, fast = (volume_types.create(cloud.context, {
        'name': name, 'qos_specs_id': qos_specs.create(
            cloud.context, name, 'back-end', {'iops': iops}).id}).id
        for name, iops in (('slow', '100'), ('fast', '101')))
    assert cloud.row(cloud.volume(volume_type_id=slow)).host == 'node@alpha#alpha'
    assert cloud.row(cloud.volume(volume_type_id=fast)).host == 'node@beta#beta'
