"""What a client of the last upstream version sees of a volume that migrates."""
# SPDX-License-Identifier: Apache-2.0

import itertools
import time

import embedded

STOCK = '3.71'
MEMBER = f'alice:{embedded.PROJECT_ID}'
ACTION = '/volumes/{}/action'
WORDS = [None, 'starting', 'migrating', 'completing', 'success']
"""migration_status in the order in which it comes."""


class Stock:
    """What a client at 3.71 sees of one volume, again and again.

    :ivar seen: of each look: what an administrator and what a member sees of the volume
    """

    def __init__(self, service, volume_id):
        self.api, self.id = service.api, volume_id
        self.seen = []
        self.others = self._listed()
        self.look()

    def look(self):
        path = f'/volumes/{self.id}'
        self.seen.append((self.api.get(path, microversion=STOCK)['volume'],
                          self.api.get(path, microversion=STOCK, token=MEMBER)['volume']))
        assert self._listed() == self.others
        return self.seen[-1][0]

    def _listed(self):
        """Ids of all volumes of all projects: what a migration makes for itself is not among them."""
        found = self.api.get('/volumes/detail?all_tenants=1', microversion=STOCK)['volumes']
        return {each['id'] for each in found}

    def until(self, *words, seconds=60):
        """Look until migration_status is one of some words."""
        deadline = time.monotonic() + seconds
        while self.look()['migration_status'] not in words:
            assert time.monotonic() < deadline, self.seen[-1]
            time.sleep(0.05)
        return self.seen[-1][0]

    def act(self, action, values, **how):
        return self.api.request('POST', ACTION.format(self.id), {action: values},
                                **{'microversion': STOCK, **how})

    def history(self, key):
        """The values of a key, each once per turn."""
        return [value for value, _group in itertools.groupby(volume[key] for volume, _ in self.seen)]


def assert_only_known_words_came(stock, changes=()):
    """In their order, in the fields that the volume had before, and none of ours.

    :param changes: fields that may change besides
    """
    came = stock.history('migration_status')
    assert came == sorted(came, key=WORDS.index), came
    assert {'migrating', 'success'} <= set(came)
    assert stock.history('os-vol-mig-status-attr:migstat') == came
    for who in (0, 1):
        assert {frozenset(look[who]) for look in stock.seen} == {frozenset(stock.seen[0][who])}
    assert not any('migrat' in key or 'host' in key for key in stock.seen[-1][1])
    assert not {key for key in stock.seen[-1][0] if 'progress' in key or 'cinder-ext' in key}
    kept = ('id', 'name', 'created_at', 'size', 'metadata', 'attachments', 'bootable', 'user_id')
    assert all(len(set(map(repr, (look[0][key] for look in stock.seen)))) == 1
               for key in kept if key not in changes)
