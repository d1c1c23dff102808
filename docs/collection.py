"""The variables of the roles in contrib/ansible, as their argument_specs have them. It knows nothing of pages.

variables("server")[0].name == "server_borgpull_state"
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).parents[1] / "contrib/ansible/roles"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable: its type, its default and what it is for, as words of Markdown."""

    name: str
    type: str
    default: str
    text: str


def variables(role: str) -> tuple[Variable, ...]:
    """Return the variables of a role, in the order of its argument_specs."""
    return tuple(_variable(name, option) for name, option in options(role).items())


def options(role: str) -> dict[str, dict[str, Any]]:
    """Return the options of a role's argument_specs."""
    specs: dict[str, Any] = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text("utf-8"))
    found: dict[str, dict[str, Any]] = specs["argument_specs"]["main"]["options"]
    return found


def _variable(name: str, option: dict[str, Any]) -> Variable:
    kind = f"list of {option['elements']}" if "elements" in option else option["type"]
    if "choices" in option:
        kind += f": {', '.join(option['choices'])}"
    text = " ".join(option["description"].split())
    return Variable(name, kind, _default(option), text)


def _default(option: dict[str, Any]) -> str:
    """Return a default as YAML in one line; one that is made from others is said in the description."""
    match option:
        case {"default": empty} if empty in ("", [], {}):
            return "none"
        case {"default": str(text)}:
            return f"`{text}`"
        case {"default": bool(value)}:
            return f"`{json.dumps(value)}`"
        case {"default": dict(pairs)}:
            return f"`{{{', '.join(f'{key}: {value}' for key, value in pairs.items())}}}`"
        case {"default": list(items)}:
            return f"`[{', '.join(map(_item, items))}]`"
    return "see there"


def _item(text: str) -> str:
    return text if text[0].isalnum() or text[0] == "/" else json.dumps(text)
