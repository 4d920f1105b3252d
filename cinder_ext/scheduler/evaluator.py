"""Evaluates the formulas of backends: ``filter_function`` and ``goodness_function``.

======================== ======================================================
``f(a, b)``              ``abs``, ``max``, ``min``
``a ^ b``                power
``-a``, ``+a``           sign
``*`` ``/``              also by fractions
``+`` ``-``
``not a``, ``! a``       binds tighter than a comparison
``<`` ``<=`` ``==`` ...  also ``!=``, ``<>``; ``1 < a < 5`` is one comparison
``a ? b : c``
``a and b``, ``a && b``
``a or b``, ``a || b``   binds least
======================== ======================================================

From the tightest to the loosest, as the Block Storage service's documentation of the driver
filter has them.  ``stats.total_capacity_gb`` is the value of an entry in a dictionary that the
caller gives; a word without a point is a text, as is what stands in quotes.

A formula comes from a configuration file or from a backend, its values from users: neither is
trusted.  It is parsed and evaluated in time proportional to its length, which is limited, as
are its depth and the size of every number.
"""
# SPDX-License-Identifier: Apache-2.0

import functools
import math
import operator
import re

MOST_CHARACTERS = 4096
MOST_DEPTH = 40
MOST_BITS = 1024
"""Of every number on the way; more is an error."""

_TOKEN = re.compile(r"""
    \s*(?: (?P<number>\d+(?:\.\d+)?(?![\w.])) | (?P<word>[A-Za-z_][\w.]*)
         | (?P<text>"[^"\n]*"|'[^'\n]*') | (?P<sign><=|>=|==|!=|<>|&&|\|\||[-+*/^<>!?:(),]) )
    """, re.VERBOSE | re.ASCII)
_VARIABLE = re.compile(r'([A-Za-z_]\w*)\.([A-Za-z_]\w*)', re.ASCII)

_COMPARISONS = {'<': operator.lt, '<=': operator.le, '>': operator.gt, '>=': operator.ge,
                '==': operator.eq, '!=': operator.ne, '<>': operator.ne}
_FUNCTIONS = {'abs': (abs, 1, 1), 'max': (max, 2, math.inf), 'min': (min, 2, math.inf)}
"""Name -> (function, fewest arguments, most)."""


class EvaluationError(Exception):
    """The formula is wrong, too large, or wants a value that is not there; the text says which."""


def evaluate(formula, variables):
    """The value of a formula.

    :param formula: text
    :param variables: name -> dictionary of values, for ``name.entry``
    :returns: an integer, a float, a truth or a text
    :raises EvaluationError: it has none
    """
    tree = _parsed(formula)
    try:
        return tree(variables)
    except (TypeError, ValueError, ArithmeticError) as fault:
        raise EvaluationError(str(fault)) from fault


@functools.lru_cache(maxsize=256)
def _parsed(formula):
    """A callable of the variables.  Its own depth is at most a few times MOST_DEPTH."""
    return _Parser(_tokens(formula)).whole()


def _tokens(formula):
    if len(formula) > MOST_CHARACTERS:
        raise EvaluationError(f'it is longer than {MOST_CHARACTERS} characters')
    found, position = [], 0
    end = len(formula.rstrip())
    while position < end:
        matched = _TOKEN.match(formula, position)
        if matched is None:
            raise EvaluationError(f'character {position + 1} cannot be read')
        found.append((matched.lastgroup, matched.group(matched.lastgroup)))
        position = matched.end()
    return found


class _Parser:
    """One method per row of the table, each asking for the next tighter one.

    What a method returns is a callable of the variables.
    """

    def __init__(self, tokens):
        self._tokens = [*tokens, ('end', 'the end')]
        self._position = 0
        self._depth = 0

    def whole(self):
        tree = self._any_of()
        if self._kind() != 'end':
            raise self._unexpected()
        return tree

    def _kind(self):
        return self._tokens[self._position][0]

    def _next_is(self, *words):
        """Whether the next token is one of these signs or words, which is then taken."""
        kind, text = self._tokens[self._position]
        if kind in ('sign', 'word') and text in words:
            self._position += 1
            return text
        return None

    def _unexpected(self):
        return EvaluationError(f'{self._tokens[self._position][1]} is not expected there')

    def _expect(self, sign):
        if not self._next_is(sign):
            raise self._unexpected()

    def _deeper(self, parse):
        """What a method returns, one level down."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise EvaluationError(f'it is nested deeper than {MOST_DEPTH} levels')
        tree = parse()
        self._depth -= 1
        return tree

    def _chain(self, parse, *signs):
        """(first operand, [(sign, operand), ...])."""
        first, rest = parse(), []
        while sign := self._next_is(*signs):
            rest.append((sign, parse()))
        return first, rest

    def _any_of(self):
        first, rest = self._chain(self._all_of, 'or', 'OR', '||')
        return functools.partial(_any_true, [first, *(each for _, each in rest)]) if rest else first

    def _all_of(self):
        first, rest = self._chain(self._choice, 'and', 'AND', '&&')
        return functools.partial(_all_true, [first, *(each for _, each in rest)]) if rest else first

    def _choice(self):
        condition = self._comparison()
        if not self._next_is('?'):
            return condition
        chosen = self._deeper(self._choice)
        self._expect(':')
        other = self._deeper(self._choice)
        return lambda values: chosen(values) if condition(values) else other(values)

    def _comparison(self):
        first, rest = self._chain(self._negation, *_COMPARISONS)
        return functools.partial(_holds, first, rest) if rest else first

    def _negation(self):
        if self._next_is('not', 'NOT', '!'):
            value = self._deeper(self._negation)
            return lambda values: not value(values)
        return self._sum()

    def _sum(self):
        first, rest = self._chain(self._product, '+', '-')
        return functools.partial(_added, first, rest) if rest else first

    def _product(self):
        first, rest = self._chain(self._signed, '*', '/')
        return functools.partial(_multiplied, first, rest) if rest else first

    def _signed(self):
        sign = self._next_is('+', '-')
        if not sign:
            return self._power()
        value = self._deeper(self._signed)
        return lambda values: _number(value(values)) * (-1 if sign == '-' else 1)

    def _power(self):
        base = self._operand()
        if not self._next_is('^'):
            return base
        exponent = self._deeper(self._signed)
        return lambda values: _raised(base(values), exponent(values))

    def _operand(self):
        if self._next_is('('):
            tree = self._deeper(self._any_of)
            self._expect(')')
            return tree
        kind, text = self._tokens[self._position]
        if kind not in ('number', 'word', 'text'):
            raise self._unexpected()
        self._position += 1
        if kind == 'word' and self._next_is('('):
            return self._call(text)
        return _leaf(kind, text)

    def _call(self, name):
        if name not in _FUNCTIONS:
            raise EvaluationError(f'there is no function {name}')
        arguments = [self._deeper(self._any_of)]
        while self._next_is(','):
            arguments.append(self._deeper(self._any_of))
        self._expect(')')
        function, fewest, most = _FUNCTIONS[name]
        if not fewest <= len(arguments) <= most:
            raise EvaluationError(f'{name} takes another number of arguments')
        return lambda values: function(*[_number(each(values)) for each in arguments])


def _leaf(kind, text):
    if kind == 'text':
        return lambda values: text[1:-1]
    if kind == 'number':
        number = _bounded(float(text) if '.' in text else int(text))
        return lambda values: number
    if '.' not in text:
        return lambda values: text
    matched = _VARIABLE.fullmatch(text)
    if matched is None:
        raise EvaluationError(f'{text} is no variable')
    return functools.partial(_looked_up, *matched.groups())


def _looked_up(name, entry, values):
    """The value of a variable: a number where it can be read as one, else a text."""
    if name not in values or entry not in values[name]:
        raise EvaluationError(f'there is no {name}.{entry}')
    found = values[name][entry]
    if isinstance(found, bool | int | float):
        return _bounded(found)
    if not isinstance(found, str):
        raise EvaluationError(f'{name}.{entry} is neither a number nor a text')
    return _read(found[:MOST_CHARACTERS])


def _read(text):
    for kind in (int, float):
        try:
            return _bounded(kind(text))
        except (ValueError, EvaluationError):
            continue
    return text.replace('"', '').replace("'", '')


def _number(value):
    if not isinstance(value, int | float):
        raise EvaluationError(f'{str(value)[:40]} is not a number')
    return value


def _bounded(value):
    """A number that is small enough to go on with."""
    if isinstance(value, int):
        if value.bit_length() > MOST_BITS:
            raise EvaluationError(f'a number has more than {MOST_BITS} bits')
    elif not isinstance(value, float) or not math.isfinite(value):
        raise EvaluationError('a number is not finite')
    return value


def _added(first, rest, values):
    total = _number(first(values))
    for sign, each in rest:
        value = _number(each(values))
        total = _bounded(total + value if sign == '+' else total - value)
    return total


def _multiplied(first, rest, values):
    total = _number(first(values))
    for sign, each in rest:
        value = _number(each(values))
        total = _bounded(total * value if sign == '*' else total / float(value))
    return total


def _raised(base, exponent):
    base, exponent = _number(base), _number(exponent)
    # Before it is computed: integers grow without an error.
    if isinstance(base, int) and abs(exponent) * max(1, base.bit_length()) > MOST_BITS:
        raise EvaluationError(f'a power has more than {MOST_BITS} bits')
    return _bounded(base ** exponent)


def _holds(first, rest, values):
    left = first(values)
    for sign, each in rest:
        right = each(values)
        if not _COMPARISONS[sign](left, right):
            return False
        left = right
    return True


def _any_true(operands, values):
    found = False
    for each in operands:
        found = each(values)
        if found:
            break
    return found


def _all_true(operands, values):
    found = True
    for each in operands:
        found = each(values)
        if not found:
            break
    return found
