"""Environment problems, each with its facts, one sentence and one remedy.

GarretError
├── EngineError
│   ├── EngineNotInstalled      llama-cpp-python cannot be imported
│   ├── EngineUnreachable       nothing answers at the base URL
│   ├── EngineDied              the engine process ended (crash, killed, out of memory)
│   ├── EngineBusy              the queue is full; retry_after_s says when to ask again
│   ├── EngineRefused           a 4xx/5xx whose meaning is none of the others
│   └── NoModelLoaded
├── ModelError
│   ├── ModelNotFound           no such id or path
│   ├── BadModelFile            truncated, not a GGUF, corrupt
│   ├── UnsupportedModel        an architecture or a file kind this engine cannot run
│   ├── OutOfMemory             needed_bytes and available_bytes where known
│   ├── BadChatTemplate         the model's own template cannot be rendered
│   └── ContextFull             prompt_tokens do not fit into context_tokens
├── LibraryError
│   ├── DownloadFailed
│   ├── NotEnoughDisk
│   └── VerificationFailed
├── StorageError
│   ├── StorageFull
│   └── StorageDamaged          the database file is corrupt
├── WorkspaceError              outside the folder, not readable, refused by a rule
└── SettingError                an unknown key or a value out of bounds

Bugs are not in this tree: they crash into the log.
"""

from __future__ import annotations

from typing import Any, ClassVar


class GarretError(Exception):
    """A problem the user can understand and act on.

    Args:
        sentence: what happened, one plain sentence with a full stop.
        remedy: what to do about it, one plain sentence; may be empty.
        facts: machine-readable details (sizes in bytes, statuses, names), for logs and tests.
    """

    code: ClassVar[str] = "error"

    def __init__(self, sentence: str, remedy: str = "", **facts: Any) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}".strip()

    def to_json(self) -> dict[str, Any]:
        """The form that crosses the process line; `error_from_json` reverses it."""
        return {
            "code": self.code,
            "sentence": self.sentence,
            "remedy": self.remedy,
            "facts": {key: value for key, value in self.facts.items() if _is_plain(value)},
        }


class EngineError(GarretError):
    """The engine, ours or another one, could not do its part."""

    code = "engine_error"


class EngineNotInstalled(EngineError):
    """llama-cpp-python is missing or its library does not load."""

    code = "engine_not_installed"


class EngineUnreachable(EngineError):
    """Nothing answers at the base URL."""

    code = "engine_unreachable"


class EngineDied(EngineError):
    """The engine process ended while it was needed."""

    code = "engine_died"


class EngineBusy(EngineError):
    """The queue is full; facts hold `retry_after_s`."""

    code = "engine_busy"


class EngineRefused(EngineError):
    """The engine answered with an error status; facts hold `status`."""

    code = "engine_refused"


class NoModelLoaded(EngineError):
    """A model must be loaded first."""

    code = "no_model_loaded"


class ModelError(GarretError):
    """Something about a model or its file."""

    code = "model_error"


class ModelNotFound(ModelError):
    """No installed model has this id, and no file this path."""

    code = "model_not_found"


class BadModelFile(ModelError):
    """Truncated, corrupt, or not a GGUF at all."""

    code = "bad_model_file"


class UnsupportedModel(ModelError):
    """A sound file that this engine cannot run."""

    code = "unsupported_model"


class OutOfMemory(ModelError):
    """The model does not fit; facts hold `needed_bytes` and `available_bytes` where known."""

    code = "out_of_memory"


class BadChatTemplate(ModelError):
    """The model's own chat template failed, took too long, or tried to escape."""

    code = "bad_chat_template"


class ContextFull(ModelError):
    """The prompt does not fit; facts hold `prompt_tokens` and `context_tokens`."""

    code = "context_full"


class LibraryError(GarretError):
    """Models on disk or on the Hub."""

    code = "library_error"


class DownloadFailed(LibraryError):
    """A download ended without a file; facts hold `retryable`."""

    code = "download_failed"


class NotEnoughDisk(LibraryError):
    """Facts hold `needed_bytes` and `free_bytes`."""

    code = "not_enough_disk"


class VerificationFailed(LibraryError):
    """The bytes are not the bytes they should be."""

    code = "verification_failed"


class StorageError(GarretError):
    """Chats could not be read or written."""

    code = "storage_error"


class StorageFull(StorageError):
    """The disk is full; nothing already stored is lost."""

    code = "storage_full"


class StorageDamaged(StorageError):
    """The database file is corrupt; facts hold `path`."""

    code = "storage_damaged"


class WorkspaceError(GarretError):
    """A file operation the workspace rules do not allow or the system refused."""

    code = "workspace_error"


class SettingError(GarretError):
    """An unknown setting or a value out of its bounds."""

    code = "setting_error"


def _all_classes(root: type[GarretError]) -> list[type[GarretError]]:
    found = [root]
    for child in root.__subclasses__():
        found.extend(_all_classes(child))
    return found


def error_from_json(data: dict[str, Any]) -> GarretError:
    """The typed error behind its wire form; an unknown code becomes a plain GarretError."""
    by_code = {cls.code: cls for cls in _all_classes(GarretError)}
    cls = by_code.get(str(data.get("code")), GarretError)
    facts = data.get("facts")
    return cls(
        str(data.get("sentence") or "Something went wrong."),
        str(data.get("remedy") or ""),
        **({str(k): v for k, v in facts.items()} if isinstance(facts, dict) else {}),
    )


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
