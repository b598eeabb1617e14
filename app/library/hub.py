"""The Hub's metadata through huggingface_hub, distrusted: names, sizes, hashes and answer lengths.

No bytes of a model pass through here except a header's first megabytes. Every call blocks, with a
deadline of its own; keep them off the GUI thread.
"""

from __future__ import annotations

import importlib
import logging
import os
import queue
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

from app.core.errors import DownloadFailed, GarretError, LibraryError
from app.core.network_log import NetworkLog
from app.library.download.fetch import FetchProblem, RemoteFile, Request
from app.library.download.limits import Limits
from app.library.facts import ModelFacts, read_facts
from app.library.gguf import MAX_HEADER_BYTES, GgufHeader, HeaderIncomplete, parse_header
from app.library.names import check_file, check_repo, is_safe_file, split_name

DEFAULT_ENDPOINT = "https://huggingface.co"
MAX_ANSWER_BYTES = 32 << 20
MAX_FILES = 20_000
MAX_FILE_BYTES = 1 << 45
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_CHECKSUM = "the Hub gives no checksum for it"
_T = TypeVar("_T")
_counted = threading.local()  # bytes answered in this thread: each call has one of its own


@dataclass(frozen=True, slots=True)
class HubFile:
    """A GGUF in a repository at a commit."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class HubModel:
    """One model a repository offers: a file, or all parts of a split one."""

    repo: str
    commit: str
    files: tuple[HubFile, ...]
    license: str = ""
    gated: bool = False

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def file(self) -> str:
        return self.files[0].path


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds: models, and files left out with the reason why."""

    repo: str
    commit: str
    models: tuple[HubModel, ...]
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A repository found by searching; all text is the Hub's and untrusted."""

    repo: str
    downloads: int
    likes: int
    gated: bool
    files: tuple[str, ...]


class Hub:
    """A Hub at one endpoint.

    Args:
        endpoint: overrides HF_ENDPOINT, which overrides huggingface.co.
        token: sent to the endpoint only, and only if the user gave one.
        deadline_s: how long any call here may take in all.
        log: where every connection is noted, downloads of this hub's files included.
    """

    def __init__(
        self,
        endpoint: str = "",
        token: str = "",
        deadline_s: float = 10.0,
        log: NetworkLog | None = None,
    ) -> None:
        chosen = endpoint or os.environ.get("HF_ENDPOINT", "") or DEFAULT_ENDPOINT
        self.endpoint = chosen.rstrip("/")
        self._token = token
        self._deadline_s = deadline_s
        self._log = log or NetworkLog()

    def set_token(self, token: str) -> None:
        """From now on, also for downloads that go on."""
        self._token = token

    def listing(self, repo: str, revision: str = "") -> Listing:
        """The GGUF models in a repository at one commit.

        Raises: DownloadFailed; LibraryError for a name that is none.
        """
        check_repo(repo)

        def ask() -> Any:
            return _api(self.endpoint, self._token).model_info(
                repo, revision=revision or None, files_metadata=True, timeout=self._deadline_s * 0.8
            )

        return _listing(repo, self._call(ask, repo))

    def resolve(self, repo: str, file: str, revision: str = "") -> HubModel:
        """The model that `file` (any of its parts) belongs to, pinned to a commit.

        Raises: DownloadFailed with a sentence; LibraryError for names that are not allowed.
        """
        check_repo(repo)
        check_file(file)
        try:
            listing = self.listing(repo, revision)
        except DownloadFailed as error:
            if not error.facts.get("ask_file"):
                raise
            return self._from_heads(repo, file, revision, error)
        for model in listing.models:
            if any(one.path == file for one in model.files):
                return model
        reasons = dict(listing.left_out)
        if reasons.get(file) == _NO_CHECKSUM:
            refusal = DownloadFailed(
                f"{file} cannot be downloaded: {_NO_CHECKSUM}.", retryable=False
            )
            return self._from_heads(repo, file, listing.commit, refusal)
        if file in reasons:
            raise DownloadFailed(f"{file} cannot be downloaded: {reasons[file]}.", retryable=False)
        names = ", ".join(model.file for model in listing.models[:4])
        raise DownloadFailed(
            f"{repo} has no file {file}.",
            f"It has: {names}." if names else "It has no GGUF files at all.",
            retryable=False,
        )

    def _from_heads(self, repo: str, file: str, revision: str, refusal: DownloadFailed) -> HubModel:
        """A model from the answers about its files alone: mirrors may have no listing. What they
        say must be as complete; otherwise `refusal` stands."""
        split = split_name(file)
        names = [split.of(n) for n in range(1, split.count + 1)] if split else [file]

        def ask() -> list[Any]:
            library = _library()
            return [
                library.get_hf_file_metadata(
                    library.hf_hub_url(
                        repo, name, revision=revision or "main", endpoint=self.endpoint
                    ),
                    token=self._token or False,
                    timeout=self._deadline_s * 0.8,
                    endpoint=self.endpoint,
                )
                for name in names
            ]

        try:
            answers = self._call(ask, repo)
        except DownloadFailed:
            raise refusal from None
        files = []
        for name, answer in zip(names, answers, strict=True):
            sound = (
                isinstance(answer.commit_hash, str)
                and _COMMIT.fullmatch(answer.commit_hash)
                and answer.commit_hash == answers[0].commit_hash
                and isinstance(answer.etag, str)
                and _SHA256.fullmatch(answer.etag)
                and type(answer.size) is int
                and 0 < answer.size <= MAX_FILE_BYTES
            )
            if not sound:
                raise refusal
            files.append(HubFile(name, answer.size, answer.etag))
        return HubModel(repo, answers[0].commit_hash, tuple(files))

    def search(self, text: str, limit: int = 30) -> list[SearchHit]:
        """Repositories with GGUF files that match a text, most downloaded first."""

        def ask() -> list[Any]:
            api = _api(self.endpoint, self._token)
            found = api.list_models(search=text[:200], filter="gguf", limit=limit, full=True)
            return [one for _, one in zip(range(limit), found, strict=False)]

        hits = []
        for one in self._call(ask, "the Hub"):
            try:
                repo = check_repo(str(one.id))
            except LibraryError:
                continue
            names = (str(s.rfilename) for s in (one.siblings or ())[:MAX_FILES])
            hits.append(
                SearchHit(
                    repo=repo,
                    downloads=_whole(one.downloads),
                    likes=_whole(one.likes),
                    gated=bool(one.gated),
                    files=tuple(name for name in names if is_safe_file(name)),
                )
            )
        return hits

    def remote(self, model: HubModel, file: HubFile) -> RemoteFile:
        """The address of a file, pinned to the commit."""
        return RemoteFile(
            url=f"{self.endpoint}/{model.repo}/resolve/{model.commit}/{file.path}",
            endpoint=self.endpoint,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            token=self._token,
            log=self._log,
        )

    def header(self, model: HubModel, file: HubFile, limits: Limits | None = None) -> GgufHeader:
        """A file's GGUF header, read over HTTP Range: a few megabytes, never the file.

        Raises: DownloadFailed, BadModelFile, UnsupportedModel.
        """
        want = 8 << 20
        while True:
            data = self._first_bytes(self.remote(model, file), want, limits or Limits())
            try:
                return parse_header(data, file.path.rsplit("/", 1)[-1])
            except HeaderIncomplete:
                if len(data) >= min(file.size_bytes, MAX_HEADER_BYTES):
                    raise DownloadFailed(
                        f"{file.path} has no sound header.", "Pick another file.", retryable=False
                    ) from None
                want *= 2

    def facts(self, model: HubModel) -> ModelFacts:
        """Facts of a model before its download, from the headers of all its parts."""
        return read_facts([self.header(model, file) for file in model.files], model.file)

    def _first_bytes(self, remote: RemoteFile, count: int, limits: Limits) -> bytes:
        request = Request(remote, limits)
        data = bytearray()
        buffer = memoryview(bytearray(256 << 10))
        try:
            request.open(0, min(count, remote.size_bytes))
            while got := request.fill(buffer):
                data += buffer[:got]
        except FetchProblem as problem:
            raise DownloadFailed(problem.sentence, problem.remedy, retryable=True) from problem
        finally:
            request.close()
        return bytes(data)

    def _call(self, ask: Callable[[], _T], what: str) -> _T:
        """Runs `ask` in a thread with a deadline and turns what it raises into a sentence."""
        answers: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

        def run() -> None:
            _counted.answer_bytes = 0
            failed = True
            try:
                answer = ask()
                failed = False
                answers.put((answer, None))
            except BaseException as error:  # noqa: BLE001 - handed to the caller, who knows it
                answers.put((None, error))
            finally:
                host = urlsplit(self.endpoint).hostname or self.endpoint
                self._log.note(host, f"Asked about {what}", _counted.answer_bytes, failed=failed)

        threading.Thread(target=run, daemon=True, name="hub").start()
        try:
            answer, error = answers.get(timeout=self._deadline_s)
        except queue.Empty:
            raise _unreachable(self.endpoint) from None
        if error is not None:
            raise _sentence_for(error, what, self.endpoint) from error
        return answer  # type: ignore[return-value]


def _listing(repo: str, info: Any) -> Listing:
    commit = info.sha
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise DownloadFailed("The Hub does not name a version of the model.", retryable=False)
    card = info.card_data
    license_ = getattr(card, "license", None) if card is not None else None
    if not isinstance(license_, str):
        tags = [tag for tag in info.tags or () if isinstance(tag, str)]
        license_ = next((t.removeprefix("license:") for t in tags if t.startswith("license:")), "")
    files, left_out = _sort_out((info.siblings or ())[:MAX_FILES])
    models, incomplete = _group(files)
    return Listing(
        repo=repo,
        commit=commit,
        models=tuple(
            HubModel(repo, commit, group, license_[:80], bool(info.gated)) for group in models
        ),
        left_out=(*left_out, *incomplete),
    )


def _sort_out(siblings: Iterable[Any]) -> tuple[list[HubFile], list[tuple[str, str]]]:
    files: dict[str, HubFile] = {}
    left_out: list[tuple[str, str]] = []
    for one in siblings:
        name = one.rfilename
        if not isinstance(name, str) or not name.lower().endswith(".gguf"):
            continue
        reason = _reason_against(name, one)
        if name.casefold() in files:
            reason = "another file has the same name"
        if reason:
            left_out.append((name[:300], reason))
        else:
            files[name.casefold()] = HubFile(name, one.size or one.lfs.size, one.lfs.sha256)
    return list(files.values()), left_out


def _reason_against(name: str, one: Any) -> str:
    if not is_safe_file(name):
        return "its name is not allowed"
    base = name.rsplit("/", 1)[-1].lower()
    if base.startswith("mmproj") or "mmproj" in base:
        return "it is a helper for images, not a model"
    if base.startswith(("lora", "adapter")) or "-lora" in base:
        return "it is an adapter, not a model"
    if base.startswith("imatrix") or "imatrix.gguf" in base:
        return "it is quantization data, not a model"
    lfs = one.lfs
    sha = getattr(lfs, "sha256", None)
    sizes = {one.size, getattr(lfs, "size", None)} - {None}
    if sha is None:
        return _NO_CHECKSUM
    if not isinstance(sha, str) or not _SHA256.fullmatch(sha):
        return "the Hub's checksum for it is none"
    if len(sizes) != 1 or not all(type(n) is int and 0 < n <= MAX_FILE_BYTES for n in sizes):
        return "the Hub contradicts itself about its size"
    return ""


def _group(files: list[HubFile]) -> tuple[list[tuple[HubFile, ...]], list[tuple[str, str]]]:
    """Whole files and complete split sets; parts of incomplete sets with the reason."""
    sets: dict[tuple[str, int], dict[int, HubFile]] = {}
    groups: list[tuple[HubFile, ...]] = []
    left_out = []
    for file in files:
        split = split_name(file.path)
        if split is None:
            groups.append((file,))
        else:
            sets.setdefault((split.stem, split.count), {})[split.part] = file
    stems = [stem for stem, _ in sets]
    for (stem, count), parts in sets.items():
        if sorted(parts) == list(range(1, count + 1)) and stems.count(stem) == 1:
            groups.append(tuple(parts[number] for number in range(1, count + 1)))
        else:
            left_out += [(part.path, "its set of parts is incomplete") for part in parts.values()]
    return sorted(groups, key=lambda group: group[0].path), left_out


@cache
def _library() -> Any:
    """huggingface_hub, imported on first use (0.3 s) with its side doors shut."""
    for name in (
        "HF_HUB_DISABLE_XET",
        "HF_HUB_DISABLE_TELEMETRY",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN",
        "HF_HUB_DISABLE_PROGRESS_BARS",
        "HF_HUB_DISABLE_UPDATE_CHECK",
    ):
        os.environ[name] = "1"
    library = importlib.import_module("huggingface_hub")
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # failures have our own words
    httpx2 = importlib.import_module("httpx2")

    class Capped(httpx2.BaseTransport):  # type: ignore[misc, name-defined]
        """Refuses answers larger than any sane metadata."""

        def __init__(self) -> None:
            self._inner = httpx2.HTTPTransport()

        def handle_request(self, request: Any) -> Any:
            response = self._inner.handle_request(request)
            response.stream = _CappedStream(response.stream, httpx2)
            return response

        def close(self) -> None:
            self._inner.close()

    class _CappedStream(httpx2.SyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, inner: Any, http: Any) -> None:
            self._inner = inner
            self._http = http

        def __iter__(self) -> Any:
            total = 0
            for chunk in self._inner:
                total += len(chunk)
                _counted.answer_bytes = getattr(_counted, "answer_bytes", 0) + len(chunk)
                if total > MAX_ANSWER_BYTES:
                    raise self._http.ReadError("answer too long")
                yield chunk

        def close(self) -> None:
            self._inner.close()

    if not _behind_proxy():
        library.set_client_factory(
            lambda: httpx2.Client(transport=Capped(), follow_redirects=True, timeout=15.0)
        )
    return library


def _behind_proxy() -> bool:
    names = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    return any(os.environ.get(name) for name in names)


def _api(endpoint: str, token: str) -> Any:
    # token=False: not even a token lying in the user's cache is sent unasked.
    return _library().HfApi(endpoint=endpoint, token=token or False)


def _sentence_for(error: BaseException, what: str, endpoint: str) -> GarretError:
    errors = importlib.import_module("huggingface_hub.errors")
    if isinstance(error, GarretError):
        return error
    if isinstance(error, errors.GatedRepoError):
        return DownloadFailed(
            f"The owner of {what} asks you to accept the model's terms first.",
            f"Open {endpoint}/{what}, accept them, and add your access token in the settings.",
            retryable=False,
            gated=True,
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return DownloadFailed(f"{what} has no such version.", retryable=False)
    if isinstance(error, errors.RepositoryNotFoundError):
        return DownloadFailed(
            f"There is no model repository {what}, or it is private.",
            "Check its spelling.",
            retryable=False,
        )
    if isinstance(error, errors.HfHubHTTPError):
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if status == 429:
            return DownloadFailed(
                "The Hub asks us to wait.", "Try again in a few minutes.", retryable=True
            )
        return DownloadFailed(
            f"The Hub answered with status {status}.",
            "Try again later.",
            retryable=True,
            ask_file=status == 404,
        )
    if isinstance(error, OSError) or type(error).__module__.startswith(("httpx", "httpcore")):
        return _unreachable(endpoint)
    if isinstance(error, ValueError | TypeError | KeyError | AttributeError | RecursionError):
        return DownloadFailed(
            "The Hub's answer makes no sense.",
            "Check the network: a login page may be in the way.",
            retryable=True,
        )
    return DownloadFailed(f"Asking the Hub failed ({type(error).__name__}).", retryable=True)


def _unreachable(endpoint: str) -> DownloadFailed:
    return DownloadFailed(
        f"{endpoint} cannot be reached.", "Check the network and try again.", retryable=True
    )


def _whole(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
