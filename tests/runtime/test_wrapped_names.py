import pytest

from protoxai.runtime.wrapped_names import unwrapped_names


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("module.a.weight", "a.weight"),
        ("_orig_mod.a.weight", "a.weight"),
        ("module._orig_mod.module.a.weight", "a.weight"),
        ("a._orig_mod.weight", "a.weight"),
        ("a.module.weight", "a.module.weight"),
    ],
)
def test_wrappers_leave_the_name(name: str, plain: str) -> None:
    assert unwrapped_names([name]) == {name: plain}


def test_a_module_of_that_name_stays_among_others() -> None:
    names = ["module.weight", "head.weight"]
    assert unwrapped_names(names) == {name: name for name in names}
    assert unwrapped_names([]) == {}
