"""The commands as a user runs them, with the real engine and the real starter model."""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e.conftest import Run, serving


def test_chat_streams_an_answer(run: Run) -> None:
    done = run("chat", "--temperature", "0", "--max-tokens", "24", "Say hello in five words.")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) > 3
    assert done.stderr == ""


def test_the_same_seed_gives_the_same_answer(run: Run) -> None:
    arguments = ("chat", "--seed", "7", "--max-tokens", "12", "Tell me a colour.")
    first, second = run(*arguments), run(*arguments)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout


def test_unknown_model_is_one_sentence(run: Run) -> None:
    done = run("chat", "--model", "no-such-model", "hi")
    assert done.returncode == 1
    assert "no-such-model" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_command_is_named(run: Run) -> None:
    done = run("frobnicate")
    assert done.returncode == 2
    assert "frobnicate" in done.stderr


@pytest.mark.parametrize("command", ["", "serve", "chat", "agent", "models", "doctor", "bench"])
def test_every_command_has_help(run: Run, command: str) -> None:
    done = run(*filter(None, [command]), "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: garret" in done.stdout


def broken_files(folder: Path, starter: Path) -> Iterator[Path]:
    whole = starter.read_bytes()
    for name, content in {
        "truncated": whole[: len(whole) // 3],
        "header-only": whole[:4096],
        "random": random.Random(5).randbytes(200_000),
        "empty": b"",
        "text": b"<html>Not found</html>",
        "unknown-architecture": _renamed_architecture(whole),
        "future-version": whole[:4] + struct.pack("<I", 999) + whole[8:],
    }.items():
        path = folder / f"{name}.gguf"
        path.write_bytes(content)
        yield path


def _renamed_architecture(whole: bytes) -> bytes:
    place = whole.index(b"llama", whole.index(b"general.architecture"))
    return whole[:place] + b"zzzzz" + whole[place + 5 :]


def test_broken_model_files_are_one_sentence_each(
    run: Run, tmp_path: Path, starter_model_path: Path
) -> None:
    for path in broken_files(tmp_path, starter_model_path):
        done = run("chat", "--model", str(path), "hi")
        assert done.returncode == 1, (path.name, done.stdout)
        assert done.stdout == ""
        assert done.stderr.startswith("garret: "), (path.name, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1, (path.name, done.stderr)


def test_doctor_reports_as_json(run: Run) -> None:
    done = run("doctor", "--json")
    report = json.loads(done.stdout)
    assert report["engine"]["installed"] is True
    assert report["engine"]["backends"]
    assert report["hardware"]
    assert {finding["check"] for finding in report["findings"]} >= {"engine", "sandbox", "models"}
    assert done.returncode == 0, done.stdout


def test_the_openai_client_lists_models_and_streams(home: Path) -> None:
    with serving(home, "--api-key", "secret-key") as url:
        client = openai.OpenAI(base_url=url, api_key="secret-key")
        (model,) = [entry.id for entry in client.models.list() if "smollm2" in entry.id.lower()]
        stream = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Count to five."}],
            stream=True,
            max_tokens=16,
            temperature=0,
        )
        texts = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
        assert len([text for text in texts if text]) > 1
        whole = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Count to five."}],
            max_tokens=16,
            temperature=0,
        )
        assert whole.choices[0].message.content == "".join(texts)
        client.close()


def test_the_endpoint_refuses_strangers(home: Path) -> None:
    with serving(home, "--api-key", "secret-key") as url, httpx.Client() as http:
        port = httpx.URL(url).port
        good = {"Authorization": "Bearer secret-key"}
        assert http.get(f"{url}/models").status_code == 401
        assert http.get(f"{url}/models", headers={"Authorization": "Bearer x"}).status_code == 401
        assert http.get(f"{url}/models", headers=good).status_code == 200
        for bad in (
            {"Host": "evil.com"},
            {"Host": f"127.0.0.1.evil.com:{port}"},
            {"Origin": "https://evil.com"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            assert http.get(f"{url}/models", headers=good | bad).status_code in (400, 403, 421), bad
        root = url.removesuffix("/v1")
        assert http.get(f"{root}/control/status", headers=good).status_code in (401, 403)


def test_serving_other_machines_needs_a_key(run: Run) -> None:
    done = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 1
    assert "--api-key" in done.stderr


def test_nothing_is_left_in_the_working_directory(home: Path) -> None:
    assert {name for name in os.listdir(home) if name != "garret"} == set()
