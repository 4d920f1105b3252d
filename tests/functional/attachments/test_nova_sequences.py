"""Nova's sequences of calls, each call failing in every way: the server is confirmed or reverted."""
# SPDX-License-Identifier: Apache-2.0

import nova_sequences


def pytest_generate_tests(metafunc):
    if 'case' in metafunc.fixturenames:
        is_long = metafunc.config.getoption('--long')
        found = list(nova_sequences.cases() if is_long else nova_sequences.few_cases())
        metafunc.parametrize('case', found, ids=[case.id for case in found])


def test_the_server_keeps_its_volume_where_it_shall_be_and_nothing_is_left(stage, case):
    played = stage(case)
    wanted = played.play()
    played.ends(wanted)
