"""Where a backend replicates to, as it told the schedulers: names and modes, nothing secret."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions


def chosen(call, backend, policy):
    """The target that a policy asks for, or the first one that serves its mode.

    :param backend: ``host@backend``
    :param policy: replication_policy.Policy, whole
    :returns: a dictionary with backend_id, and modes and cross_os where they are known
    :raises InvalidInput: there is none; says what there is
    """
    known = of_backend(call, backend)
    fitting = [each for each in known if policy.mode in each.get('modes', (policy.mode,))
               and policy.target in (None, each['backend_id'])]
    if not fitting:
        raise exceptions.InvalidInput(reason=_refusal(backend, policy, known))
    # Another cloud's array takes a failover by export and import, which must be meant.
    return min(fitting, key=lambda each: bool(each.get('cross_os')))


def of_backend(call, backend):
    """All targets of a backend, in the order of its configuration."""
    for pool in call.ask(call.rpc.scheduler.get_pools, detail=True, filters={}):
        if pool['name'].partition('#')[0] == backend:
            told = pool['capabilities']
            return told.get('replication_target_details') or [
                {'backend_id': name} for name in told.get('replication_targets') or ()]
    return []


def _refusal(backend, policy, known):
    if not known:
        return f'backend {backend} has no target of replication.'
    there = ', '.join(f"{each['backend_id']} ({', '.join(each.get('modes', ()))})" for each in known)
    wanted = f'target {policy.target}' if policy.target else 'target'
    return f'backend {backend} has no {wanted} with mode {policy.mode}; it has {there}.'
