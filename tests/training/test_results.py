"""Rows of a run as plain values, those of earlier versions included."""

from dataclasses import replace

from protoxai.evaluation.scores import Scores
from protoxai.training.results import Row

ROW = Row("joint", Scores(1.0, 1.0, (1.0, 0.5), 8, 7, labelled_classes=1), 2.0)


def test_a_row_is_read_as_it_was_written() -> None:
    assert Row.from_plain(ROW.to_plain()) == ROW
    scores = replace(ROW.scores, dice=(1.0, 0.5), interval=(0.5, 1.0), images=7)
    row = Row("joint", scores, 2.0)
    assert row.to_plain()["interval"] == [0.5, 1.0]
    assert Row.from_plain(row.to_plain()) == row


def test_rows_of_earlier_versions_do_not_know_how_many_classes_are_labelled() -> None:
    plain = ROW.to_plain()
    del plain["labelled_classes"]
    scores = Row.from_plain(plain).scores
    assert scores.labelled_classes is None
    assert scores.caution == ""
    assert scores.mean_iou_text() == "100.0"
