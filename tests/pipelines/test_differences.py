from pipelines.differences import differences


def test_nothing_differs_from_itself(compiled):
    assert list(differences(compiled.definition, compiled.definition)) == []


def test_paths_name_steps_and_keys():
    old = {"Steps": [{"Name": "A", "Arguments": {"x": 1, "gone": True}}, {"Name": "B"}]}
    new = {"Steps": [{"Name": "A", "Arguments": {"x": 2, "more": [1]}}, {"Name": "C"}]}
    assert list(differences(old, new)) == [
        "Steps[A].Arguments.x: 1 → 2",
        "Steps[A].Arguments.gone: true → gone",
        "Steps[A].Arguments.more: new [1]",
        'Steps[B]: {"Name": "B"} → gone',
        'Steps[C]: new {"Name": "C"}',
    ]


def test_another_order_is_a_difference():
    old = {"Steps": [{"Name": "A"}, {"Name": "B"}]}
    assert list(differences(old, {"Steps": old["Steps"][::-1]})) == ["Steps: another order"]
