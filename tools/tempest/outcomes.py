"""Reads a subunit stream and writes a line of JSON for each test that has ended.

Runs in Tempest's environment, as a filter::

    {"id": ..., "outcome": "passed" | "failed" | "skipped", "seconds": 1.2, "text": ...}

``text`` is the reason of a skip or the report of a failure.
"""
# SPDX-License-Identifier: Apache-2.0

import collections
import json
import re
import sys

import subunit
import testtools

OUTCOMES = {'success': 'passed', 'xfail': 'passed', 'uxsuccess': 'failed', 'fail': 'failed',
            'skip': 'skipped'}
TAGS = re.compile(r'\[[^]]*\]')


class Writer(testtools.StreamResult):
    """Collects what belongs to a test until its last word."""

    def __init__(self):
        super().__init__()
        self._texts = collections.defaultdict(list)
        self._began = {}

    def status(self, test_id=None, test_status=None, file_name=None, file_bytes=None,
               timestamp=None, **rest):
        if test_id is None:
            return
        if test_status == 'inprogress':
            self._began[test_id] = timestamp
        if file_bytes and file_name in ('reason', 'traceback'):
            self._texts[test_id].append(bytes(file_bytes).decode(errors='replace'))
        if test_status in OUTCOMES:
            self._write(test_id, OUTCOMES[test_status], timestamp)

    def _write(self, test_id, outcome, ended):
        began = self._began.pop(test_id, None)
        print(json.dumps({
            'id': TAGS.sub('', test_id), 'outcome': outcome,
            'seconds': round((ended - began).total_seconds(), 2) if began and ended else 0,
            'text': ''.join(self._texts.pop(test_id, []))}), flush=True)


if __name__ == '__main__':
    writer = Writer()
    subunit.ByteStreamToStreamResult(sys.stdin.buffer, non_subunit_name='stdout').run(writer)
