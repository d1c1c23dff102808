"""Data classes: the standard library's behaviour in all that this package uses, and a refusal of all the rest."""

import copy
import dataclasses
import pickle

import pytest

from borgctl import data_class


def made(module, **parameters):
    """Return the same class, made by this module or by the library."""

    @module.dataclass(slots=True, **parameters)
    class Point:
        """Where it is."""

        x: int
        y: int = 0
        names: dict[str, int] = module.field(default_factory=dict)

        def __post_init__(self) -> None:
            if self.x < 0:
                raise ValueError(self.x)

        @property
        def far(self) -> int:
            return self.x + self.y

    return Point


@data_class.dataclass(frozen=True, slots=True)
class Name:
    """One that pickle finds again."""

    text: str
    kind: str = "file"

    def __post_init__(self) -> None:
        if not self.text:
            raise ValueError("empty")


@pytest.fixture(params=[True, False], ids=["frozen", "not frozen"])
def pair(request):
    return made(data_class, frozen=request.param), made(dataclasses, frozen=request.param)


def outcome(call):
    """Return what a call returns, as text, or the kind of its error."""
    try:
        return repr(call())
    except Exception as error:
        return next(kind for kind in (TypeError, ValueError, AttributeError) if isinstance(error, kind))


@pytest.mark.parametrize(
    "call",
    [
        lambda point: point(1),
        lambda point: point(1, 2, {"a": 1}),
        lambda point: point(y=3, x=2),
        lambda point: point(1, names={}),
        lambda point: point(),
        lambda point: point(y=1),
        lambda point: point(1, 2, {}, 4),
        lambda point: point(1, x=1),
        lambda point: point(1, z=1),
        lambda point: point(-1),
        lambda point: point(1) == point(1),
        lambda point: point(1) == point(1, 1),
        lambda point: point(1) == (1, 0, {}),
        lambda point: point(1) != point(1),
        lambda point: point(1) < point(2),
        lambda point: list(point(1)),
        lambda point: bool(point(0)),
        lambda point: hash(point(1)),
        lambda point: setattr(point(1), "x", 2),
        lambda point: delattr(point(1), "x"),
        lambda point: point(1).__dict__,
        lambda point: point(1, 2).far,
        lambda point: (point.__match_args__, point.__slots__, point.__doc__, point.__name__, point.__qualname__),
        lambda point: point.__module__,
        lambda point: point.y,
    ],
)
def test_a_class_does_what_the_librarys_does(pair, call):
    ours, library = (outcome(lambda kind=kind: call(kind)) for kind in pair)
    if isinstance(library, str) and "member" in library:  # a slot's own text has an address in it
        ours, library = ours.partition(" at ")[0], library.partition(" at ")[0]
    assert ours == library


def test_a_frozen_class_hashes_by_its_values():
    assert hash(Name("a")) == hash(Name("a")) and len({Name("a"), Name("a", "file"), Name("b")}) == 2


def test_no_class_takes_another_attribute(pair):
    with pytest.raises(AttributeError):
        pair[0](1).other = 2


def test_equal_values_of_two_classes_are_not_equal():
    other = data_class.dataclass(frozen=True, slots=True)(type("Other", (), {"__annotations__": Name.__annotations__}))
    assert other("a", "file") != Name("a")


def test_positional_patterns_match():
    match Name("a"):
        case Name(text, "file"):
            assert text == "a"
        case _:
            pytest.fail("no match")


def test_a_default_that_is_made_is_made_for_each():
    point = made(data_class)
    assert point(1).names is not point(1).names


def test_the_librarys_functions_take_an_instance_as_one_of_theirs():
    point, library = made(data_class)(1, 2), made(dataclasses)
    assert dataclasses.replace(point, y=3) == type(point)(1, 3) and dataclasses.is_dataclass(point)
    assert dataclasses.asdict(point) == {"x": 1, "y": 2, "names": {}}
    theirs = [(field.name, field.type, field.default) for field in dataclasses.fields(library)]
    assert [(field.name, field.type, field.default) for field in dataclasses.fields(point)] == theirs
    assert dataclasses.asdict(made(dataclasses)(1, names={"a": Name("b")}))["names"] == {
        "a": {"text": "b", "kind": "file"}
    }


@pytest.mark.parametrize(
    "names",
    [{}, {"a": 1}, {"a": Name("b")}, {"a": [Name("b"), (Name("c"), "d")]}, {Name("a"): None}, {"a": {"b": Name("c")}}],
    ids=repr,
)
def test_a_dict_of_the_fields_is_what_the_library_makes(names):
    ours, library = (made(module)(1, 2, names) for module in (data_class, dataclasses))
    outcomes = [
        outcome(lambda one=one, of=of: of(one))
        for one in (ours, library)
        for of in (data_class.asdict, dataclasses.asdict)
    ]
    assert len(set(map(str, outcomes))) == 1


def test_an_own_method_is_kept():
    @data_class.dataclass(frozen=True, slots=True)
    class Told:
        text: str

        def __repr__(self) -> str:
            return "told"

    assert repr(Told("x")) == "told" and Told("x") == Told("x")


def test_replace_changes_some_fields_and_checks_all():
    assert data_class.replace(Name("a", "b"), text="c") == Name("c", "b")
    with pytest.raises(ValueError, match="empty"):
        data_class.replace(Name("a"), text="")
    with pytest.raises(TypeError):
        data_class.replace(Name("a"), other="")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda name: pickle.loads(pickle.dumps(name))])
def test_a_copy_is_equal(copied):
    assert copied(Name("a", "b")) == Name("a", "b")


def test_no_copy_gets_past_the_check():
    bad = pickle.dumps(Name("a"), protocol=3).replace(b"X\1\0\0\0a", b"X\0\0\0\0")
    with pytest.raises(ValueError, match="empty"):
        pickle.loads(bad)


@pytest.mark.parametrize(
    "parameters", [{}, {"slots": False}, {"slots": True, "order": True}, {"slots": True, "kw_only": True}]
)
def test_another_kind_of_class_is_refused_when_it_is_made(parameters):
    with pytest.raises(TypeError):
        data_class.dataclass(**parameters)


@pytest.mark.parametrize("parameters", [{}, {"default": 1}, {"default_factory": list, "init": False}])
def test_another_kind_of_field_is_refused(parameters):
    with pytest.raises(TypeError):
        data_class.field(**parameters)


@pytest.mark.parametrize("shared", [[], {}, set()])
def test_a_default_that_can_change_is_refused(shared):
    body = {"__annotations__": {"x": object}, "x": shared}
    with pytest.raises(TypeError, match="can change"):
        data_class.dataclass(slots=True)(type("Point", (), body))


def test_inheritance_is_refused():
    with pytest.raises(TypeError, match="inherits"):
        data_class.dataclass(slots=True)(type("Longer", (Name,), {"__annotations__": {}}))
