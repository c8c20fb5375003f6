import pytest

from protoxai.training import RecipeError
from tests.training.cases import stage


def test_unknown_parts_and_terms(error_of) -> None:
    rates = error_of(lambda r: r["stages"][1]["learning_rates"].update(group=1.0))
    assert rates == (
        "stage grouping: learning_rates has no 'group' (did you mean 'groups'?); expected some of "
        "backbone, groups, last_layer, prototypes, scales"
    )
    decay = error_of(lambda r: r["stages"][0].update(weight_decay={"aspp": 1.0}))
    assert decay.startswith("stage joint training: weight_decay has no 'aspp'; expected some of")
    term = error_of(lambda r: r["stages"][1]["losses"].update(group_entrpy=1.0))
    assert term.startswith(
        "stage grouping: losses has no 'group_entrpy' (did you mean 'group_entropy'"
    )
    for argument in ("class_weight", "ignore_index"):
        assert "losses has no" in error_of(
            lambda r, a=argument: r["stages"][0]["losses"].update({a: 1})
        )


def test_cached_views_of_a_trunk_that_learns(error_of) -> None:
    message = error_of(lambda r: r["stages"][0].update(cached_views=2))
    assert message.startswith("stage joint training: cached_views needs a frozen trunk")
    for part in ("backbone", "scales"):
        with pytest.raises(RecipeError, match="set cached_views to 0"):
            stage(learning_rates={part: 1.0}, cached_views=1)
    assert stage(learning_rates={"prototypes": 1.0}, cached_views=1).cached_views == 1


def test_a_stage_that_trains_nothing(error_of) -> None:
    message = error_of(lambda r: r["stages"][0].update(learning_rates={}))
    assert message == "stage joint training: no learning_rates, so nothing would train"


def test_validations_that_never_come(error_of) -> None:
    message = error_of(lambda r: r["stages"][0].update(patience=3))
    assert message == (
        "stage joint training: patience and keep_best need validations: set validate: epoch"
    )


def test_batches_between_validations_make_whole_steps(error_of) -> None:
    message = error_of(
        lambda r: r["stages"][0].update(validate=2001, accumulate_grad_batches=5, patience=3)
    )
    assert message == (
        "stage joint training: validate is 2001 batches, expected a multiple of the 5 batches of a "
        "step (accumulate_grad_batches)"
    )
    assert stage(validate=2000, accumulate_grad_batches=5, keep_best=True).validate == 2000


def test_losses_that_all_have_the_weight_zero(error_of) -> None:
    message = error_of(lambda r: r["stages"][0].update(losses={"cross_entropy": 0}))
    assert message == ("stage joint training: all losses have the weight 0, so nothing would train")
