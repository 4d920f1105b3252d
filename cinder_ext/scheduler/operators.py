"""How an extra spec's value is compared with a capability: the operators of the Block Storage API.

========================== ===================================================
``<is> truth``             both are true or both are false
``<in> text``              the capability contains the text, or the list has it
``<all-in> a b``           the capability contains each
``<or> a <or> b``          the capability is one of them
``s== s!= s< s<= s> s>=``  compared as text
``== != >= <=``            compared as numbers; ``=`` means ``>=``
anything else              the capability, as text, is exactly that
========================== ===================================================

Upper and lower case are the same everywhere.  Of a capability that is a list one element must
match.  An operator other than ``<or>`` and ``<all-in>`` takes one word; what follows it does
not count.  Without an operator a truth may be spelled in any way.
"""
# SPDX-License-Identifier: Apache-2.0

import operator

from oslo_utils import strutils


def matches(capability, wanted):
    """Whether a capability is what an extra spec asks for.

    :param capability: a text, number or truth, or a list of them
    :param wanted: the extra spec's value
    """
    wanted = str(wanted).strip().lower()
    word, _, rest = wanted.partition(' ')
    if word == '<all-in>':
        return _has_all(capability, rest.split())
    if isinstance(capability, list | tuple):
        return any(_matches(each, wanted, word, rest) for each in capability)
    return _matches(capability, wanted, word, rest)


def _matches(capability, wanted, word, rest):
    if isinstance(capability, str):
        capability = capability.lower()
    if word == '<or>':
        return _text(capability) in [' '.join(each.split()) for each in rest.split('<or>')]
    if word in _WORDS:
        return bool(rest) and _WORDS[word](capability, rest.split()[0])
    if isinstance(capability, bool):
        return capability is strutils.bool_from_string(wanted, default=None)
    return _text(capability) == wanted


def _text(capability):
    return str(capability).lower()


def _has_all(capability, wanted):
    if isinstance(capability, list | tuple):
        capability = [_text(each) for each in capability]
    else:
        capability = _text(capability)
    return bool(wanted) and all(each in capability for each in wanted)


def _truth(value):
    return strutils.bool_from_string(str(value))


def _as_text(compare):
    return lambda capability, wanted: compare(_text(capability), wanted)


def _as_numbers(compare):
    def compared(capability, wanted):
        try:
            return compare(float(capability), float(wanted))
        except (TypeError, ValueError, OverflowError):
            return False
    return compared


_WORDS = {
    '<is>': lambda capability, wanted: _truth(capability) is _truth(wanted),
    '<in>': lambda capability, wanted: wanted in _text(capability),
    's==': _as_text(operator.eq), 's!=': _as_text(operator.ne),
    's<': _as_text(operator.lt), 's<=': _as_text(operator.le),
    's>': _as_text(operator.gt), 's>=': _as_text(operator.ge),
    '=': _as_numbers(operator.ge), '>=': _as_numbers(operator.ge),
    '<=': _as_numbers(operator.le), '==': _as_numbers(operator.eq),
    '!=': _as_numbers(operator.ne),
}
