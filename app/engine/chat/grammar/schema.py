"""JSON schemas as grammars.

Objects get exactly their listed properties, in the listed order, unless the schema explicitly
allows others: every such answer is valid, and small models do better with fewer choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.engine.chat.grammar.numbers import number_rule
from app.engine.chat.grammar.patterns import pattern_rule
from app.engine.chat.grammar.rules import Rules, UnsupportedSchema, json_literal, repeat

_REFUSED = (
    *("not", "if", "patternProperties", "propertyNames", "contains", "dependentSchemas"),
    *("dependentRequired", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef"),
)
_FORMATS = {
    "date": r'[0-9]{4} "-" ( "0" [1-9] | "1" [0-2] ) "-" ( "0" [1-9] | [1-2] [0-9] | "3" [0-1] )',
    "time": r'( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] ":" [0-5] [0-9] ( "." [0-9]{1,9} )? '
    r'( "Z" | [+-] [0-9]{2} ":" [0-9]{2} )',
    "uuid": r'[0-9a-fA-F]{8} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" '
    r"[0-9a-fA-F]{12}",
}
_FORMATS["date-time"] = f'{_FORMATS["date"]} "T" {_FORMATS["time"]}'
_MAX_DEPTH = 64
_MAX_RULES = 20_000


class SchemaGrammar:
    """Turns schemas into rules.

    Args:
        rules: where they go.
        document: what `#/…` references point into.
        strict: refuse what a grammar cannot hold; otherwise let it be.
    """

    def __init__(self, rules: Rules, document: Any, *, strict: bool) -> None:
        self._rules = rules
        self._document = document
        self._strict = strict
        self._references: dict[str, str] = {}
        self._count = 0

    def rule(self, schema: Any, hint: str = "value", depth: int = 0) -> str:
        """The name of a rule for a schema.

        Raises:
            UnsupportedSchema: it says something no grammar can.
        """
        self._count += 1
        if depth > _MAX_DEPTH or self._count > _MAX_RULES or self._rules.is_too_large:
            raise UnsupportedSchema("a schema this deep or large")
        if schema is True or schema == {}:
            return self._rules.base("value")
        if not isinstance(schema, Mapping):
            raise UnsupportedSchema("something that is no schema")
        if self._strict and (refused := [name for name in _REFUSED if name in schema]):
            raise UnsupportedSchema(f"'{refused[0]}'")
        if isinstance(reference := schema.get("$ref"), str):
            return self._reference(reference, hint, depth)
        return self._listed(schema, hint) or self._combined(schema, hint, depth)

    def _listed(self, schema: Mapping[str, Any], hint: str) -> str | None:
        if "const" in schema:
            return self._rules.add(hint, json_literal(schema["const"]))
        if isinstance(values := schema.get("enum"), list):
            if not values:
                raise UnsupportedSchema("an empty enum")
            if len(values) > _MAX_RULES:
                raise UnsupportedSchema("an enum this long")
            return self._rules.add(hint, " | ".join(json_literal(value) for value in values))
        return None

    def _combined(self, schema: Mapping[str, Any], hint: str, depth: int) -> str:
        for name in ("anyOf", "oneOf"):
            if isinstance(options := schema.get(name), list) and options:
                base = {key: value for key, value in schema.items() if key != name}
                return self._union([self._merged(base, item) for item in options], hint, depth)
        if isinstance(parts := schema.get("allOf"), list) and parts:
            whole = {key: value for key, value in schema.items() if key != "allOf"}
            for part in parts:
                whole = self._merged(whole, part)
            return self.rule(whole, hint, depth + 1)
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return self._union([{**schema, "type": kind} for kind in kinds], hint, depth)
        return self._typed(schema, kinds or _implied_type(schema), hint, depth)

    def _typed(self, schema: Mapping[str, Any], kind: Any, hint: str, depth: int) -> str:
        match kind:
            case "object":
                return self._object(schema, hint, depth)
            case "array":
                return self._array(schema, hint, depth)
            case "string":
                return self._string(schema, hint)
            case "integer" | "number":
                return number_rule(
                    self._rules, schema, integer=kind == "integer", strict=self._strict
                )
            case "boolean" | "null":
                return self._rules.base(kind)
            case None:
                return self._rules.base("value")
            case _:
                raise UnsupportedSchema(f"the type {str(kind)[:40]!r}")

    def _union(self, options: list[Any], hint: str, depth: int) -> str:
        names = [self.rule(option, hint, depth + 1) for option in options]
        return self._rules.add(hint, " | ".join(dict.fromkeys(names)))

    def _reference(self, reference: str, hint: str, depth: int) -> str:
        if reference in self._references:
            return self._references[reference]
        target = self._resolve(reference)
        name = self._rules.reserve(reference.rpartition("/")[2] or hint)
        self._references[reference] = name
        return self._rules.define(name, self.rule(target, hint, depth + 1))

    def _resolve(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise UnsupportedSchema("a reference to another document")
        target = self._document
        for part in reference[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, Mapping) and key in target:
                target = target[key]
            elif isinstance(target, list) and key.isdigit() and int(key) < len(target):
                target = target[int(key)]
            else:
                raise UnsupportedSchema(f"the reference {reference[:80]!r}, which leads nowhere")
        return target

    def _merged(self, base: Mapping[str, Any], extra: Any) -> dict[str, Any]:
        seen = 0
        while isinstance(extra, Mapping) and isinstance(extra.get("$ref"), str):
            if not any(key in base for key in ("properties", "required", "type")):
                return dict(extra)
            extra = self._resolve(extra["$ref"])
            seen += 1
            if seen > _MAX_DEPTH:
                raise UnsupportedSchema("a reference to itself")
        if not isinstance(extra, Mapping):
            raise UnsupportedSchema("something that is no schema")
        merged = {**base, **extra}
        if isinstance(base.get("properties"), Mapping) and isinstance(
            extra.get("properties"), Mapping
        ):
            merged["properties"] = {**base["properties"], **extra["properties"]}
            # joining many long lists takes longer than writing their rules
            self._count += len(merged["properties"]) // 8
            if self._count > _MAX_RULES:
                raise UnsupportedSchema("a schema this deep or large")
        if isinstance(base.get("required"), list) and isinstance(extra.get("required"), list):
            merged["required"] = [*base["required"], *extra["required"]]
        return merged

    def _object(self, schema: Mapping[str, Any], hint: str, depth: int) -> str:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        required = schema.get("required")
        required = [str(name) for name in required] if isinstance(required, list) else []
        others = schema.get("additionalProperties", not properties)
        listed = {**properties, **{name: {} for name in required if name not in properties}}
        if not listed and others is True and not schema.get("minProperties"):
            return self._rules.base("object")
        self._rules.base("ws")
        tail = self._others(schema, others, hint, depth) if others is not False else None
        following = {True: self._rules.reserve(hint), False: self._rules.reserve(hint)}
        self._rules.define(following[True], f'( ws "," ws {tail} )* ws "}}"' if tail else 'ws "}"')
        self._rules.define(
            following[False],
            f'( {tail} ( ws "," ws {tail} )* )? ws "}}"' if tail else '"}"',
        )
        for name, inner in reversed(listed.items()):
            value = self.rule(inner, f"{hint[:40]}-{name[:40]}", depth + 1)
            pair = f'{json_literal(name)} ws ":" ws {value}'
            before = {
                True: f'ws "," ws {pair} {following[True]}',
                False: f"{pair} {following[True]}",
            }
            if name not in required:
                before = {comma: f"{text} | {following[comma]}" for comma, text in before.items()}
            following = {comma: self._rules.add(hint, text) for comma, text in before.items()}
        return self._rules.add(hint, f'"{{" ws {following[False]}')

    def _others(self, schema: Mapping[str, Any], others: Any, hint: str, depth: int) -> str:
        if self._strict and (schema.get("minProperties") or "maxProperties" in schema):
            raise UnsupportedSchema("minProperties or maxProperties")
        inner = others if isinstance(others, Mapping) else {}
        value = self.rule(inner, f"{hint}-other", depth + 1)
        return self._rules.add(hint, f'{self._rules.base("string")} ws ":" ws {value}')

    def _array(self, schema: Mapping[str, Any], hint: str, depth: int) -> str:
        self._rules.base("ws")
        if self._strict and schema.get("uniqueItems"):
            raise UnsupportedSchema("uniqueItems")
        first = schema.get(
            "prefixItems", schema["items"] if isinstance(schema.get("items"), list) else None
        )
        if isinstance(first, list) and first:
            names = [self.rule(item, f"{hint}-item", depth + 1) for item in first]
            return self._rules.add(hint, '"[" ws ' + ' ws "," ws '.join(names) + ' ws "]"')
        items = schema.get("items", {})
        item = self.rule(items if not isinstance(items, list) else {}, f"{hint}-item", depth + 1)
        low = _count(schema, "minItems") or 0
        high = _count(schema, "maxItems")
        if high == 0:
            return self._rules.add(hint, '"[" ws "]"')
        more = self._rules.add(hint, f'ws "," ws {item}')
        rest = repeat(more, max(low - 1, 0), None if high is None else high - 1)
        inner = f"{item} {rest}"
        return self._rules.add(hint, f'"[" ws {f"( {inner} )?" if low == 0 else inner} ws "]"')

    def _string(self, schema: Mapping[str, Any], hint: str) -> str:
        if isinstance(pattern := schema.get("pattern"), str):
            try:
                return pattern_rule(self._rules, pattern)
            except UnsupportedSchema:
                if self._strict:
                    raise
        if (known := _FORMATS.get(str(schema.get("format")))) is not None:
            return self._rules.add(hint, rf'"\"" {known} "\""')
        low, high = _count(schema, "minLength") or 0, _count(schema, "maxLength")
        if low == 0 and high is None:
            return self._rules.base("string")
        chars = repeat(self._rules.base("char"), low, high)
        return self._rules.add(hint, rf'"\"" {chars} "\""')


def _count(schema: Mapping[str, Any], name: str) -> int | None:
    value = schema.get(name)
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**53 else None


def _implied_type(schema: Mapping[str, Any]) -> str | None:
    """Schemas often leave the type out where another word says it."""
    if "properties" in schema or "additionalProperties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    if "pattern" in schema or "minLength" in schema or "maxLength" in schema:
        return "string"
    return None


def schema_to_gbnf(schema: Mapping[str, Any]) -> str:
    """A grammar for JSON of a schema; {} is any JSON object.

    Raises:
        UnsupportedSchema: what the schema says that a grammar cannot.
    """
    rules = Rules()
    if not schema:
        return rules.text(rules.base("object"))
    root = SchemaGrammar(rules, schema, strict=True).rule(schema)
    return rules.text(root)
