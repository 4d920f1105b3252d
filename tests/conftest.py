"""Import the package before oslo.messaging: it selects threads for oslo.service."""
# SPDX-License-Identifier: Apache-2.0

import cinder_ext  # noqa: F401
