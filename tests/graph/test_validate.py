"""Problems that need no torch, each with the fix that removes it."""

from designer.graph import Document
from designer.graph.model import Wire
from designer.graph.problems import Problem


def codes(doc):
    return [p.code for p in doc.problems()]


def fix(doc, code):
    """Applies the first fix of the problem with this code."""
    problem = next(p for p in doc.problems() if p.code == code)
    doc.apply(problem.fixes[0].edits, problem.fixes[0].label)
    return problem


def test_a_good_document_has_no_problem(detector):
    assert detector.problems() == []


def test_missing_input_and_missing_image(catalogue):
    doc = Document.new("x", catalogue)
    doc.add("fusion.concat", title="Join")
    said = [p.message for p in doc.problems()]
    assert any("no input" in m for m in said)
    assert any("Join: input xs is not wired" in m for m in said)


def test_a_cycle_in_a_file_is_named_and_can_be_cut(detector):
    a, b = detector.data.nodes[1], detector.data.nodes[2]
    detector.data.wires.append(Wire(id="w90", source=b.id, source_port="n3", target=a.id, target_port="x2"))
    doc = Document(detector.data, detector.catalogue)
    problem = next(p for p in doc.problems() if p.code == "cycle")
    assert "Neck -> Backbone -> Neck" in problem.message
    fix(doc, "cycle")
    assert "cycle" not in codes(doc)


def test_dangling_wire_unknown_component_and_kind(detector):
    head, image = detector.data.nodes[3], detector.data.nodes[0]
    detector.data.wires.append(Wire(id="w91", source="gone", source_port="out", target=head.id, target_port="levels.7"))
    detector.data.nodes[4].component = "post.nsm"
    detector.data.wires.append(
        Wire(id="w92", source=image.id, source_port="out", target=detector.data.nodes[4].id, target_port="predictions")
    )
    doc = Document(detector.data, detector.catalogue)
    problem = fix(doc, "dangling")
    assert "starts at node 'gone'" in problem.message
    problem = fix(doc, "unknown_component")
    assert "Did you mean post.nms?" in problem.message
    assert {"occupied", "kind"} <= set(codes(doc))


def test_parameters_out_of_range_and_unknown_ones(detector):
    head = detector.data.nodes[3]
    detector.set_param(head, "num_classes", 0)
    detector.set_param(head, "nonsense", 1)
    problems = {p.message: p for p in detector.problems()}
    assert "Head: num_classes is 0, must be 1 or more." in problems
    assert problems["Head: num_classes is 0, must be 1 or more."].fixes[0].label == "Set num_classes to 1"
    while detector.problems():
        fix(detector, "param")
    assert head.params["num_classes"] == 1
    assert "nonsense" not in head.params


def test_problems_survive_json(detector):
    detector.set_param(detector.data.nodes[3], "num_classes", 0)
    for problem in detector.problems():
        assert Problem.from_json(problem.to_json()) == problem
