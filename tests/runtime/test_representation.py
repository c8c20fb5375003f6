from torch import nn

from protoxai.runtime.representation import call_repr


class Metric:
    def __init__(self, classes: int, names: tuple[str, ...] = ()) -> None:
        self.classes = classes
        self.names = names

    def __repr__(self) -> str:
        return call_repr(self, classes=self.classes, names=self.names)


def test_evaluating_it_gives_an_equal_object() -> None:
    again = eval(repr(Metric(3, ("a", "b"))))
    assert (again.classes, again.names) == (3, ("a", "b"))


def test_no_arguments() -> None:
    assert call_repr(Metric(3)) == "Metric()"


def test_models_are_abbreviated() -> None:
    assert call_repr(Metric(3), model=nn.Conv2d(3, 2, 1)) == "Metric(model=Conv2d(...))"


def test_functions_are_named() -> None:
    assert call_repr(Metric(3), of=call_repr, kind=Metric) == "Metric(of=call_repr, kind=Metric)"
