"""Every command that python-openstackclient has for block storage, against the service.

The commands are those of the client's entry points.  ``tries`` names the commands that a
test runs and how they end; what the manual's table says must be the same.
"""
# SPDX-License-Identifier: Apache-2.0

import csv
import pathlib

import embedded
import osc_commands
import pytest
import rest
import stock_failovers
from osc_commands import ABSENT, CLIENT, OTHER_PROJECT, REFUSED, SERVER, TRIED, WORKS, tries

pytestmark = pytest.mark.xdist_group('openstack-commands')

TABLE = pathlib.Path(__file__).parents[2] / 'doc' / 'source' / 'openstack-client.csv'


@pytest.fixture(scope='module')
def cloud(tmp_path_factory):
    with osc_commands.Cloud(tmp_path_factory.mktemp('cloud')) as started:
        started.api.create_type('anywhere', {})
        yield started


@pytest.fixture
def api(cloud):
    return cloud.api


@pytest.fixture
def openstack(cloud, request):
    """The administrator's client; at the end, all that the test names was run and ended as it says."""
    cloud.admin.ended.clear()
    yield cloud.admin
    for command, result in request.function.tried.items():
        assert cloud.admin.ended[command], f'{command} was not run'
        # What a fault of the client makes of a command may change with the client.
        assert result == CLIENT or (True in cloud.admin.ended[command]) == (result == WORKS), command
    assert 'Traceback' not in (cloud.service.state_dir / 'logs' / 'cinder-ext.log').read_text()


def names(rows, column='Name'):
    return {row[column] for row in rows}


def test_every_command_of_the_client_is_tried_and_no_other():
    assert set(osc_commands.family()) == set(TRIED)


def test_manual_says_of_every_command_what_the_tests_see():
    with open(TABLE, newline='', encoding='utf-8') as stream:
        rows = list(csv.DictReader(stream))
    assert {row['Command']: row['Result'] for row in rows} == TRIED
    assert [row['Command'] for row in rows] == sorted(TRIED)
    silent = [row['Command'] for row in rows if row['Result'] != WORKS and not row['Remark']]
    assert silent == []


# volumes


@tries('volume create', 'volume list', 'volume show', 'volume delete')
def test_volumes_are_created_from_everything_listed_and_deleted(openstack, api):
    made = openstack('volume create --size 1 --type alpha --description "a b" --property k=v source')
    assert (made['size'], made['properties'], made['description']) == (1, {'k': 'v'}, 'a b')
    api.wait_volume(made['id'])
    snapshot = api.create_snapshot(made['id'], 'source-1')
    copies = {'clone': '--source source', 'restored': '--snapshot source-1',
              'near': f"--size 1 --hint same_host={made['id']}",
              'bootable': '--size 1 --bootable --read-only',
              'zoned': '--size 1 --availability-zone nova'}
    ids = {name: openstack(f'volume create {options} {name}')['id']
           for name, options in copies.items()}
    shown = {name: api.wait_volume(each) for name, each in ids.items()}
    assert shown['clone']['source_volid'] == made['id']
    assert shown['restored']['snapshot_id'] == snapshot['id']
    assert shown['near']['os-vol-host-attr:host'] == 'host@alpha#alpha'
    assert openstack('volume show bootable')['bootable'] is True
    assert shown['bootable']['metadata']['readonly'] == 'True'
    assert names(openstack('volume list --long')) == {'source', *copies}
    assert names(openstack('volume list --name source --status available')) == {'source'}
    assert names(openstack('volume list --property k=v --limit 1')) <= {'source', 'clone', 'restored'}
    assert openstack('volume list --project others') == []
    assert names(openstack('volume list --user admin --all-projects')) == {'source', *copies}
    openstack.do('volume delete restored near bootable zoned')
    openstack.do('volume delete --force clone')
    openstack.do('volume delete --cascade source')
    for each in (made['id'], *ids.values()):
        api.wait_gone(f'/volumes/{each}')


@tries('volume set', 'volume unset', 'volume summary')
def test_volumes_are_changed_and_summed_up(openstack, cloud):
    volume_id = cloud.volume('changing')
    openstack.do('volume set --name changed --description x --size 2 --property a=b --property c=d '
                 '--image-property os=linux --bootable changing')
    cloud.wait(f'/volumes/{volume_id}')
    openstack.do('volume unset --property a --image-property os changed')
    openstack.do('volume set --read-only --non-bootable changed')
    shown = openstack('volume show changed')
    assert (shown['size'], shown['description'], shown['bootable']) == (2, 'x', False)
    assert (shown['properties'], shown.get('volume_image_metadata') or {}) == (
        {'c': 'd', 'readonly': 'True'}, {})
    openstack.do('volume set --no-property --property e=f --state error changed')
    shown = openstack('volume show changed')
    assert (shown['properties']['e'], shown['status']) == ('f', 'error')
    openstack.do('volume set --state available --detached changed')
    sizes = [row['Size'] for row in openstack('volume list --all-projects')]
    summary = openstack('volume summary --all-projects')
    assert (summary['Total Count'], summary['Total Size']) == (len(sizes), sum(sizes))
    assert summary['Metadata']['e'] == ['f']
    openstack.do('volume set --type beta --migration-policy on-demand changed')
    assert cloud.wait(f'/volumes/{volume_id}')['volume_type'] == 'beta'
    cloud.api.delete_volume(volume_id)


@tries('volume migrate', 'volume revert')
def test_volume_moves_to_another_host_and_goes_back_to_its_snapshot(openstack, cloud, api):
    volume_id = api.create_volume(1, name='moving', volume_type='anywhere')['id']
    here = api.volume(volume_id)['os-vol-host-attr:host']
    there, = {'host@alpha#alpha', 'host@beta#beta'} - {here}
    openstack.do(f'volume migrate --host {there} moving')
    api.wait_migration(api.latest_migration(volume_id)['id'])
    assert cloud.wait(f'/volumes/{volume_id}')['os-vol-host-attr:host'] == there
    snapshot = api.create_snapshot(volume_id, 'moving-1')
    attachment_id, device = api.attach(volume_id)
    with open(device, 'r+b') as stream:
        stream.write(b'later')
    api.detach(attachment_id, volume_id)
    openstack.do('volume revert moving-1')
    cloud.wait(f'/volumes/{volume_id}')
    attachment_id, device = api.attach(volume_id)
    with open(device, 'rb') as stream:
        assert stream.read(5) == bytes(5)
    api.detach(attachment_id, volume_id)
    assert 'is on' in openstack.refused(f'volume migrate --host {there} moving')
    api.delete_snapshot(snapshot['id'])
    api.delete_volume(volume_id)


@tries('block storage volume manageable list', 'block storage snapshot manageable list')
def test_volume_and_snapshot_leave_the_service_and_come_back(openstack, cloud, api):
    volume_id = cloud.volume('kept')
    snapshot = api.create_snapshot(volume_id, 'kept-1')
    rows = openstack('block storage snapshot manageable list --long host@alpha#alpha')
    reference, = [row['reference'] for row in rows if row['cinder_id'] == snapshot['id']]
    openstack.do('volume snapshot delete --remote kept-1')
    api.wait_gone(f"/snapshots/{snapshot['id']}")
    again = openstack('volume snapshot create --volume kept --remote-source '
                      f"source-name={reference['source-name']} kept-again")
    assert cloud.wait(f"/snapshots/{again['id']}")['size'] == 1
    api.delete_snapshot(again['id'])
    openstack.do('volume delete --remote kept')
    api.wait_gone(f'/volumes/{volume_id}')
    row, = openstack('block storage volume manageable list --long host@alpha#alpha')
    assert (row['safe_to_manage'], row['size'], row['cinder_id']) == (True, 1, None)
    manage = ('volume create --host host@alpha#alpha --type alpha --remote-source '
              f"source-name={row['reference']['source-name']}")
    found = openstack(f'{manage} found')
    assert cloud.wait(f"/volumes/{found['id']}")['size'] == 1
    api.delete_volume(found['id'])


@tries('volume snapshot create', 'volume snapshot list', 'volume snapshot show', 'volume snapshot set',
       'volume snapshot unset', 'volume snapshot delete')
def test_snapshots_are_created_changed_and_deleted(openstack, cloud, api):
    volume_id = cloud.volume('steady')
    made = openstack('volume snapshot create --volume steady --description d --property k=v first')
    api.wait_snapshot(made['id'])
    openstack.do('volume snapshot set --name one --description x --property a=b --state error first')
    assert openstack('volume snapshot show one')['status'] == 'error'
    openstack.do('volume snapshot set --state available one')
    openstack.do('volume snapshot unset --property k one')
    shown = openstack('volume snapshot show one')
    assert (shown['description'], shown['properties']) == ('x', {'a': 'b'})
    assert shown['volume_id'] == volume_id
    row, = openstack('volume snapshot list --long --volume steady --status available --name one')
    assert (row['ID'], row['Size']) == (made['id'], 1)
    assert openstack('volume snapshot list --name first') == []
    openstack.do('volume snapshot delete one')
    api.wait_gone(f"/snapshots/{made['id']}")
    api.delete_volume(volume_id)


# types


@tries('volume type create', 'volume type list', 'volume type show', 'volume type set',
       'volume type unset', 'volume type delete')
def test_volume_types_have_specs_access_and_encryption(openstack):
    made = openstack('volume type create --description d --private --project others --multiattach '
                     '--property a=b --encryption-provider luks --encryption-key-size 256 '
                     '--encryption-cipher aes-xts-plain64 --encryption-control-location front-end '
                     'gold')
    assert (made['is_public'], made['properties']) == (False, {'a': 'b', 'multiattach': '<is> True'})
    assert openstack('volume type show gold')['access_project_ids'] == [OTHER_PROJECT]
    row, = openstack('volume type list --private --long --encryption-type')
    assert (row['Name'], row['Encryption']['provider']) == ('gold', 'luks')
    openstack.do('volume type set --name golden --description x --property c=d gold')
    openstack.do('volume type set --project operators --encryption-key-size 512 golden')
    shown = openstack('volume type show --encryption-type golden')
    assert (shown['description'], shown['properties']['c']) == ('x', 'd')
    assert shown['encryption']['key_size'] == 512
    openstack.do('volume type unset --property a --project others --encryption-type golden')
    shown = openstack('volume type show --encryption-type golden')
    assert (shown['access_project_ids'], shown['encryption']) == ([embedded.PROJECT_ID], {})
    assert names(openstack('volume type list --default')) == {'alpha'}
    openstack.do('volume type set --public golden')
    assert 'golden' in names(openstack('volume type list --public'))
    openstack.do('volume type delete golden')
    assert 'golden' not in names(openstack('volume type list'))


@tries('volume qos create', 'volume qos list', 'volume qos show', 'volume qos set', 'volume qos unset',
       'volume qos associate', 'volume qos disassociate', 'volume qos delete')
def test_qos_specs_are_associated_with_types(openstack):
    made = openstack('volume qos create --consumer front-end --property read_iops_sec=100 slow')
    assert (made['consumer'], made['properties']) == ('front-end', {'read_iops_sec': '100'})
    openstack.do('volume qos set --property write_iops_sec=5 slow')
    openstack.do('volume qos unset --property read_iops_sec slow')
    openstack.do('volume qos associate slow alpha')
    openstack.do('volume qos associate slow beta')
    shown = openstack('volume qos show slow')
    assert (set(shown['associations']), shown['properties']) == ({'alpha', 'beta'},
                                                                 {'write_iops_sec': '5'})
    openstack.do('volume qos disassociate --volume-type alpha slow')
    row, = openstack('volume qos list')
    assert row['Associations'] == ['beta']
    assert 'in use' in openstack.refused('volume qos delete slow')
    openstack.do('volume qos disassociate --all slow')
    openstack.do('volume qos delete slow')
    assert openstack('volume qos list') == []


# groups


@tries('volume group type create', 'volume group type list', 'volume group type show',
       'volume group type set', 'volume group type delete')
def test_group_types_have_specs(openstack):
    made = openstack('volume group type create --description d --private grouped')
    assert made['Is Public'] is False
    openstack.do('volume group type set --public --description x --property a=b --property c=d grouped')
    assert openstack('volume group type show grouped')['Properties'] == {'a': 'b', 'c': 'd'}
    openstack.do('volume group type set --no-property grouped')
    row, = openstack('volume group type list')
    assert (row['ID'], row['Is Public'], row['Group Specs']) == (made['ID'], True, {})
    openstack.do('volume group type delete grouped')
    assert openstack('volume group type list') == []


@tries('volume group create', 'volume group list', 'volume group show', 'volume group set',
       'volume group add volume', 'volume group remove volume', 'volume group delete',
       'volume group snapshot create', 'volume group snapshot list', 'volume group snapshot show',
       'volume group snapshot delete')
def test_groups_are_filled_snapshotted_copied_and_deleted(openstack, cloud, api):
    openstack.do('volume group type create together')
    volume_id = cloud.volume('member')
    made = openstack('volume group create --volume-group-type together --volume-type alpha '
                     '--availability-zone nova --description d --name team')
    path = f"/groups/{made['ID']}"
    cloud.wait(path)
    openstack.do('volume group add volume team member')
    cloud.wait(path)
    assert openstack('volume group show --volumes team')['Volumes'] == [volume_id]
    assert openstack('volume group set --name crew --description x team')['Description'] == 'x'
    assert names(openstack('volume group list')) == {'crew'}
    for word in ('enable', 'disable'):
        assert 'eplication' in openstack.refused(f'volume group set --{word}-replication crew')
    snapshot = openstack('volume group snapshot create --name crew-1 crew')
    cloud.wait(f"/group_snapshots/{snapshot['ID']}")
    assert names(openstack('volume group snapshot list')) == {'crew-1'}
    assert openstack('volume group snapshot show crew-1')['Group'] == made['ID']
    for options in ('--group-snapshot crew-1', '--source-group crew'):
        copy = openstack(f'volume group create {options} --name copy')
        cloud.wait(f"/groups/{copy['ID']}")
        assert len(openstack('volume group show --volumes copy')['Volumes']) == 1
        openstack.do('volume group delete --force copy')
        api.wait_gone(f"/groups/{copy['ID']}")
    openstack.do('volume group snapshot delete crew-1')
    api.wait_gone(f"/group_snapshots/{snapshot['ID']}")
    openstack.do('volume group remove volume crew member')
    cloud.wait(path)
    openstack.do('volume group delete crew')
    api.wait_gone(path)
    openstack.do('volume group type delete together')
    api.delete_volume(volume_id)


@tries('consistency group create', 'consistency group list', 'consistency group show',
       'consistency group set', 'consistency group add volume', 'consistency group remove volume',
       'consistency group delete', 'consistency group snapshot create',
       'consistency group snapshot list', 'consistency group snapshot show',
       'consistency group snapshot delete')
def test_consistency_groups_do_what_groups_do(openstack, cloud, api):
    # The type that they belong to asks for consistent snapshots unless it is there already; a
    # file system whose files share no blocks has none.
    openstack.do('volume group type create default_cgsnapshot_type')
    volume_id = cloud.volume('ancient')
    made = openstack('consistency group create --volume-type alpha --description d old')
    path = f"/consistencygroups/{made['id']}"
    cloud.wait(path)
    openstack.do('consistency group add volume old ancient')
    cloud.wait(path)
    assert api.volume(volume_id)['consistencygroup_id'] == made['id']
    openstack.do('consistency group set --name older --description x old')
    assert openstack('consistency group show older')['description'] == 'x'
    states = {row['Name']: row['Status'] for row in openstack('consistency group list --long')}
    assert states['older'] == 'available'
    snapshot = openstack('consistency group snapshot create --consistency-group older older-1')
    cloud.wait(f"/cgsnapshots/{snapshot['id']}")
    row, = openstack('consistency group snapshot list --long --consistency-group older '
                     '--status available')
    assert (row['Name'], row['Status']) == ('older-1', 'available')
    assert openstack('consistency group snapshot show older-1')['consistencygroup_id'] == made['id']
    for options in ('--snapshot older-1', '--source older'):
        copy = openstack(f'consistency group create {options} copy')
        cloud.wait(f"/consistencygroups/{copy['id']}")
        openstack.do('consistency group delete --force copy')
        api.wait_gone(f"/consistencygroups/{copy['id']}")
    openstack.do('consistency group snapshot delete older-1')
    api.wait_gone(f"/cgsnapshots/{snapshot['id']}")
    openstack.do('consistency group remove volume older ancient')
    cloud.wait(path)
    openstack.do('consistency group delete older')
    api.wait_gone(path)
    openstack.do('volume group type delete default_cgsnapshot_type')
    api.delete_volume(volume_id)


# attachments and transfers


@tries('volume attachment create', 'volume attachment set', 'volume attachment complete',
       'volume attachment list', 'volume attachment show', 'volume attachment delete')
def test_volume_is_attached_to_a_server_and_detached(openstack, cloud, api):
    volume_id = cloud.volume('worn')
    made = openstack('volume attachment create --server server --mode rw worn')
    assert (made['Status'], made['Instance ID']) == ('reserved', SERVER)
    connected = openstack('volume attachment set --host node --ip 127.0.0.1 --platform x86_64 '
                          f"--os-type linux --mountpoint /dev/vdb {made['ID']}")
    assert connected['Status'] == 'attaching'
    openstack.do(f"volume attachment complete {made['ID']}")
    shown = openstack(f"volume attachment show {made['ID']}")
    assert (shown['Status'], shown['Attach Mode']) == ('attached', 'rw')
    assert shown['Properties']['driver_volume_type'] == 'local'
    assert api.volume(volume_id)['status'] == 'in-use'
    row, = openstack(f'volume attachment list --volume-id {volume_id} --status attached')
    assert (row['ID'], row['Server ID']) == (made['ID'], SERVER)
    openstack.do(f"volume attachment delete {made['ID']}")
    api.wait_volume(volume_id)
    at_once = openstack('volume attachment create --connect --server server --host node --ip 127.0.0.1 '
                        '--platform x86_64 --os-type linux worn')
    assert at_once['Status'] == 'attaching'
    openstack.do(f"volume attachment delete {at_once['ID']}")
    assert cloud.wait(f'/volumes/{volume_id}')['attachments'] == []
    api.delete_volume(volume_id)


@tries('volume transfer request create', 'volume transfer request list', 'volume transfer request show',
       'volume transfer request delete', 'volume transfer request accept')
def test_volume_is_given_to_another_project(openstack, cloud, api):
    volume_id = cloud.volume('gift')
    offer = openstack('volume transfer request create --name take --no-snapshots gift')
    assert openstack('volume transfer request show take')['volume_id'] == volume_id
    assert names(openstack('volume transfer request list --all-projects'), 'ID') == {offer['id']}
    assert 'could not be found' in openstack.refused('volume transfer request delete take')
    openstack.do(f"volume transfer request delete {offer['id']}")
    offer = openstack('volume transfer request create --snapshots gift')
    accept = f"volume transfer request accept --auth-key {offer['auth_key']} {offer['id']}"
    taken = cloud.client('user')(accept)
    assert taken['volume_id'] == volume_id
    row, = openstack('volume list --project others')
    assert row['ID'] == volume_id
    back = cloud.client('user')(f'volume transfer request create {volume_id}')
    openstack.do(f"volume transfer request accept --auth-key {back['auth_key']} {back['id']}")
    assert api.volume(volume_id)['os-vol-tenant-attr:tenant_id'] == embedded.PROJECT_ID
    api.delete_volume(volume_id)


# what operators ask


@tries('volume service list', 'volume service set', 'volume host set')
def test_services_are_listed_disabled_and_frozen(openstack, api):
    openstack.do('volume service set --disable --disable-reason mending host@beta cinder-volume')
    row, = openstack('volume service list --long --host host@beta --service cinder-volume')
    assert (row['Status'], row['Disabled Reason'], row['State']) == ('disabled', 'mending', 'up')
    openstack.do('volume service set --enable host@beta cinder-volume')
    openstack.do('volume host set --disable host@beta')
    row, = [each for each in api.get('/os-services')['services'] if each['host'] == 'host@beta']
    assert (row['frozen'], row['status']) == (True, 'disabled')
    openstack.do('volume host set --enable host@beta')
    assert names(openstack('volume service list'), 'Status') == {'enabled'}
    assert 'is disabled' in openstack.refused('volume host failover --volume-backend far host@beta')


@tries('volume host failover', 'volume group failover')
def test_backends_and_groups_are_failed_over_and_back(openstack, cloud):
    stock_failovers.run(openstack, cloud)


@tries('volume backend pool list', 'volume backend capability show', 'block storage cluster list',
       'block storage resource filter list', 'block storage resource filter show')
@tries('block storage cluster show', 'block storage cluster set', result=REFUSED)
@tries('block storage cleanup', result=CLIENT)
def test_backends_pools_clusters_and_filters_are_shown(openstack):
    pools = openstack('volume backend pool list --long')
    assert names(pools) == {'host@alpha#alpha', 'host@beta#beta'}
    keys = names(openstack('volume backend capability show host@alpha'), 'Key')
    assert 'thin_provisioning' in keys
    assert openstack('block storage cluster list --long') == []
    assert 'could not be found' in openstack.refused('block storage cluster show none')
    assert 'could not be found' in openstack.refused('block storage cluster set --disable none')
    assert 'volume' in names(openstack('block storage resource filter list'), 'Resource')
    assert 'status' in openstack('block storage resource filter show volume')['Filters']
    openstack.attempt('block storage cleanup --host host@alpha --binary cinder-volume --cluster none')


@tries('block storage log level list', 'block storage log level set')
def test_log_levels_are_shown_and_set(openstack):
    where = '--host host --service cinder-api --log-prefix cinder_ext.api.dispatch'
    before, = names(openstack(f'block storage log level list {where}'), 'Level')
    openstack.do(f'block storage log level set WARNING {where}')
    assert names(openstack(f'block storage log level list {where}'), 'Level') == {'WARNING'}
    openstack.do(f'block storage log level set {before} {where}')


@tries('volume message list', 'volume message delete')
@tries('volume message show', result=CLIENT)
def test_messages_tell_why_a_volume_failed(openstack, api):
    api.create_type('nowhere', {'volume_backend_name': 'none'})
    failed = api.create_volume(1, wait=False, name='lost', volume_type='nowhere')
    row, = rest.wait_for(lambda: openstack('volume message list'), 'a message')
    assert (row['Resource UUID'], row['Message Level']) == (failed['id'], 'ERROR')
    openstack.attempt(f"volume message show {row['ID']}")
    assert api.get(f"/messages/{row['ID']}")['message']['event_id'] == row['Event ID']
    openstack.do(f"volume message delete {row['ID']}")
    assert openstack('volume message list') == []
    api.delete_volume(failed['id'])


@tries('quota show', 'quota set', 'quota list', 'quota delete', 'limits show')
def test_quotas_and_limits_are_shown_and_changed(openstack):
    openstack.do('quota set --volumes 7 --snapshots 8 --volume-type alpha others')
    openstack.do('quota set --gigabytes 9 others')
    limits = {row['Resource']: row['Limit'] for row in openstack('quota show --volume others')}
    assert (limits['volumes_alpha'], limits['snapshots_alpha'], limits['gigabytes']) == (7, 8, 9)
    row, = openstack('quota list --volume')
    assert (row['Project ID'], row['Gigabytes']) == (OTHER_PROJECT, 9)
    used = openstack('quota show --volume --usage')
    assert {'Resource', 'Limit', 'In Use', 'Reserved'} <= set(used[0])
    openstack.do('quota delete --volume others')
    assert openstack('quota list --volume') == []
    absolute = {row['Name']: row['Value'] for row in openstack('limits show --absolute')}
    used = len(openstack('volume list'))
    assert (absolute['max_total_volumes'], absolute['total_volumes_used']) == (-1, used)
    assert openstack('limits show --rate') == []


@tries('availability zone list', 'extension list', 'versions show')
def test_zones_extensions_and_versions_are_shown(openstack):
    assert openstack('availability zone list --volume') == [{'Zone Name': 'nova',
                                                             'Zone Status': 'available'}]
    aliases = [row['Alias'] for row in openstack('extension list --volume')]
    assert 'cinder-ext-volume-migrations' in aliases
    assert len(aliases) == len(set(aliases))
    row, = openstack('versions show --service block-storage')
    assert (row['Max Microversion'], row['Status']) == ('3.76', 'CURRENT')


@tries('volume backup create', 'volume backup delete', 'volume backup list', 'volume backup restore',
       'volume backup set', 'volume backup show', 'volume backup unset', 'volume backup record export',
       'volume backup record import', result=ABSENT)
def test_backups_and_images_are_refused_in_a_word(openstack, cloud, api):
    volume_id = cloud.volume('plain')
    for line in ('create plain', 'delete none', 'list', 'restore none', 'set --name x none',
                 'show none', 'unset --property x none', 'record export none',
                 'record import file eyJhIjogMX0='):
        assert '404' in openstack.refused(f'volume backup {line}'), line
    assert 'image' in openstack.refused('volume create --size 1 --image any booted')
    api.delete_volume(volume_id)


@tries()
def test_commands_of_our_own_work_beside_the_others(openstack, cloud, api):
    volume_id = api.create_volume(1, name='ours', volume_type='anywhere')['id']
    here = api.volume(volume_id)['os-vol-host-attr:host']
    there, = {'host@alpha#alpha', 'host@beta#beta'} - {here}
    started = openstack(f'volume migration create --host {there} ours')
    api.wait_migration(started['id'])
    assert openstack('volume migration show ours')['phase'] == 'finished'
    assert names(openstack('volume migration list --volume ours'), 'ID') == {started['id']}
    cloud.wait(f'/volumes/{volume_id}')
    api.delete_volume(volume_id)
