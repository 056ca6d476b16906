"""Values that a sweep tries: by default from a parameter's declaration, or as written; applied as one step."""

import pytest

from designer.graph.errors import EditError
from designer.graph.space import (
    SpaceError,
    apply_values,
    default_dimension,
    find_parameter,
    grid,
    parameters,
    parse_dimension,
    usual,
    value_of,
)


def made(document, name, text=""):
    return parse_dimension(find_parameter(document, name), text)


def test_defaults_follow_the_declaration(classifier):
    classifier.set_training(learning_rate=0.01, optimizer="sgd", batch=64)
    rate = made(classifier, "training.learning_rate")
    assert (rate.low, rate.high, rate.log, rate.kind) == (0.001, 0.1, True, "float")
    assert made(classifier, "training.optimizer").choices[:2] == ["sgd", "adamw"]
    assert made(classifier, "training.ema").choices == [False, True]
    batch = made(classifier, "training.batch")
    assert (batch.kind, batch.low, batch.high, batch.step) == ("int", 32, 128, 8)
    assert made(classifier, "Backbone.depth").choices == [18, 34, 50, 101, 152]
    momentum = made(classifier, "training.momentum")
    assert (momentum.low, momentum.high) == (0, 0.999)  # 1 itself is not allowed
    assert made(classifier, "Image.size").choices == [32]
    assert made(classifier, "SE.reduction").text() == "8..32"


def test_every_default_can_be_tried(classifier, detector):
    for document in (classifier, detector):
        for parameter in parameters(document):
            dimension = default_dimension(parameter)
            ends = dimension.choices or [dimension.low, dimension.high]
            ends = [int(end) if dimension.kind == "int" else end for end in ends]
            assert [parameter.problem(end) for end in ends] == [None] * len(ends), parameter.target
            if usual(parameter) and len(dimension.choices) != 1:
                assert parse_dimension(parameter, dimension.text()) == dimension


def test_what_is_written_is_read(classifier):
    assert made(classifier, "training.epochs", "2..8:2").values() == [2, 4, 6, 8]
    assert made(classifier, "training.learning_rate", "1e-4..1e-1:log").text() == "0.0001..0.1:log"
    assert made(classifier, "training.flip", "0..1:0.25").values() == [0, 0.25, 0.5, 0.75, 1]
    assert made(classifier, "training.flip", "0..1").values() is None
    assert made(classifier, "training.optimizer", "SGD, adamw").choices == ["sgd", "adamw"]
    assert made(classifier, "training.ema", "on,off").choices == [True, False]
    assert made(classifier, "Backbone.depth", "18,34").choices == [18, 34]
    dimension = made(classifier, "training.epochs", "2..8:2")
    assert dimension.holds(4)
    assert not dimension.holds(5)
    assert not dimension.holds(10)
    assert made(classifier, "training.learning_rate").holds(0.0013)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("training.learning_rat", "", "Did you mean training.learning_rate"),
        ("Backbon.depth", "", "Did you mean Backbone.depth"),
        ("training.epochs", "8..2", "the lower end comes first"),
        ("training.epochs", "0..4", "greater than or equal to 1"),
        ("training.epochs", "1.5..4", "whole ones are needed"),
        ("training.epochs", "a..b", "is no range"),
        ("training.flip", "0..1:log", "begins above 0"),
        ("training.optimizer", "sgd, adm", "'adm' is no value"),
        ("training.optimizer", "sgd", "two or more"),
        ("training.optimizer", "sgd,sgd", "two or more"),
        ("Backbone.depth", "18,20", "'20' is no value"),
        ("SE.reduction", "1..999", "must be"),
    ],
)
def test_what_cannot_be_tried_is_said(classifier, name, text, message):
    with pytest.raises(SpaceError, match=message):
        made(classifier, name, text)


def test_values_are_applied_as_one_step(classifier):
    se = next(n for n in classifier.data.nodes if n.title == "SE")
    image = classifier.data.nodes[0]
    values = {"training.epochs": 7, f"{se.id}.reduction": 4, f"{image.id}.size": 64}
    before = classifier.data.model_dump()
    apply_values(classifier, values, "Use the values of trial 3")
    assert {target: value_of(classifier.data, target) for target in values} == values
    assert (image.params["height"], image.params["width"]) == (64, 64)
    assert classifier.undo_name == "Use the values of trial 3"
    classifier.undo()
    assert classifier.data.model_dump() == before
    with pytest.raises(EditError):
        apply_values(classifier, {f"{se.id}.reduction": 2, "training.epochs": 0}, "bad")
    assert classifier.data.model_dump() == before


def test_a_grid_is_every_combination(classifier):
    space = [made(classifier, "training.ema"), made(classifier, "training.epochs", "1..3")]
    points = list(grid(space))
    assert len(points) == 6
    assert points[1] == {"training.ema": False, "training.epochs": 2}
    with pytest.raises(SpaceError, match="needs steps"):
        list(grid([made(classifier, "training.flip", "0..1")]))
