"""JSON Schemas (draft 2020-12) of the two files, made from the keys and from borg's options.

It knows the form of each value, not what a key is for: `policy_keys` and `target_keys` say that.

    schema("A target of borgpull", TARGET)
"""

import json
from dataclasses import dataclass, field
from typing import Any

from borgctl.borg.subcommands import COMMANDS, Command
from borgctl.borg.value_kinds import FLAG, Kind

YES_NO: dict[str, Any] = {"enum": ["yes", "no", "true", "false", True, False]}
DURATION: dict[str, Any] = {"type": "string", "pattern": "^[0-9]{1,8}[smhdw]$"}
ABSOLUTE: dict[str, Any] = {"type": "string", "pattern": "^/."}
PROGRAM: dict[str, Any] = {"type": "array", "items": {"type": "string"}, "minItems": 1}
PROGRAMS: dict[str, Any] = {"type": "array", "items": PROGRAM}
PATHS: dict[str, Any] = {"type": "array", "items": ABSOLUTE}
REPOSITORY: dict[str, Any] = {
    "type": "object",
    "properties": {"encryption": {"enum": ["required", "none"]}},
    "required": ["encryption"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Key:
    """One key: its type in words, its default as text (None: required), an example, its purpose, and its schema."""

    name: str
    type: str
    default: str | None
    example: str
    text: str
    schema: dict[str, Any] = field(default_factory=dict)


def numbers(low: int, high: int) -> dict[str, Any]:
    """Return the schema of a number, which may be written as text, too."""
    return {"type": ["integer", "string"], "minimum": low, "maximum": high, "pattern": "^-?[0-9]+$"}


def of_kind(kind: Kind, *, template: bool = False) -> dict[str, Any]:
    """Return the schema of a value of borg's; with `template`, it may have placeholders of the gate's."""
    if kind is FLAG:
        return YES_NO
    pattern = f"^(?:{kind.pattern})$".replace(r"\Z", "$")
    if kind.low is not None and kind.high is not None:
        return {**numbers(kind.low, kind.high), "pattern": pattern, "description": kind.expected}
    plain = {"type": ["string", "number"], "pattern": pattern, "maxLength": kind.longest, "description": kind.expected}
    return {"anyOf": [plain, {"type": "string", "pattern": r"\{(hostname|job|now)[:}]"}]} if template else plain


def job_options(command: Command) -> dict[str, Any]:
    """Return the schema of a job's options for one subcommand."""
    properties = {}
    for name, option in sorted(command.options.items()):
        value = of_kind(option.job, template=True)
        properties[name] = {"anyOf": [value, {"type": "array", "items": value}]} if option.repeats else value
    return {"type": "object", "properties": properties, "additionalProperties": False}


def job() -> dict[str, Any]:
    """Return the schema of a job; which options it may have depends on its command."""
    rules: list[dict[str, Any]] = []
    for name, command in COMMANDS.items():
        explicit = {"properties": {"command": {"const": name}}, "required": ["command"]}
        condition = {"anyOf": [explicit, {"not": {"required": ["command"]}}]} if name == "create" else explicit
        properties: dict[str, Any] = {"options": job_options(command)}
        then: dict[str, Any] = {"properties": properties, "required": ["paths"] if command.paths else []}
        if not command.paths:
            properties |= {"paths": False, "archive": False, "exclude": False}
        if name == "init":
            properties["options"] = {**properties["options"], "required": ["encryption"]}
            then["required"] = ["options"]
        if name == "prune":
            properties["options"] = {**properties["options"], "required": ["glob-archives"]}
            then["required"] = ["options"]
        rules.append({"if": condition, "then": then})
    return {
        "type": "object",
        "properties": {
            "command": {"enum": list(COMMANDS)},
            "paths": PATHS,
            "archive": {"type": "string"},
            "exclude": {"type": "array", "items": {"type": "string"}},
            "options": {"type": "object"},
            "before": PROGRAMS,
            "after": PROGRAMS,
        },
        "additionalProperties": False,
        "allOf": rules,
    }


def commands() -> dict[str, Any]:
    """Return the schema of the subcommands that a server may spell out."""
    offers = {}
    for name, command in COMMANDS.items():
        names = sorted(option for option, kinds in command.options.items() if kinds.request)
        properties: dict[str, Any] = {"options": {"type": "array", "items": {"enum": names}}}
        if command.paths:
            properties["paths"] = PATHS
        required = ["options", "paths"] if command.paths else ["options"]
        offers[name] = {"type": "object", "properties": properties, "additionalProperties": False, "required": required}
    return {"type": "object", "properties": offers, "additionalProperties": False}


def closed(**properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a mapping with these keys and no others."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


def schema(title: str, keys: tuple[Key, ...], **more: Any) -> str:
    """Return a JSON Schema (draft 2020-12) for a file with these keys."""
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "properties": {key.name: {"description": key.text, **key.schema} for key in keys},
        "required": [key.name for key in keys if key.default is None],
        "additionalProperties": False,
        **more,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
