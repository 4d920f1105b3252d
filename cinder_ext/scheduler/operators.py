"""How an extra spec's value is compared with a capability: the operators of the Block Storage API.

========================= ====================================================
``<in> text``             the capability contains the text
``<is> truth``            both are true or both are false
``<or> a <or> b``         the capability is one of them
``s== s!= s< s<= s> s>=`` compared as text
``== != <= >=``           compared as numbers; ``=`` means ``>=``
anything else             the capability, as text, is exactly that
========================= ====================================================
"""
# SPDX-License-Identifier: Apache-2.0

import operator

from oslo_utils import strutils


def matches(capability, wanted):
    """Whether a capability is what an extra spec asks for.

    :param capability: a text, number or truth; of a list one element must match
    :param wanted: the extra spec's value
    """
    if isinstance(capability, list | tuple):
        return any(matches(each, wanted) for each in capability)
    word, _, rest = wanted.strip().partition(' ')
    if word in _WORDS:
        return _WORDS[word](capability, rest.strip())
    return str(capability) == wanted.strip()


def _truth(value):
    return strutils.bool_from_string(str(value))


def _compare_numbers(compare, capability, wanted):
    try:
        return compare(float(capability), float(wanted))
    except (TypeError, ValueError):
        return False


def _one_of(capability, wanted):
    return str(capability) in [each.strip() for each in wanted.split('<or>')]


def _as_text(compare):
    return lambda capability, wanted: compare(str(capability), wanted)


def _as_numbers(compare):
    return lambda capability, wanted: _compare_numbers(compare, capability, wanted)


_WORDS = {
    '<is>': lambda capability, wanted: _truth(capability) is _truth(wanted),
    '<in>': lambda capability, wanted: wanted in str(capability),
    '<or>': _one_of,
    's==': _as_text(operator.eq), 's!=': _as_text(operator.ne),
    's<': _as_text(operator.lt), 's<=': _as_text(operator.le),
    's>': _as_text(operator.gt), 's>=': _as_text(operator.ge),
    '=': _as_numbers(operator.ge), '>=': _as_numbers(operator.ge),
    '<=': _as_numbers(operator.le), '==': _as_numbers(operator.eq),
    '!=': _as_numbers(operator.ne),
}
