"""Directive ``options``: every option of the services, from the code that declares them."""
# SPDX-License-Identifier: Apache-2.0

from docutils import nodes
from docutils.parsers.rst import Directive

from cinder_ext.conf import options


def _entry(option):
    """One option as an entry of a definition list."""
    shown = option.sample_default if option.sample_default is not None else option.default
    term = nodes.term('', '', nodes.literal(text=option.name),
                      nodes.Text(f' = {"" if shown is None else shown}'))
    note = ' Read again on SIGHUP.' if option.mutable else ''
    return nodes.definition_list_item(
        '', term, nodes.definition('', nodes.paragraph(text=f'{option.help}{note}')))


class Options(Directive):
    """See the module's docstring."""

    def run(self):
        found = []
        for group, entries in options.list_opts():
            name = f'[{group}]'
            section = nodes.section(ids=[nodes.make_id(f'options-{group}')], names=[name])
            section += nodes.title(text=name)
            section += nodes.definition_list('', *[_entry(option) for option in entries])
            found.append(section)
        return found


def setup(app):
    app.add_directive('options', Options)
    return {'parallel_read_safe': True}
