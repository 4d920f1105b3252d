"""A group and a backend are failed over and back with the stock client."""
# SPDX-License-Identifier: Apache-2.0

import rest

ENABLED = "replication_enabled='<is> True'"
THERE_AND_BACK = (('far', 'failed-over'), ('default', 'enabled'))
"""Targets, and what the volumes show then."""


def run(openstack, cloud):
    """Both ways for a group, then for its backend, where a volume is replicated by itself too.

    :param openstack: osc_commands.Openstack
    :param cloud: osc_commands.Cloud, whose backend alpha replicates to ``far``
    """
    api = cloud.api
    openstack.do(f'volume type create --property {ENABLED} safe')
    openstack.do('volume group type create together')
    openstack.do(f'volume group type set --property consistent_group_{ENABLED} together')
    alone = api.create_volume(1, name='alone', volume_type='safe')['id']
    made = openstack('volume group create --volume-group-type together --volume-type safe '
                     '--availability-zone nova --name crew')
    cloud.wait(f"/groups/{made['ID']}")
    member = api.create_volume(1, name='member', volume_type='safe', group_id=made['ID'])['id']
    openstack.do('volume group set --enable-replication crew')
    _await(api, (alone, member), 'enabled')
    for target, word in THERE_AND_BACK:
        openstack.do(f'volume group failover --secondary-backend-id {target} crew')
        _await(api, (member,), word)
    for target, word in THERE_AND_BACK:
        openstack.do(f'volume host failover --volume-backend {target} host@alpha')
        _await(api, (alone, member), word)
        _await_service(openstack, word)
    openstack.do('volume group set --disable-replication crew')
    _await(api, (member,), 'disabled')
    _remove(openstack, api, alone, made['ID'])


def _await(api, volume_ids, word):
    rest.wait_for(lambda: {api.volume(each)['replication_status'] for each in volume_ids} == {word},
                  f'the volumes to be {word}')


def _await_service(openstack, word):
    reason = word if word == 'failed-over' else None

    def is_so():
        row, = openstack('volume service list --long --host host@alpha')
        return row['Disabled Reason'] == reason
    rest.wait_for(is_so, f'the service to be {word}')


def _remove(openstack, api, volume_id, group_id):
    openstack.do('volume group delete --force crew')
    api.delete_volume(volume_id)
    api.wait_gone(f'/volumes/{volume_id}')
    api.wait_gone(f'/groups/{group_id}')
    openstack.do('volume group type delete together')
    openstack.do('volume type delete safe')
