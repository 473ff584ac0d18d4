"""No garbage is collected while libraries are imported, and then it is again."""

import gc

import pytest

from t2s_pipeline.core.quick_imports import quick_imports


@pytest.fixture(autouse=True)
def collecting():
    gc.enable()
    yield
    gc.enable()


def test_nothing_is_collected_in_the_block_only():
    with quick_imports():
        assert not gc.isenabled()
        with quick_imports():
            assert not gc.isenabled()
        assert not gc.isenabled(), "an inner block does not end the outer one"
    assert gc.isenabled()


def test_it_is_collected_again_after_an_import_that_failed():
    with pytest.raises(ImportError), quick_imports():
        raise ImportError
    assert gc.isenabled()


def test_who_collects_nothing_still_does_not():
    gc.disable()
    with quick_imports():
        pass
    assert not gc.isenabled()
