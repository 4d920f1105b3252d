"""A running server whose guest has booted: Debian's kernel for clouds, emulated, with a program in it.

The program writes to the virtio disk what it is told over the serial line, past the page cache,
and answers when the disk has flushed it.  Kernel and busybox are Debian packages, of which the
files are taken without being installed.
"""
# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import re
import socket
import stat
import subprocess

import qcow2_guest

BOOT_SECONDS = 60
_MODULES = ('virtio_ring', 'virtio', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci',
            'virtio_blk')
"""In the order in which they need each other."""
_INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs devtmpfs /dev
for module in MODULES; do insmod /$module.ko; done
while [ ! -b /dev/vda ]; do sleep 0.1; done
stty raw -echo < /dev/ttyS0
exec < /dev/ttyS0 > /dev/ttyS0
echo ready
while read -r number block stamp; do
    printf "$stamp" > s
    cat s s s s s s s s > t
    cat t t t t t t t t t t t t t t t t > u
    dd if=u of=/dev/vda bs=4096 seek=$block conv=notrunc,fsync oflag=direct 2> /dev/null \
        && echo done $number
done
"""


class BootedGuest(qcow2_guest.Guest):
    """One server with one disk, whose guest writes to it."""

    def command(self, kind):
        kernel, initramfs = self._media
        return ['qemu-system-x86_64', '-M', 'pc', '-accel', 'tcg', '-m', '160', '-nodefaults',
                '-display', 'none', '-no-reboot', '-kernel', str(kernel), '-initrd', str(initramfs),
                '-append', 'quiet panic=-1', '-device', 'virtio-blk-pci,drive=layer-0',
                '-serial', 'unix:serial,server=on,wait=off']

    def __init__(self, path, media):
        """:param media: what unpack() returned"""
        self._media = media
        super().__init__(path, 'machine')

    def serve(self):
        self._disk = SerialDisk(self.path_in('serial'))

    def connect(self):
        return self._disk


class SerialDisk:
    """The disk, by way of the guest's program; every write is flushed when it is answered."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(BOOT_SECONDS)
        self._socket.connect(path)
        self._answers = self._socket.makefile('r')
        self._numbers = 0
        assert self._answers.readline().split() == ['ready']

    def write(self, offset, content):
        """The content is the same 32 bytes again and again."""
        self._numbers += 1
        stamp = ''.join(f'\\{each:03o}' for each in content[:32])
        self._socket.sendall(f'{self._numbers} {offset // 4096} {stamp}\n'.encode())
        if self._answers.readline().split() != ['done', str(self._numbers)]:
            raise ConnectionError('the guest is gone')

    def flush(self):
        """There is nothing to be done."""

    def close(self):
        self._answers.close()
        self._socket.close()


def unpack(directory):
    """Get the packages; returns the paths of the kernel and of an initramfs for it."""
    directory = pathlib.Path(directory)
    found = subprocess.run(['apt-cache', 'depends', 'linux-image-cloud-amd64'], check=True,
                           capture_output=True, text=True).stdout
    kernel = re.search(r'Depends: (linux-image-\S+)', found).group(1)
    subprocess.run(['apt-get', 'download', '-q', kernel, 'busybox-static'], check=True,
                   cwd=directory, capture_output=True)
    for package in directory.glob('*.deb'):
        subprocess.run(['dpkg-deb', '-x', str(package), str(directory / 'files')], check=True)
    files = directory / 'files'
    contents = {
        'bin': None, 'dev': None, 'bin/busybox': (files / 'bin' / 'busybox').read_bytes(),
        'init': _INIT.replace('MODULES', ' '.join(_MODULES)).encode(),
        **{f'{name}.ko': next(files.rglob(f'{name}.ko')).read_bytes() for name in _MODULES},
        'TRAILER!!!': b''}
    initramfs = directory / 'initramfs'
    with open(initramfs, 'wb') as stream:
        for number, (name, content) in enumerate(contents.items(), 1):
            stream.write(_entry(number, name, content))
    return next((files / 'boot').glob('vmlinuz-*')), initramfs


def _entry(number, name, content):
    """A file in an archive, or with None a directory.

    Source: the kernel's initramfs buffer format, ``070701``.
    """
    kind, content = (stat.S_IFDIR, b'') if content is None else (stat.S_IFREG, content)
    fields = [number, kind | 0o755, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    head = b'070701' + b''.join(b'%08X' % each for each in fields) + os.fsencode(name) + b'\0'
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
