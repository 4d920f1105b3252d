"""One error tree for the whole service.

::

    CinderExtError                     500
    ├── BadRequest                     400
    │   ├── InvalidInput
    │   ├── InvalidState               a status that does not allow the call
    │   ├── VolumeIsMigrating          MigrationActive, as upstream's versions know it
    │   ├── InvalidAuthKey             not the key of the transfer
    │   ├── ManifestRefused            of a replica: foreign, forged, or of an unknown version
    │   └── InvalidPage                a marker, limit or sort key
    ├── Forbidden                      403
    │   └── PolicyNotAuthorized
    ├── NotFound                       404
    │   ├── TransferNotFound
    │   ├── VolumeNotFound, SnapshotNotFound, VolumeTypeNotFound
    │   ├── ExtraSpecNotFound, MetadataNotFound, AttachmentNotFound
    │   ├── TypeAccessNotFound, EncryptionNotFound, DefaultTypeNotFound
    │   ├── QosSpecsNotFound, QosKeyNotFound
    │   ├── ServiceNotFound, MessageNotFound, MigrationNotFound
    │   ├── ReplicationNotFound, ReplicationOperationNotFound, ReplicaNotFound
    │   ├── GroupNotFound, GroupTypeNotFound, GroupSpecNotFound, GroupSnapshotNotFound
    │   └── BackendNotFound, HostNotFound, ClusterNotFound
    ├── NotAcceptable                  406
    ├── Conflict                       409
    │   ├── MigrationActive            names the migration
    │   ├── ReplicationConflict        names the replication that is in the way
    │   ├── ReplicationActionRefused   its state does not allow the action; says why
    │   ├── ReplicationOperationActive names the operation that is in the way
    │   ├── VolumeFailingOver          names the operation
    │   ├── ReplicaRefused             it cannot be handed over or taken; says why
    │   ├── MemberRefused              a volume is left out of an operation; says why
    │   │   └── MemberAttached, NoConsistentPoint
    │   ├── MigrationActionRefused     its phase does not allow the action; says why
    │   ├── ConflictNovaUsingAttachment  a server uses it; names the server
    │   ├── TransitionRefused          a compare-and-swap that found another state
    │   └── AlreadyExists
    ├── PreconditionFailed             412
    ├── OverLimit                      413
    │   └── those of db/quota_errors.py, one for each kind of limit
    ├── NotServed                      501: upstream names it, nobody serves it
    ├── ServiceUnavailable             503
    │   ├── DatabaseAway           passes; see db/away.py
    │   └── NoValidBackend
    ├── AssistanceRefused              500: the compute service has no part in a snapshot, for sure
    ├── MigrationError                 500
    │   ├── PreflightFailed            says which checks failed
    │   ├── MoveNotAskedFor            the policy is never, the type needs another backend
    │   ├── SnapshotsNotIncluded       names the word to use
    │   ├── VerifyFailed               destination differs from the source
    │   ├── SwapRefused                the compute service does not move the server
    │   ├── SwapFailed                 the server stayed with the source
    │   ├── MigrationYielded           the volume was taken by a consumer
    │   └── RecordLost                 the record is not in the expected state
    └── DriverError                    500
        ├── NoSpace                    the backend is full; the caller reverts
        ├── BackendDown                the backend cannot be reached; may be retried
        ├── ResourceBusy               in use; may be retried
        ├── ResourceMissing            the backend does not have it
        ├── ReferenceRefused           what is to be managed is unfit
        ├── NotCapable                 asked for what the driver does not do
        ├── SplitBrain                 two sides of a replicated volume are not of one mind
        └── Misconfigured              the options of the backend are wrong

Every class has a ``template`` whose fields are the keywords it is raised
with, a stable ``code`` that clients may compare (of its name, where it gives none:
no class is ever renamed), and the HTTP status that
the API answers with.  ``remedy`` says what the reader can do.
"""
# SPDX-License-Identifier: Apache-2.0

import json
import re


def _carried(value):
    try:
        json.dumps(value, default=list)
    except (TypeError, ValueError):
        return str(value)
    return value


class CinderExtError(Exception):
    """Root of the tree.

    :param message: a sentence that replaces the template
    :param facts: values for the template; kept in ``self.facts``

    ``self.message`` is the sentence; ``str()`` of an error that came back from
    another service has the remote traceback too.
    """

    template = 'An unknown fault occurred.'
    code = 'cinder_ext.fault'
    http_status = 500
    remedy = ''

    def __init__(self, message=None, **facts):
        self.facts = facts
        self.message = message or self.template.format(**facts)
        super().__init__(self.message)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # oslo.messaging derives classes of its own for what came from another service.
        if 'code' not in vars(cls) and cls.__module__.startswith(f'{__package__}.'):
            words = re.sub(r'(?<=[a-z])(?=[A-Z])', '_', cls.__name__)
            cls.code = f'cinder_ext.{words.lower()}'

    @property
    def kwargs(self):
        """The facts as oslo.messaging sends them: what JSON cannot carry becomes text."""
        return {name: _carried(value) for name, value in self.facts.items()}


class BadRequest(CinderExtError):
    template = 'The request is invalid.'
    http_status = 400


class InvalidInput(BadRequest):
    template = 'Invalid input received: {reason}'


class InvalidState(BadRequest):
    template = 'Invalid {kind}: {reason}'


class VolumeIsMigrating(BadRequest):
    template = 'Invalid volume: {reason}'
    code = 'cinder_ext.migration_active'


class InvalidAuthKey(BadRequest):
    template = 'Invalid auth key: it is not the one of transfer {id}.'


class ManifestRefused(BadRequest):
    template = 'The manifest is refused: {reason}.'


class InvalidPage(BadRequest):
    template = 'Invalid paging or sorting: {reason}'


class Forbidden(CinderExtError):
    template = 'You are not authorized to do this.'
    http_status = 403


class PolicyNotAuthorized(Forbidden):
    template = "Policy doesn't allow {action} to be performed."


class NotFound(CinderExtError):
    template = 'Resource could not be found.'
    http_status = 404


class VolumeNotFound(NotFound):
    template = 'Volume {id} could not be found.'


class SnapshotNotFound(NotFound):
    template = 'Snapshot {id} could not be found.'


class VolumeTypeNotFound(NotFound):
    template = 'Volume type {id} could not be found.'


class ExtraSpecNotFound(NotFound):
    template = 'Volume type {type_id} has no extra specs with key {key}.'


class TypeAccessNotFound(NotFound):
    template = 'Volume type {type_id} has no access for project {project_id}.'


class EncryptionNotFound(NotFound):
    template = 'Volume type {type_id} has no such encryption.'


class DefaultTypeNotFound(NotFound):
    template = 'Project {project_id} has no default volume type.'


class QosSpecsNotFound(NotFound):
    template = 'QoS specs {id} could not be found.'


class QosKeyNotFound(NotFound):
    template = 'QoS specs {id} have no spec with key {key}.'


class MetadataNotFound(NotFound):
    template = '{kind} {id} has no metadata with key {key}.'


class AttachmentNotFound(NotFound):
    template = 'Volume attachment {id} could not be found.'


class ServiceNotFound(NotFound):
    template = 'Service {binary} could not be found on host {host}.'


class MessageNotFound(NotFound):
    template = 'Message {id} could not be found.'


class TransferNotFound(NotFound):
    template = 'Transfer {id} could not be found.'


class MigrationNotFound(NotFound):
    template = 'Volume migration {id} could not be found.'


class GroupNotFound(NotFound):
    template = 'Group {id} could not be found.'


class GroupTypeNotFound(NotFound):
    template = 'Group type {id} could not be found.'


class GroupSpecNotFound(NotFound):
    template = 'Group type {type_id} has no group specs with key {key}.'


class GroupSnapshotNotFound(NotFound):
    template = 'Group snapshot {id} could not be found.'


class ReplicationNotFound(NotFound):
    template = 'Replication {id} could not be found.'


class ReplicationOperationNotFound(NotFound):
    template = 'Replication operation {id} could not be found.'


class ReplicaNotFound(NotFound):
    template = 'Backend {host} has no replica {handle} on its array.'


class BackendNotFound(NotFound):
    template = 'Backend {host} could not be found.'


class HostNotFound(NotFound):
    template = 'Host {host} could not be found.'


class ClusterNotFound(NotFound):
    template = 'Cluster {name} could not be found.'


class NotAcceptable(CinderExtError):
    template = ('Version {version} is not supported by the API. '
                'Minimum is {low} and maximum is {high}.')
    code = 'cinder_ext.version_not_supported'
    http_status = 406


class Conflict(CinderExtError):
    template = 'The request conflicts with the state of the resource.'
    http_status = 409


class MigrationActive(Conflict):
    template = ('Volume {volume_id} is being migrated (migration {migration_id}): '
                'it cannot {action} now.')


class ReplicationConflict(Conflict):
    """What is asked for contradicts a replication that there is; names both sides of it."""

    template = ('{kind} {id} cannot be {action}: {reason} '
                '(replication {replication_id}, scope {scope}, of {protected_id}).')


class ReplicationActionRefused(Conflict):
    template = 'Replication {id} cannot be {action}: {reason} (its state is {state}).'


class ReplicationOperationActive(Conflict):
    template = ('{kind} {id} cannot be {action}: replication operation {operation_id} ({verb}) '
                'is not done.')


class VolumeFailingOver(Conflict):
    template = ('Volume {volume_id} is being failed over or back '
                '(replication operation {operation_id}): it cannot {action} now.')


class ReplicaRefused(Conflict):
    template = 'Volume {id} cannot be {action}: {reason}.'


class MemberRefused(Conflict):
    template = 'Volume {id} is left out: {reason}.'
    remedy = 'See the reason; then ask for the operation again.'


class MemberAttached(MemberRefused):
    template = 'Volume {id} is left out: it has {count} attachments.'
    remedy = 'Detach the volume, or ask again with allow_attached.'


class NoConsistentPoint(MemberRefused):
    template = 'Volume {id} is left out: {side} has no consistent point of it.'
    remedy = 'Wait until a point has been shipped there; see the lag of the replication.'


class MigrationActionRefused(Conflict):
    template = 'Migration {id} cannot be {action}: {reason} (its phase is {phase}).'


class ConflictNovaUsingAttachment(Conflict):
    template = 'Detach volume from instance {server_id} using the Compute API'
    code = 'cinder_ext.attachment_used_by_server'
    remedy = 'Detach the volume with the compute service.'


class TransitionRefused(Conflict):
    template = '{kind} {id} cannot {event}: its {column} is {current}, expected one of {expected}.'


class AlreadyExists(Conflict):
    template = '{kind} {name} already exists.'


class PreconditionFailed(CinderExtError):
    template = 'The resource has changed: its Etag is {etag}.'
    http_status = 412


class OverLimit(CinderExtError):
    template = 'A limit has been exceeded: {reason}'
    http_status = 413
    retry_after = '0'


class NotServed(CinderExtError):
    template = '{what} is not served: {instead}.'
    http_status = 501


class ServiceUnavailable(CinderExtError):
    template = 'The service is unavailable: {reason}'
    code = 'cinder_ext.unavailable'
    http_status = 503


class DatabaseAway(ServiceUnavailable):
    template = 'The service is unavailable: it cannot reach its database.'
    code = 'cinder_ext.database_away'
    remedy = 'Wait until the database answers; then try again.'


class NoValidBackend(ServiceUnavailable):
    template = 'No valid backend was found: {reason}'
    remedy = ('See the reasons per backend; free space, correct the volume type '
              'or name another backend.')


class AssistanceRefused(CinderExtError):
    template = 'The compute service does not take part: {reason}'
    remedy = ('See what the compute service says; the volume is as it was. '
              'Detach the volume, or try again.')


class MigrationError(CinderExtError):
    template = 'The migration failed: {reason}'
    code = 'cinder_ext.migration_failed'
    remedy = 'The volume is unchanged at its source. Start the migration again.'


class PreflightFailed(MigrationError):
    template = 'The preflight failed: {reason}'
    remedy = 'Mend what the failed checks name and start the migration again.'


class MoveNotAskedFor(MigrationError):
    template = 'The new type needs another backend ({reason}) and the migration policy is never.'
    remedy = 'Use the migration policy on-demand, or on-demand-include-snapshots with snapshots.'


class SnapshotsNotIncluded(MigrationError):
    template = 'The volume has {count} snapshots and the request did not include them.'
    remedy = ('Use the migration policy on-demand-include-snapshots (include_snapshots for a '
              "migration), or set migration:include_snapshots='<is> True' on the volume type.")


class VerifyFailed(MigrationError):
    template = ('Verification failed: {link} differs from its source at the destination'
                ' in {length} bytes at offset {offset}.')
    remedy = ('The destination does not give back what was written to it: check its medium. '
              'The volume is unchanged at its source.')


class SwapRefused(MigrationError):
    template = 'The compute service does not move server {server_id} to the new volume: {reason}'
    remedy = ('Look at the state of the server, and start the migration again, or detach the volume '
              'first. The volume is unchanged at its source.')


class SwapFailed(MigrationError):
    template = 'The server was not moved to the new volume: {reason}'
    remedy = ('The log of the compute service says more. The server uses the volume at its source; '
              'start the migration again.')


class MigrationYielded(MigrationError):
    template = 'The volume was reserved or attached, and the migration was to yield to that.'
    remedy = 'The volume is unchanged at its source. Retry the migration when it is detached.'


class RecordLost(MigrationError):
    template = 'Migration {id} is in phase {phase}, expected {expected}.'
    code = 'cinder_ext.migration_record_lost'


class DriverError(CinderExtError):
    template = 'The backend failed: {reason}'
    remedy = 'See the log of the volume service for the fault of the backend.'


class NoSpace(DriverError):
    template = 'The backend is full: {reason}'
    remedy = 'Free or add space on the backend, or choose another one.'


class BackendDown(DriverError):
    template = 'The backend cannot be reached: {reason}'
    remedy = 'Bring the backend back; then try again.'


class ResourceBusy(DriverError):
    template = 'The resource is in use: {reason}'
    remedy = 'Wait until its user has released it; then try again.'


class ResourceMissing(DriverError):
    template = 'The backend does not have {name}.'
    remedy = 'Check the backend: what the database names is not there.'


class ReferenceRefused(DriverError):
    template = '{reference} cannot be managed: {reason}.'
    remedy = 'List what the backend has to be managed, and name one of it.'


class NotCapable(DriverError):
    template = 'Backend {backend} cannot {capability}.'


class SplitBrain(DriverError):
    template = ('Volume {name}: {reason} (epoch {local_epoch} on {local_side}, '
                'epoch {remote_epoch} on {remote_side}).')
    remedy = 'Choose the side whose content is to be given up, and resync from the other one.'


class Misconfigured(DriverError):
    template = 'The configuration of backend {backend} is wrong: {reason}'
    remedy = 'Correct the named options and start the volume service again.'
