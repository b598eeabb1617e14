"""Chat templates are strangers' code: they run, fail or are killed, and the next one works."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from app.core.errors import BadChatTemplate
from app.engine.chat.renderer import TemplateRefused, TemplateRenderer


@pytest.fixture(scope="module")
def renderer() -> Iterator[TemplateRenderer]:
    renderer = TemplateRenderer(limit_s=1.5)
    yield renderer
    renderer.close()


def test_a_template_sees_its_context(renderer: TemplateRenderer) -> None:
    text = renderer.render_now("{{ a }} {{ b | tojson }}", {"a": "x", "b": {"k": "<é>"}})
    assert text == 'x {"k": "<é>"}'


def test_blocks_are_trimmed_and_loop_controls_and_generation_tags_work(
    renderer: TemplateRenderer,
) -> None:
    source = (
        "{% for i in range(9) %}\n  {% if i == 2 %}{% break %}{% endif %}\n"
        "{% generation %}{{ i }}{% endgeneration %}\n{% endfor %}"
    )
    assert renderer.render_now(source, {}) == "01"


def test_the_templates_own_refusal_keeps_its_words(renderer: TemplateRenderer) -> None:
    with pytest.raises(TemplateRefused, match="roles must alternate"):
        renderer.render_now("{{ raise_exception('roles must alternate') }}", {})


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ ''|attr('__class__')|attr('__mro__') }}",
        "{{ '{0.__class__.__init__.__globals__}'.format(x) }}",
        "{{ self._TemplateReference__context.environment }}",
        "{{ lipsum.__globals__['os'] }}",
        "{% set x = messages.append(1) %}{{ messages }}",
    ],
)
def test_an_escape_yields_nothing_or_an_error(renderer: TemplateRenderer, source: str) -> None:
    try:
        text = renderer.render_now(source, {"x": 1, "messages": []})
    except BadChatTemplate:
        return
    assert "class" not in text
    assert "module" not in text
    assert "uid=" not in text
    assert "1" not in text


@pytest.mark.parametrize(
    "source",
    [
        "{{ 9**(9**9) }}",
        "{{ 'a' * 10**10 }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{{ 'x' * 10000 }}{% endfor %}",
        "{{ range(10**9) | list }}",
        "{{ [[[]]*9999]*9999 | string }}",
        "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{{ unclosed",
    ],
)
def test_a_bomb_is_an_error_and_the_next_template_works(
    renderer: TemplateRenderer, source: str
) -> None:
    with pytest.raises(BadChatTemplate):
        renderer.render_now(source, {})
    assert renderer.render_now("{{ 1 + 1 }}", {}) == "2"


def test_a_template_that_took_too_long_is_refused_at_once_afterwards(
    renderer: TemplateRenderer,
) -> None:
    bomb = "{# again #}{{ 9**(9**9) }}"
    with pytest.raises(BadChatTemplate):
        renderer.render_now(bomb, {})
    started = time.monotonic()
    with pytest.raises(BadChatTemplate):
        renderer.render_now(bomb, {})
    assert time.monotonic() - started < renderer._limit_s


def test_the_child_has_no_secrets_in_its_environment(
    renderer: TemplateRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.engine.chat.renderer import _child_environment

    monkeypatch.setenv("HF_TOKEN", "canary")
    assert "canary" not in str(_child_environment())
