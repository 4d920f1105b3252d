"""Brings one volume's content at a point, its new snapshots and its manifest to another array."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os

from cinder_ext.drivers.generic import directories, partials
from cinder_ext.drivers.replica import looking, moments, moving, points, staging, taking

_CANDIDATES = 3
"""Files that both sides have, of which the nearest is looked for: so many at most."""


class Cargo:
    """One member of a shipment on its way.

    :param pace: moving.Pace
    """

    def __init__(self, source, destination, name_id, pace):
        self.source, self.destination = source, destination
        self.name_id = name_id
        self.pace = pace
        self._bases = [(points.content(source, name_id, mark.id),
                        points.content(destination, name_id, mark.id))
                       for mark in reversed(points.common(source, destination, name_id))]

    def bring(self, member, mark, manifest):
        """Make all of it equal at the destination; repeated, what is there is left as it is.

        :returns: what a Mark says of the member
        """
        snapshots = [each.name_id for each in member.snapshots if self._bring_snapshot(each)]
        path = points.content(self.destination, self.name_id, mark.id)
        if not os.path.lexists(path):
            self._bring_file(points.content(self.source, self.name_id, mark.id), path)
        if manifest is not None:
            with partials.replacing(points.manifest(
                    self.destination, self.name_id, mark.id)) as new:
                os.write(new.descriptor, manifest)
        return {'snapshots': snapshots}

    def _bring_snapshot(self, snapshot):
        """Whether it is there now; one that was deleted meanwhile is not."""
        source = taking.snapshot_path(self.source, self.name_id, snapshot)
        target = looking.snapshot(self.destination, self.name_id, snapshot.name_id)
        if not os.path.lexists(target) and not self._is_back(snapshot, target):
            if source is None:
                return False
            try:
                self._bring_file(source, target)
            except FileNotFoundError:
                if os.path.lexists(source):
                    raise
                return False
            # What comes next differs least from this one, most likely.
            self._bases.insert(0, (source, target))
        elif source is not None:
            self._bases.append((source, target))
        return True

    def _is_back(self, snapshot, target):
        """A promotion that was killed had brought it out already."""
        try:
            os.rename(self.destination.path(snapshot), target)
        except FileNotFoundError:
            return False
        directories.sync(os.path.dirname(target))
        return True

    def _bring_file(self, source_path, target_path):
        with contextlib.ExitStack() as opened:
            source = opened.enter_context(moments.opened(source_path))
            base_path, ranges = self._nearest(source, opened)
            status = os.fstat(source)
            size_bytes = status.st_size
            if base_path and not ranges and os.stat(base_path).st_size == size_bytes:
                # What is kept is never written again: what is equal may be the same file.
                os.link(base_path, target_path, follow_symlinks=False)
                directories.sync(os.path.dirname(target_path))
                return

            def begin(target):
                if base_path:
                    self.destination.fill(opened.enter_context(moments.opened(base_path)), target)
                os.ftruncate(target, size_bytes)

            if moving.length(ranges) > staging.CHECKPOINT_BYTES:
                # Another file of the same name is another state of the volume.
                key = [os.path.basename(base_path or ''), size_bytes, status.st_ino,
                       status.st_mtime_ns]
                with staging.staged(target_path, key, begin) as new:
                    moving.move(source, new.descriptor, ranges, self.pace, new.done, new.moved)
            else:
                with partials.replacing(target_path) as new:
                    begin(new.descriptor)
                    moving.move(source, new.descriptor, ranges, self.pace)

    def _nearest(self, source, opened):
        """Of the files that both sides have, the one from which least must be moved.

        :returns: (its path at the destination or None, values.Range that differ)
        """
        found = [(None, moving.changed(self.source, None, source))]
        # To compare without shared blocks is to read both: one must do.
        for here, there in self._bases[:_CANDIDATES if self.source.shares_blocks else 1]:
            base = opened.enter_context(moments.opened(here))
            found.append((there, moving.changed(self.source, base, source)))
        return min(reversed(found), key=lambda pair: moving.length(pair[1]))
