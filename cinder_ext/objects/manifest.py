"""A replica's manifest: what one cloud tells another of a volume; signed, versioned, validated.

The signature is HMAC-SHA256 over the canonical JSON of all but itself: keys sorted, no spaces,
ASCII only, and no number but whole ones.  The key belongs to a pair of clouds; from whom to whom
is part of what is signed, so that what one has signed is not taken for the other's.
"""
# SPDX-License-Identifier: Apache-2.0

import hashlib
import hmac
import json

import jsonschema

from cinder_ext import exceptions
from cinder_ext.objects import manifest_schema

SHORTEST_KEY = 16
"""Characters."""
LARGEST = 16 * 1024 ** 2
"""Bytes of a manifest; a volume with 10,000 snapshots has 3 MiB."""

_VALIDATOR = jsonschema.Draft202012Validator(manifest_schema.SCHEMA)


def canonical(document):
    """What is signed: the bytes of a document without its signature."""
    return json.dumps({name: value for name, value in document.items() if name != 'signature'},
                      sort_keys=True, separators=(',', ':'), allow_nan=False).encode('ascii')


def key_of(conf, cloud):
    """The key that is shared with a cloud.

    :param cloud: its name; None or the own name: the key for targets of the own cloud
    :returns: bytes; None when there is none
    :raises Misconfigured: it is too short
    """
    settings = conf.replication
    found = settings.peer_keys.get(cloud or settings.cloud)
    if not found:
        return None
    if len(found) < SHORTEST_KEY:
        raise exceptions.Misconfigured(
            backend='[replication]', reason=f'the key of cloud {cloud} in peer_keys has fewer than '
                                            f'{SHORTEST_KEY} characters')
    return found.encode()


def signed(document, key):
    """A manifest with its signature, in bytes; without a key it has none."""
    signature = key and {'algorithm': 'HMAC-SHA256', 'value': _digest(document, key)}
    return json.dumps({**document, 'signature': signature or None}, sort_keys=True,
                      separators=(',', ':'), allow_nan=False).encode('ascii')


def _digest(document, key):
    return hmac.new(key, canonical(document), hashlib.sha256).hexdigest()


def read(raw):
    """The manifest that some bytes, or a dictionary, hold; its signature is not looked at.

    :raises ManifestRefused: it is none, or of a version that is not known here
    """
    document = raw if isinstance(raw, dict) else _parsed(raw)
    version = document.get('version')
    if document.get('format') != manifest_schema.FORMAT:
        raise exceptions.ManifestRefused(reason=f'its format is not {manifest_schema.FORMAT}')
    if version != manifest_schema.VERSION:
        raise exceptions.ManifestRefused(
            reason=f'its version is {str(version)[:32]}, and {manifest_schema.VERSION} is known here')
    error = jsonschema.exceptions.best_match(_VALIDATOR.iter_errors(document))
    if error is not None:
        where = '/'.join(str(step) for step in error.absolute_path) or 'the manifest'
        raise exceptions.ManifestRefused(reason=f'for {where[:255]}: {error.message[:500]}')
    return document


def _parsed(raw):
    try:
        document = json.loads(raw) if len(raw) <= LARGEST else None
    except (ValueError, RecursionError) as fault:
        raise exceptions.ManifestRefused(reason='it is not JSON') from fault
    if not isinstance(document, dict):
        raise exceptions.ManifestRefused(reason='it is no JSON object, or too large')
    return document


def verify(conf, document):
    """Be sure that a manifest comes from a peer of this cloud and is meant for this one.

    :param document: as read() gives it
    :returns: the name of the cloud that it comes from
    :raises ManifestRefused: for another cloud, from one that has no key here, or forged
    """
    here, sender = conf.replication.cloud, document['from_cloud']
    if here is None or document['to_cloud'] != here:
        raise exceptions.ManifestRefused(
            reason=f"it is for cloud {document['to_cloud']}, and this is {here}")
    if sender is None or sender == here:
        raise exceptions.ManifestRefused(reason='it names no other cloud that it comes from')
    key = key_of(conf, sender)
    if key is None:
        raise exceptions.ManifestRefused(reason=f'there is no key of cloud {sender} here')
    check(document, key)
    return sender


def check(document, key):
    """
    :raises ManifestRefused: its signature was not made with this key, or it has none
    """
    signature = document['signature']
    if signature is None or not hmac.compare_digest(signature['value'], _digest(document, key)):
        raise exceptions.ManifestRefused(reason='its signature is not right')
