import os

from benchmarks import memory


def test_resident_pages_are_the_second_figure():
    pages = 1024 * 1024 // os.sysconf("SC_PAGE_SIZE")
    assert memory._resident_mib(f"9999 {3 * pages} 7 1 0 1 0") == 3.0


def test_more_memory_than_the_bar_is_not_met():
    assert memory._row("import", 49.9, 50.0, samples=1, note="").met
    assert not memory._row("import", 50.0, 50.0, samples=1, note="").met
