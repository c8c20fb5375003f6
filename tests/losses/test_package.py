from protoxai import losses


def test_every_function_has_its_module_in_the_same_file() -> None:
    functions = [
        name for name in losses.__all__ if name.endswith("_loss") and name != "register_loss"
    ]
    assert len(functions) == 10
    for name in functions:
        words = name.replace("l1", "L1").split("_")
        module = getattr(losses, "".join(word[0].upper() + word[1:] for word in words))
        assert module.__module__ == getattr(losses, name).__module__
        assert module.__module__.endswith(name.removesuffix("_loss"))
