"""The schema is one that JSON Schema knows, and the one that is published."""
# SPDX-License-Identifier: Apache-2.0

import jsonschema
import manifest_schema as tool

from cinder_ext.objects import manifest_schema


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(manifest_schema.SCHEMA)


def test_what_is_published_is_what_is_used():
    assert tool.PUBLISHED.read_text() == tool.text(), 'run python tools/manifest_schema.py'
    assert tool.main(['--check']) == 0
