"""Write the published JSON schema of a replica's manifest: python tools/manifest_schema.py.

With --check nothing is written; 1 when what is published is not what the code has.
"""
# SPDX-License-Identifier: Apache-2.0

import argparse
import json
import pathlib
import sys

from cinder_ext.objects import manifest_schema

SCHEMAS = pathlib.Path(__file__).parents[1] / 'doc' / 'source' / 'schemas'
PUBLISHED = SCHEMAS / f'replica-manifest-{manifest_schema.VERSION}.json'


def text():
    """What is to be published."""
    return json.dumps(manifest_schema.SCHEMA, indent=2) + '\n'


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--check', action='store_true', help='write nothing, and compare')
    if parser.parse_args(argv).check:
        return 0 if PUBLISHED.exists() and PUBLISHED.read_text() == text() else 1
    PUBLISHED.write_text(text())
    return 0


if __name__ == '__main__':
    sys.exit(main())
