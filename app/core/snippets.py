"""How to connect other programs to the endpoint: text to copy, with address, key and model in it.

Each follows what the client was seen to need (Claude Code must be told the real context, or it
assumes a million tokens and compacts for ever).
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a snippet is made of. `url` has no `/v1`."""

    url: str
    key: str
    model: str
    n_ctx: int = 32_768

    @property
    def output_tokens(self) -> int:
        """How long one answer of an agent may be: a quarter of the context, at most 8,192."""
        return max(1024, min(8192, self.n_ctx // 4))


@dataclass(frozen=True, slots=True)
class Snippet:
    """`text` goes into `where`."""

    client: str
    where: str
    text: str


def snippets(endpoint: Endpoint, *, windows: bool = False) -> tuple[Snippet, ...]:
    """One for each client, best known first; `windows` writes a terminal's lines for PowerShell."""

    def exported(**variables: object) -> str:
        form = '$env:{} = "{}"\n' if windows else "export {}={}\n"
        return "".join(form.format(name, value) for name, value in variables.items())

    url, key, model, n_ctx = endpoint.url, endpoint.key, endpoint.model, endpoint.n_ctx
    return (
        Snippet(
            "Claude Code",
            "a terminal",
            exported(
                ANTHROPIC_BASE_URL=url,
                ANTHROPIC_AUTH_TOKEN=key,
                ANTHROPIC_MODEL=model,
                CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1,
                CLAUDE_CODE_ATTRIBUTION_HEADER=0,
                CLAUDE_CODE_MAX_CONTEXT_TOKENS=n_ctx,
                CLAUDE_CODE_MAX_OUTPUT_TOKENS=endpoint.output_tokens,
            )
            + "claude",
        ),
        Snippet("OpenCode", "opencode.json in the project", _opencode(endpoint)),
        Snippet(
            "Qwen Code",
            "a terminal",
            exported(OPENAI_BASE_URL=f"{url}/v1", OPENAI_API_KEY=key, OPENAI_MODEL=model)
            + "qwen --auth-type openai",
        ),
        Snippet(
            "Codex",
            "~/.codex/config.toml",
            f'model = "{model}"\nmodel_provider = "garret"\n\n'
            "[model_providers.garret]\n"
            f'name = "Garret"\nbase_url = "{url}/v1"\n'
            'env_key = "GARRET_API_KEY"\nwire_api = "responses"\n'
            f"# and in the terminal: {exported(GARRET_API_KEY=key).strip()}",
        ),
        Snippet(
            "Aider",
            "a terminal",
            exported(LITELLM_LOCAL_MODEL_COST_MAP=True)
            + f"aider --model openai/{model} --openai-api-base {url}/v1 --openai-api-key {key}"
            " --no-show-model-warnings",
        ),
        Snippet(
            "Continue",
            "~/.continue/config.yaml",
            "name: Local\nversion: 1.0.0\nschema: v1\nmodels:\n"
            f"  - name: Garret\n    provider: openai\n    model: {model}\n"
            f"    apiBase: {url}/v1\n    apiKey: {key}\n"
            "    roles: [chat, edit, apply]\n    capabilities: [tool_use]",
        ),
        Snippet(
            "Cline",
            "a terminal",
            f"cline auth -p openai-compatible -k {key} -m {model} -b {url}/v1",
        ),
        Snippet(
            "Python (openai)",
            "a program",
            "from openai import OpenAI\n\n"
            f'client = OpenAI(base_url="{url}/v1", api_key="{key}")\n'
            "answer = client.chat.completions.create(\n"
            f'    model="{model}", messages=[{{"role": "user", "content": "Hello"}}]\n'
            ")\nprint(answer.choices[0].message.content)",
        ),
        Snippet(
            "Python (anthropic)",
            "a program",
            "from anthropic import Anthropic\n\n"
            f'client = Anthropic(base_url="{url}", api_key="{key}")\n'
            "answer = client.messages.create(\n"
            f'    model="{model}", max_tokens=1024,\n'
            '    messages=[{"role": "user", "content": "Hello"}],\n'
            ")\nfor part in answer.content:\n"
            '    if part.type == "text":  # a model may think first\n'
            "        print(part.text)",
        ),
        Snippet(
            "Cursor",
            "not possible from this computer alone",
            "Cursor calls custom addresses from its own servers, which cannot reach a private "
            "address like this one. The other programs in this list can.",
        ),
    )


def _opencode(endpoint: Endpoint) -> str:
    limit = {"context": endpoint.n_ctx, "output": endpoint.output_tokens}
    options = {"baseURL": f"{endpoint.url}/v1", "apiKey": endpoint.key}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Garret",
        "options": options,
        "models": {endpoint.model: {"limit": limit}},
    }
    config = {"model": f"garret/{endpoint.model}", "provider": {"garret": provider}}
    return json.dumps(config, indent=2)
