"""What a service behind Keystone owes its callers and Tempest does not look at.

Each function below ``PROOFS`` is a test: it gets a Caller and asserts.
"""
# SPDX-License-Identifier: Apache-2.0

import time
import traceback
import uuid

import identity
import requests

PREFIX = 'keystone.'
"""What the ids of these tests begin with."""
PASSWORD = 'only-for-proofs'
SYSTEM = {'system': {'all': True}}
GLOBAL_ID = 'req-' + str(uuid.uuid4())


class Caller:
    """Requests to block storage with tokens of several kinds.

    :param keystone: identity.Keystone
    :param url: of block storage, without a project
    :param others: beside.Beside
    """

    def __init__(self, keystone, url, others):
        self.keystone = keystone
        self.others = others
        self.url = url
        self.project_id = keystone.create_project('proofs')
        self.tokens = {'admin': keystone.admin_token(), 'system': keystone.admin_token(SYSTEM)}
        for role in ('member', 'reader'):
            keystone.create_user(f'proof-{role}', PASSWORD, self.project_id, role)
            self.tokens[role] = keystone.token(f'proof-{role}', PASSWORD, identity.project('proofs'))
        self.tokens['service'] = keystone.token('cinder', keystone.service_password,
                                                identity.project('service'))

    def __call__(self, method, path, who=None, body=None, **headers):
        if who is not None:
            headers['X-Auth-Token'] = self.tokens.get(who, who)
        return requests.request(method, self.url + path, json=body, timeout=60, headers={
            name.replace('_', '-'): value for name, value in headers.items()})

    def volume(self):
        """A new volume of the project; its id."""
        made = self('POST', '/volumes', 'member', {'volume': {'size': 1}})
        assert made.status_code == 202, made.text
        return made.json()['volume']['id']

    def await_status(self, volume_id, wanted, timeout=30):
        deadline = time.monotonic() + timeout
        while True:
            answer = self('GET', f'/volumes/{volume_id}', 'member')
            found = answer.json()['volume']['status'] if answer.ok else answer.status_code
            if found == wanted:
                return
            assert time.monotonic() < deadline, f'volume is {found} and not {wanted}'
            time.sleep(0.2)


def _no_token_is_unauthorized(call):
    answer = call('GET', '/volumes')
    assert answer.status_code == 401, answer.text
    assert call.keystone.url in answer.headers['WWW-Authenticate']
    assert answer.headers['x-openstack-request-id'].startswith('req-')


def _an_invented_token_is_unauthorized(call):
    assert call('GET', '/volumes', 'gAAAAABinvented').status_code == 401
    assert call('GET', '/volumes', 'admin:' + call.project_id).status_code == 401


def _identity_headers_of_the_caller_are_not_believed(call):
    forged = {'X_User_Id': 'u', 'X_Project_Id': call.project_id, 'X_Roles': 'admin',
              'X_Identity_Status': 'Confirmed', 'X_Service_Roles': 'service'}
    assert call('GET', '/volumes', **forged).status_code == 401
    assert call('GET', '/os-services', 'member', **forged).status_code == 403


def _versions_need_no_token(call):
    assert call('GET', '/').status_code == 200


def _a_path_with_and_without_the_project_is_served(call):
    assert call('GET', '/volumes', 'member').status_code == 200
    assert call('GET', f'/{call.project_id}/volumes', 'member').status_code == 200


def _another_project_in_the_path_is_a_bad_request(call):
    for who in ('member', 'admin'):
        answer = call('GET', f'/{uuid.uuid4().hex}/volumes', who)
        assert (answer.status_code, list(answer.json())) == (400, ['badRequest'])


def _members_are_forbidden_what_is_for_administrators(call):
    for method, path, body in (('GET', '/os-services', None), ('GET', '/os-hosts', None),
                               ('GET', '/scheduler-stats/get_pools', None),
                               ('POST', '/types', {'volume_type': {'name': 'mine'}})):
        answer = call(method, path, 'member', body)
        assert (answer.status_code, list(answer.json())) == (403, ['forbidden']), path


def _readers_read_and_change_nothing(call):
    assert call('GET', '/volumes/detail', 'reader').status_code == 200
    assert call('POST', '/volumes', 'reader', {'volume': {'size': 1}}).status_code == 403


def _every_answer_has_a_request_id_of_its_own(call):
    answers = [call('GET', '/volumes', 'member', X_OpenStack_Request_ID=GLOBAL_ID),
               call('GET', f'/volumes/{uuid.uuid4()}', 'member', X_OpenStack_Request_ID=GLOBAL_ID)]
    ids = [answer.headers['x-openstack-request-id'] for answer in answers]
    assert [answer.status_code for answer in answers] == [200, 404]
    assert len({*ids, GLOBAL_ID}) == 3
    assert all(each.startswith('req-') for each in ids)
    assert [answer.headers['x-compute-request-id'] for answer in answers] == ids


def _a_token_of_the_system_is_forbidden(call):
    answer = call('GET', '/volumes', 'system')
    assert (answer.status_code, list(answer.json())) == (403, ['forbidden']), answer.text


def _an_invented_service_token_is_unauthorized(call):
    answer = call('GET', '/volumes', 'member', X_Service_Token='gAAAAABinvented')
    assert answer.status_code == 401


def _a_service_token_without_the_role_is_unauthorized(call):
    volume_id, attachment_id = _attached(call)
    answer = call('DELETE', f'/attachments/{attachment_id}', 'member',
                  X_Service_Token=call.tokens['member'], OpenStack_API_Version='volume 3.44')
    assert answer.status_code == 401, answer.text
    _detach(call, volume_id, attachment_id, X_Service_Token=call.tokens['service'])


def _only_with_a_service_token_a_used_attachment_goes(call):
    volume_id, attachment_id = _attached(call)
    alone = call('DELETE', f'/attachments/{attachment_id}', 'member',
                 OpenStack_API_Version='volume 3.44')
    assert (alone.status_code, list(alone.json())) == (409, ['conflictingRequest']), alone.text
    call.await_status(volume_id, 'in-use')
    _detach(call, volume_id, attachment_id, X_Service_Token=call.tokens['service'])


def _an_attachment_that_no_server_uses_goes_without_one(call):
    volume_id, attachment_id = _attached(call)
    call.others.used.clear()
    _detach(call, volume_id, attachment_id)


def _attached(call):
    """A volume that a server uses, as the compute service says; ids of volume and attachment."""
    volume_id, server_id = call.volume(), str(uuid.uuid4())
    call.await_status(volume_id, 'available')
    version = {'OpenStack_API_Version': 'volume 3.44'}
    made = call('POST', '/attachments', 'member', {'attachment': {
        'volume_uuid': volume_id, 'instance_uuid': server_id,
        'connector': {'host': 'host', 'ip': '127.0.0.1', 'initiator': 'iqn.1994-05.com.example:host',
                      'platform': 'x86_64', 'os_type': 'linux', 'multipath': False}}}, **version)
    assert made.status_code == 200, made.text
    attachment_id = made.json()['attachment']['id']
    call.others.used[server_id, volume_id] = attachment_id
    done = call('POST', f'/attachments/{attachment_id}/action', 'member', {'os-complete': {}},
                **version)
    assert done.status_code == 204, done.text
    call.await_status(volume_id, 'in-use')
    return volume_id, attachment_id


def _detach(call, volume_id, attachment_id, **headers):
    answer = call('DELETE', f'/attachments/{attachment_id}', 'member',
                  OpenStack_API_Version='volume 3.44', **headers)
    assert answer.status_code == 200, answer.text
    call.await_status(volume_id, 'available')
    assert call('DELETE', f'/volumes/{volume_id}', 'member').status_code == 202
    call.await_status(volume_id, 404)


PROOFS = (
    _no_token_is_unauthorized,
    _an_invented_token_is_unauthorized,
    _identity_headers_of_the_caller_are_not_believed,
    _versions_need_no_token,
    _a_path_with_and_without_the_project_is_served,
    _another_project_in_the_path_is_a_bad_request,
    _members_are_forbidden_what_is_for_administrators,
    _readers_read_and_change_nothing,
    _every_answer_has_a_request_id_of_its_own,
    _a_token_of_the_system_is_forbidden,
    _an_invented_service_token_is_unauthorized,
    _a_service_token_without_the_role_is_unauthorized,
    _only_with_a_service_token_a_used_attachment_goes,
    _an_attachment_that_no_server_uses_goes_without_one,
)


def names():
    """Ids of all proofs."""
    return [f'{PREFIX}{proof.__name__[1:]}' for proof in PROOFS]


def run(keystone, url, others):
    """Run all.

    :returns: iterator of results, as of suite.Suite.run
    """
    call = Caller(keystone, url, others)
    for name, proof in zip(names(), PROOFS, strict=True):
        began, text = time.monotonic(), ''
        try:
            proof(call)
        except (AssertionError, KeyError, ValueError, requests.RequestException):
            text = traceback.format_exc()
        yield {'id': name, 'outcome': 'failed' if text else 'passed', 'text': text,
               'seconds': time.monotonic() - began}
