"""The hint ``query``."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinder_ext.scheduler import queries, request

GIB = 1024 ** 3
POOL = request.Pool('h@a#p', total_bytes=100 * GIB, free_bytes=50 * GIB,
                    capabilities={'storage_protocol': 'file', 'nested': {'a': 1}})


@pytest.mark.parametrize(('query', 'expected'), [
    ([], True),
    (['=', '$free_capacity_gb', 50], True),
    (['=', '$free_capacity_gb', 49], False),
    (['=', '$free_capacity_gb'], False),
    (['<', '$free_capacity_gb', 51, 52], True),
    (['<', '$free_capacity_gb', 51, 50], False),
    (['>', '$free_capacity_gb', 49], True),
    (['<=', '$free_capacity_gb', 50], True),
    (['>=', '$free_capacity_gb', 51], False),
    (['in', '$host', 'h@b#p', 'h@a#p'], True),
    (['in', '$host', 'h@b#p'], False),
    (['=', '$capabilities.storage_protocol', 'file'], True),
    (['=', '$capabilities.nested.a', 1], True),
    (['=', '$capabilities.nested.a.b', 1], False),
    (['=', '$nothing', 1], False),
    (['=', '$nothing', '$nothing'], False),
    (['not', ['=', '$free_capacity_gb', 49]], True),
    (['not', ['=', '$free_capacity_gb', 50]], False),
    (['and', ['>', '$free_capacity_gb', 1], ['<', '$free_capacity_gb', 99]], True),
    (['and', ['>', '$free_capacity_gb', 1], ['<', '$free_capacity_gb', 9]], False),
    (['or', ['>', '$free_capacity_gb', 99], ['<', '$free_capacity_gb', 99]], True),
    (['or', False, False], False),
    (['<', '$host', 5], False),
])
def test_query_holds_as_its_operators_say(query, expected):
    assert queries.holds(queries.read(json.dumps(query)), POOL) is expected
    assert queries.holds(queries.read(query), POOL) is expected


@pytest.mark.parametrize(('hint', 'said'), [
    ('[', 'no JSON'),
    ('{}', 'a list'),
    ('5', 'a list'),
    (5, 'a list'),
    ('["drop", 1]', 'unknown'),
    ('[["="], 1]', 'unknown'),
    ('["=", {"a": 1}]', 'object'),
    ('[' * 3000, 'no JSON'),
    ('["not", ' * 20 + '1' + ']' * 20, 'deeper'),
    ('["=", "' + 'x' * 5000 + '", 1]', 'longer'),
])
def test_what_is_no_query_is_refused(hint, said):
    with pytest.raises(queries.QueryError, match=said):
        queries.read(hint)


_DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(
        ['=', '<', 'in', 'not', 'and', '$host', '$capabilities.nested', '$free_capacity_gb']),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(_DOCUMENTS)
def test_any_document_is_refused_or_holds_or_not(document):
    with contextlib.suppress(queries.QueryError):
        assert queries.holds(queries.read(document), POOL) in (True, False)
