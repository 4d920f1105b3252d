"""Files of either format become layers; what leads elsewhere never does."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import os
import subprocess

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.qcow2 import layers

MIB, GIB = values.MIB, values.GIB


def qemu_img(*words):
    subprocess.run(['qemu-img', words[0], '-q', *words[1:]], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def put(bench):
    """put(name, content, format): a file in volumes/ that begins with some bytes; its path."""
    def make(name, content, kind='raw', room='volumes', size=GIB, **options):
        plain = bench.directory / 'plain'
        plain.write_bytes(content)
        os.truncate(plain, size)
        path = bench.directory / room / name
        words = [word for option, value in options.items() for word in ('-o', f'{option}={value}')]
        qemu_img('convert', '-f', 'raw', '-O', kind, *words, plain, path)
        plain.unlink()
        return path

    return make


def reference(name, kind=None):
    return {'source-name': name, **({'format': kind} if kind else {})}


def entry(bench, name, room='volumes'):
    """What the driver lists of a name."""
    found = getattr(bench.driver, f'manageable_{room}')()
    return next(each for each in found if each.reference['source-name'] == name)


@pytest.mark.parametrize('kind', ['raw', 'qcow2'])
def test_a_file_becomes_a_volume_in_its_own_format_and_lives_on(bench, put, kind):
    source = put('disk.img', b'kept', kind, size=GIB - MIB)
    source.chmod(0o644)
    volume = bench.new_volume()
    wanted = reference('disk.img', kind)
    assert bench.driver.examine_volume(volume, wanted).size_bytes == GIB - MIB
    bench.driver.manage_volume(volume, wanted)

    layer = bench.layer(volume)
    assert not source.exists()
    assert layer.name == f'{volume.name_id}.{volume.name_id}.{kind}'
    assert layer.stat().st_mode & 0o777 == 0o600
    with bench.path(volume) as path:
        assert os.stat(path).st_size == GIB
    snapshot = bench.snapshot(volume)
    bench.write(volume, 0, b'more')
    bench.driver.extend_volume(volume, 2 * GIB)
    clone = bench.new_volume(2 * GIB)
    bench.driver.clone_volume(clone, volume)
    assert [bench.read(each, 0, 4) for each in (snapshot, volume, clone)] == [
        b'kept', b'more', b'more']
    assert bench.driver.changed_ranges(snapshot, volume) == [values.Range(0, 64 * 1024)]
    bench.driver.revert_to_snapshot(volume, snapshot)
    assert bench.read(volume, 0, 4) == b'kept'
    bench.driver.delete_volume(clone)
    bench.driver.delete_snapshot(snapshot)
    assert bench.read(volume, 0, 4) == b'kept'
    assert len(bench.layers()) == 1


def test_a_volume_of_raw_bytes_is_extended_as_such(bench, put):
    put('disk.raw', b'kept')
    volume = bench.new_volume()
    bench.driver.manage_volume(volume, reference('disk.raw', 'raw'))
    bench.driver.extend_volume(volume, 2 * GIB)
    assert bench.layer(volume).stat().st_size == 2 * GIB


def test_consumers_are_told_the_format(bench_of):
    bench = bench_of(file_export='host:/share')
    (bench.directory / 'volumes' / 'disk').write_bytes(bytes(MIB))
    volume = bench.new_volume()
    bench.driver.manage_volume(volume, reference('disk', 'raw'))
    data = bench.driver.connect_volume(volume, {'host': 'host'}).data
    assert (data['name'], data['format']) == (
        f'layers/{volume.name_id}.{volume.name_id}.raw', 'raw')


def test_a_file_without_a_named_format_is_refused_and_listed_so(bench, put):
    put('disk.img', b'kept')
    with pytest.raises(exceptions.ReferenceRefused, match='format must be named'):
        bench.driver.examine_volume(bench.new_volume(), reference('disk.img'))
    found = entry(bench, 'disk.img')
    assert found.reason_not_safe == 'its format must be named'
    assert found.reference == {'source-name': 'disk.img'}


@pytest.mark.parametrize('kind', ['raw', 'qcow2'])
def test_a_file_that_is_called_by_a_format_is_listed_with_it(bench, put, kind):
    put(f'disk.{kind}', b'kept', kind)
    found = entry(bench, f'disk.{kind}')
    assert found == values.Found(reference(f'disk.{kind}', kind), GIB)


@pytest.mark.parametrize('kind', ['vmdk', '', None, ['raw'], 'RAW'])
def test_other_formats_are_refused(bench, put, kind):
    put('disk.raw', b'kept')
    with pytest.raises(exceptions.ReferenceRefused, match='one of qcow2, raw'):
        bench.driver.examine_volume(bench.new_volume(), {**reference('disk.raw'), 'format': kind})


@pytest.mark.parametrize('backing', ['/etc/passwd', '../secret', 'other.raw', 'json:{}',
                                     'nbd://localhost/x'])
def test_a_file_that_stands_on_another_is_refused_as_qcow2(bench, backing):
    path = bench.directory / 'volumes' / 'disk.qcow2'
    qemu_img('create', '-f', 'qcow2', '-u', '-b', backing, '-F', 'raw', path, '1G')
    volume, wanted = bench.new_volume(), reference('disk.qcow2', 'qcow2')
    for call in (bench.driver.examine_volume, bench.driver.manage_volume):
        with pytest.raises(exceptions.ReferenceRefused, match='another file'):
            call(volume, wanted)
    assert 'another file' in entry(bench, 'disk.qcow2').reason_not_safe
    assert path.exists()
    assert bench.layers() == []


def test_as_raw_it_is_only_bytes(bench, tmp_path):
    """A header with a file behind stays what the volume holds, also under snapshots."""
    secret = tmp_path / 'secret'
    secret.write_bytes(b'secret' * 1000)
    path = bench.directory / 'volumes' / 'disk.qcow2'
    qemu_img('create', '-f', 'qcow2', '-u', '-b', secret, '-F', 'raw', path, '1G')
    content = path.read_bytes()
    volume = bench.new_volume()
    bench.driver.manage_volume(volume, reference('disk.qcow2', 'raw'))
    snapshot = bench.snapshot(volume)
    for resource in (volume, snapshot):
        assert bench.read(resource, 0, len(content)) == content
    bench.driver.delete_snapshot(snapshot)
    assert bench.read(volume, 0, len(content)) == content


@pytest.mark.parametrize(('fault', 'reason'), [
    ('encrypted', 'encrypted'), ('data', 'another file'), ('inner', 'snapshots inside'),
    ('broken', 'qemu-img check'), ('raw', 'not qcow2'), ('empty', 'empty'), ('cut', 'no fit'),
    ('twice', 'other names'), ('pipe', 'no regular file'), ('open', 'open for writing')])
def test_what_is_unfit_is_refused_and_stays(bench, put, writer, fault, reason):
    path = bench.directory / 'volumes' / 'disk'
    make_unfit(fault, path, put, writer)
    volume, wanted = bench.new_volume(), reference('disk', 'qcow2')
    for call in (bench.driver.examine_volume, bench.driver.manage_volume):
        with pytest.raises(exceptions.ReferenceRefused, match=reason):
            call(volume, wanted)
    assert os.path.lexists(path)
    assert bench.layers() == []


def make_unfit(fault, path, put, writer):
    if fault == 'encrypted':
        qemu_img('create', '-f', 'qcow2', '--object', 'secret,id=key,data=secret', '-o',
                 'encrypt.format=aes,encrypt.key-secret=key', path, '1G')
    elif fault == 'data':
        qemu_img('create', '-f', 'qcow2', '-o', f'data_file={path}.data', path, '1G')
    elif fault == 'pipe':
        os.mkfifo(path)
    elif fault in ('raw', 'empty'):
        put('disk', b'raw', size=MIB if fault == 'raw' else 0)
    else:
        put('disk', b'kept' * MIB, 'qcow2')
    if fault == 'inner':
        subprocess.run(['qemu-img', 'snapshot', '-c', 'one', path], check=True)
    elif fault == 'broken':
        with open(path, 'r+b') as file:
            file.seek(0x40000)
            file.write(b'\x80' + b'\7' * 7)
    elif fault == 'cut':
        os.truncate(path, 50)
    elif fault == 'twice':
        os.link(path, path.with_name('other'))
    elif fault == 'open':
        writer(path)


def test_a_file_that_is_larger_than_its_volume_is_refused(bench, put):
    path = put('disk', b'kept', size=2 * GIB)
    with pytest.raises(exceptions.ReferenceRefused, match='has grown past'):
        bench.driver.manage_volume(bench.new_volume(), reference('disk', 'raw'))
    assert path.exists()


def test_a_call_that_was_killed_before_the_file_was_taken_is_completed(bench, put):
    path = put('disk', b'kept')
    volume = bench.new_volume()
    (bench.directory / 'volumes' / f'volume-{volume.name_id}').symlink_to(
        f'../layers/{layers.named(volume.name_id, volume.name_id, "raw")}')
    bench.driver.start()
    assert entry(bench, 'disk').reason_not_safe == 'its format must be named'
    with pytest.raises(StopIteration):
        entry(bench, f'volume-{volume.name_id}')
    bench.driver.manage_volume(volume, reference('disk', 'raw'))
    assert not path.exists()
    assert bench.read(volume, 0, 4) == b'kept'


def test_a_volume_that_was_let_go_comes_back_with_its_chain(bench):
    volume = bench.volume()
    bench.write(volume, 0, b'one')
    snapshot = bench.snapshot(volume)
    bench.write(volume, 0, b'two')
    before = bench.layers()
    bench.driver.unmanage_snapshot(snapshot)
    bench.driver.unmanage_volume(volume)

    again = bench.new_volume()
    wanted = entry(bench, f'volume-{volume.name_id}').reference
    assert wanted == reference(f'volume-{volume.name_id}')
    bench.driver.manage_volume(again, wanted)
    kept = bench.new_snapshot(again)
    bench.driver.manage_snapshot(
        kept, entry(bench, f'snapshot-{snapshot.name_id}', 'snapshots').reference)

    assert bench.layers() == before
    assert bench.links() == sorted([f'volume-{again.name_id}', f'snapshot-{kept.name_id}'])
    assert (bench.read(again, 0, 3), bench.read(kept, 0, 3)) == (b'two', b'one')
    assert bench.driver.changed_ranges(kept, again) != []


def test_a_format_that_is_not_the_recorded_one_is_refused(bench):
    volume = bench.volume()
    name = f'volume-{volume.name_id}'
    assert bench.driver.examine_volume(bench.new_volume(), reference(name, 'qcow2')).size_bytes == GIB
    with pytest.raises(exceptions.ReferenceRefused, match='recorded as qcow2'):
        bench.driver.examine_volume(bench.new_volume(), reference(name, 'raw'))


def test_a_link_whose_chain_is_broken_is_listed_as_not_safe(bench):
    volume = bench.volume()
    origin = bench.layer(bench.snapshot(volume)).name
    rebase = ('rebase', '-u', '-f', 'qcow2', bench.layer(volume), '-b')
    qemu_img(*rebase, '/etc/passwd', '-F', 'raw')
    name = f'volume-{volume.name_id}'
    assert 'not its family' in entry(bench, name).reason_not_safe
    with pytest.raises(exceptions.ReferenceRefused, match='not its family'):
        bench.driver.manage_volume(bench.new_volume(), reference(name))
    qemu_img(*rebase, origin, '-F', 'qcow2')


def test_a_snapshot_of_another_file_is_reverted_to(bench, put):
    """It stands on nothing that the volume stands on; the volume leaves its own layers."""
    put('old', b'old', 'qcow2', room='snapshots')
    volume = bench.volume()
    bench.write(volume, 0, b'new')
    snapshot = bench.new_snapshot(volume)
    bench.driver.manage_snapshot(snapshot, reference('old', 'qcow2'))
    with pytest.raises(exceptions.NotCapable):
        bench.driver.changed_ranges(snapshot, volume)
    bench.driver.revert_to_snapshot(volume, snapshot)
    assert bench.read(volume, 0, 3) == b'old'
    assert len(bench.layers()) == 2


def test_a_managed_snapshot_is_as_large_as_it_has_to_be(bench, put):
    put('old', b'old', size=MIB, room='snapshots')
    volume = bench.volume()
    snapshot = dataclasses.replace(bench.new_snapshot(volume), size_bytes=GIB)
    bench.driver.manage_snapshot(snapshot, reference('old', 'raw'))
    with bench.path(snapshot) as path:
        assert os.stat(path).st_size == GIB
