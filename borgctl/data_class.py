"""The part of the standard library's `dataclasses` that this package uses, at a twentieth of what a class costs there.

The gate starts anew for each request, and the launcher for each run. There, each class writes its methods as text and
compiles them (0.6 ms), and the import brings `inspect`, `ast` and `tokenize`; here all classes share their methods.
Behaviour is the library's, whose functions take these classes as their own, and a type checker is told that they are.
What is not here (another parameter, inheritance, a field that is not initialised) raises TypeError at import, so no
class is quietly less than it says.

    @dataclass(frozen=True, slots=True)
    class Point:
        x: int
        y: int = 0

    replace(Point(1), y=2) == Point(1, 2)
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

T = TypeVar("T")


class _Factory:
    """Stands in a class body for a default that is made for each instance."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make


class _Fields:
    """What the library's own functions (`asdict`, `fields`, …) look for in a class: made when it is first asked for."""

    __slots__ = ("defaults",)

    def __init__(self, defaults: dict[str, Any]) -> None:
        self.defaults = defaults

    def __get__(self, instance: object, owner: Any) -> Any:  # noqa: ANN401
        import dataclasses  # noqa: PLC0415 - neither program asks

        fields: list[Any] = []
        for name, kind in owner.__annotations__.items():
            default = self.defaults.get(name, dataclasses.MISSING)
            made = {"default_factory": default.make} if isinstance(default, _Factory) else {"default": default}
            fields.append((name, kind, dataclasses.field(**made)))
        like: Any = dataclasses.make_dataclass(owner.__name__, fields)
        owner.__dataclass_fields__ = like.__dataclass_fields__
        return owner.__dataclass_fields__


def _dataclass(*, slots: Literal[True], frozen: bool = False) -> Callable[[type[Any]], type[Any]]:
    """Return the decorator; only slotted classes are made."""
    if not slots:
        raise TypeError("a data class here has slots")
    return lambda plain: _made(plain, frozen=frozen)


def _made(plain: type[Any], *, frozen: bool) -> type[Any]:
    """Return a class with the fields that `plain` annotates, and the methods of its body."""
    if plain.__bases__ != (object,):
        raise TypeError(f"{plain.__qualname__} inherits, which is not supported")
    fields, body = tuple(plain.__annotations__), dict(plain.__dict__)
    defaults = {name: body.pop(name) for name in fields if name in body}
    for name, default in defaults.items():
        if type(default).__hash__ is None:
            raise TypeError(f"the default of {plain.__qualname__}.{name} can change: use field(default_factory=…)")
    del body["__dict__"], body["__weakref__"]
    shared = {"__slots__": fields, "__match_args__": fields, "__repr__": _repr, "__eq__": _equal}
    shared |= {"__reduce__": _reduce, "__hash__": _hash if frozen else None, "__dataclass_fields__": _Fields(defaults)}
    if frozen:
        shared |= {"__setattr__": _refuse, "__delattr__": _refuse}
    made = type(plain.__name__, (), shared | body | {"__qualname__": plain.__qualname__})
    made.__init__ = _initializer(made, defaults)  # type: ignore[misc]
    return made


def _initializer(made: type[Any], defaults: dict[str, Any]) -> Callable[..., None]:
    """Return `__init__`; values go through the slots, past the `__setattr__` of a frozen class."""
    setters = [made.__dict__[name].__set__ for name in made.__match_args__]
    checked = hasattr(made, "__post_init__")

    def __init__(self: Any, *values: Any, **named: Any) -> None:  # noqa: ANN401, N807
        if named or len(values) != len(setters):
            values = _completed(made, defaults, values, named)
        for setter, value in zip(setters, values, strict=True):
            setter(self, value)
        if checked:
            self.__post_init__()

    return __init__


def _completed(
    made: type[Any], defaults: dict[str, Any], values: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, ...]:
    """Return the values of all fields, in their order."""
    fields: tuple[str, ...] = made.__match_args__
    more = []
    for name in fields[len(values) :]:
        if name in named:
            more.append(named.pop(name))
        elif name in defaults:
            default = defaults[name]
            more.append(default.make() if type(default) is _Factory else default)
        else:
            raise TypeError(f"{made.__qualname__} needs {name!r}")
    if named or len(values) > len(fields):
        raise TypeError(f"{made.__qualname__} takes {', '.join(fields)}, each once")
    return (*values, *more)


def _values(instance: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return tuple([getattr(instance, name) for name in instance.__match_args__])


def _repr(self: object) -> str:
    fields = zip(type(self).__match_args__, _values(self), strict=True)  # type: ignore[attr-defined]
    return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in fields)})"


def _equal(self: object, other: object) -> bool:
    return _values(self) == _values(other) if type(self) is type(other) else NotImplemented


def _hash(self: object) -> int:
    return hash(_values(self))


def _refuse(self: object, name: str, *_: object) -> NoReturn:
    raise AttributeError(f"cannot change {name!r} of a frozen {type(self).__qualname__}")


def _reduce(self: object) -> tuple[type[Any], tuple[Any, ...]]:
    """Copy and unpickle by the constructor, so that what it refuses does not come in that way."""
    return type(self), _values(self)


def _field(*, default_factory: Callable[[], object]) -> _Factory:
    """Return what stands for a default that is made for each instance."""
    return _Factory(default_factory)


def _replace(instance: T, **changes: object) -> T:
    """Return a new instance with some fields changed, checked as any other."""
    names: tuple[str, ...] = type(instance).__match_args__  # type: ignore[attr-defined]
    return type(instance)(**dict(zip(names, _values(instance), strict=True)) | changes)


def _asdict(instance: object) -> dict[str, object]:
    """Return the fields as a dict, with those of the data classes inside; other values are not copied."""
    return {name: _plain(getattr(instance, name)) for name in instance.__match_args__}  # type: ignore[attr-defined]


def _plain(value: Any) -> Any:  # noqa: ANN401
    if "__dataclass_fields__" in type(value).__dict__:
        return _asdict(value)
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    if type(value) is dict:
        return {_plain(key): _plain(one) for key, one in value.items()}
    return value


if TYPE_CHECKING:
    from dataclasses import asdict, dataclass, field, replace
else:
    asdict, dataclass, field, replace = _asdict, _dataclass, _field, _replace

__all__ = ("asdict", "dataclass", "field", "replace")
