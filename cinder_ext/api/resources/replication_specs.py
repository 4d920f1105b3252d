"""Words of replication in volume types and group types: refused where they are bad, or contradict.

A type is looked at when its specs are set, a volume or group when it is made or gets another type:
what was set before its words were known is found then.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from cinder_ext import exceptions
from cinder_ext.db import group_types, groups, volume_types
from cinder_ext.states import replication_policy as policy


def refuse_bad(new, source, others=None):
    """Look at specs that are to be set.

    :param new: dictionary, or None
    :param source: how an error names whose they are
    :param others: function without arguments: the specs that are there already
    :raises InvalidInput: a word that is not understood, or two that contradict each other
    """
    if new and policy.concerns(new):
        policy.parse({**(others() if others else {}), **new}, source)


def refuse_of_volume(call, type_name, specs, group_id):
    """Look at what the type of a volume asks for, and its group.

    :param specs: extra specs of the volume type
    :param group_id: of the group that the volume is in, or is to be in; None for none
    :raises InvalidInput: they contradict each other; names both
    """
    own = policy.parse(specs, f'volume type {type_name}') if policy.concerns(specs) else None
    theirs = _of_group(call, group_id) if group_id else None
    if own is not None or theirs is not None:
        policy.merge(theirs, own)


def _of_group(call, group_id):
    return _of_group_type(call, groups.get(call.context, group_id, call.scope).group_type_id)


def _of_group_type(call, group_type_id):
    return policy.parse(group_types.specs(call.context, group_type_id), 'the group type')


def refuse_of_group(call, group_type_id, type_ids):
    """Look at what the type of a group asks for, and the types that its volumes may have.

    :raises InvalidInput: two of them contradict each other; names both
    """
    own = _of_group_type(call, group_type_id)
    for type_id in type_ids:
        specs = volume_types.extra_specs(call.context, type_id)
        if policy.concerns(specs):
            policy.merge(own, policy.parse(specs, f'volume type {type_id}'))


def of_thing(call, scope, row):
    """What the types of a thing ask for.

    :param row: of a volume or group; None for a pool or backend
    :returns: (replication_policy.Policy of the group type, that of the volume type), each None
        where there is no such type
    """
    if row is None:
        return None, None
    if scope == 'group':
        return _of_group_type(call, row.group_type_id), None
    of_type = (policy.parse(volume_types.extra_specs(call.context, row.volume_type_id),
                            'the volume type') if row.volume_type_id else None)
    return (_of_group(call, row.group_id) if row.group_id else None), of_type


def merged(asked, of_group, of_type):
    """The whole policy of a request, which goes before what the types ask for.

    :param asked: replication_policy.Policy of the request; its scope is set
    :raises InvalidInput: two of them contradict each other; names both
    """
    for theirs, name in ((of_group, 'the group type'), (of_type, 'the volume type')):
        if theirs is not None:
            _refuse_contradiction(asked, theirs, name)
    ours = {**(of_group.as_document() if of_group else {}), **asked.as_document()}
    return policy.merge(dataclasses.replace(asked, **ours), of_type)


def _refuse_contradiction(asked, theirs, name):
    own, other = asked.as_document(), theirs.as_document()
    pairs = [(word, word) for word in own if word != 'is_enabled']
    pairs += [('rpo_seconds', 'schedule'), ('schedule', 'rpo_seconds')]
    for word, their_word in pairs:
        if word in own and their_word in other and (word, own[word]) != (
                their_word, other[their_word]):
            raise exceptions.InvalidInput(
                reason=f"the request has {word} '{own[word]}' and {name} has "
                       f"{policy.PREFIX}{their_word} '{other[their_word]}': they contradict each "
                       'other.')
