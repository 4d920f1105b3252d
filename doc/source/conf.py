"""Sphinx settings of the manual."""
# SPDX-License-Identifier: Apache-2.0

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / '_ext'))

project = 'cinder_ext'
author = 'The cinder_ext developers'
copyright = author  # noqa: A001
extensions = ['states', 'options', 'reno.sphinxext']
html_theme = 'alabaster'
html_theme_options = {'description': 'Block storage whose volumes move with their snapshots',
                      'page_width': '1100px'}
exclude_patterns = []
