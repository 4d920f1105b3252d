"""What the results of a run amount to."""
# SPDX-License-Identifier: Apache-2.0

import collections


def judge(results, required, prefix):
    """Print the counts and what is wrong.

    :param results: dictionaries with ``id`` and ``outcome``
    :param required: ids of the tests that must have passed
    :param prefix: what the ids of our own proofs begin with; they are counted apart
    :returns: exit code: 1 when a test failed, a required one did not pass, or none passed
    """
    failed = [result['id'] for result in results if result['outcome'] == 'failed']
    passed = {result['id'] for result in results if result['outcome'] == 'passed'}
    missing = [each for each in required if each not in passed and each not in failed]
    for word, ids in (('FAILED', failed), ('MISSING', missing)):
        for each in ids:
            print(f'{word:8} {each}')
    for title, belongs in (('Keystone', True), ('Tempest', False)):
        counts = collections.Counter(result['outcome'] for result in results
                                     if result['id'].startswith(prefix) == belongs)
        print(f"{title}: {counts['passed']} passed, {counts['failed']} failed, "
              f"{counts['skipped']} skipped")
    print(f'{len(passed.intersection(required))} of {len(required)} required tests passed')
    return 1 if failed or missing or not passed else 0
