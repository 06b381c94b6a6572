"""Instants as texts."""

from service.domain.instant import iso, iso_all


def test_many_instants_read_as_each_of_them_does() -> None:
    told = [None, 0, 86_399, 86_400, 1_743_454_799, 1_794_819_600, -1, -86_401]
    assert iso_all(told) == [iso(at) for at in told]
