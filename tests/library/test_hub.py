"""What the Hub says about a repository is believed only as far as it can be checked."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from app.core.errors import DownloadFailed, GarretError, LibraryError
from app.library.hub import MAX_FILES, Hub
from app.library.names import is_safe_file, safe_stem, split_name
from tests.hostile_hub import COMMIT, HOSTILE_NAMES, META_FAULTS, HostileHub
from tests.library.download_kit import FILE, REPO
from tests.library.ggufs import gguf_bytes


@pytest.fixture
def hub() -> Iterator[HostileHub]:
    with HostileHub() as hub:
        hub.add(REPO, {FILE: gguf_bytes(), "README.md": b"# hi", "mmproj-F16.gguf": b"x" * 9})
        yield hub


def ask(hub: HostileHub) -> Hub:
    return Hub(hub.endpoint, deadline_s=3.0)


def test_a_repository_is_listed_with_sizes_hashes_and_commit(hub: HostileHub) -> None:
    listing = ask(hub).listing(REPO)
    assert listing.commit == COMMIT
    (model,) = listing.models
    assert model.file == FILE
    assert model.size_bytes == len(gguf_bytes())
    assert model.files[0].sha256 == hub.repos[REPO].hashes[FILE]
    assert model.license == "apache-2.0"
    assert listing.left_out == (("mmproj-F16.gguf", "it is a helper for images, not a model"),)


def test_the_endpoint_comes_from_the_environment(
    hub: HostileHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint + "/")
    assert Hub().resolve(REPO, FILE).commit == COMMIT


def test_search_finds_repositories_and_their_models(hub: HostileHub) -> None:
    (hit,) = ask(hub).search("model")
    assert hit.repo == REPO
    assert FILE in hit.files
    assert not any(name.endswith(".md") for name in hit.files)


def test_a_header_is_read_without_the_file(hub: HostileHub) -> None:
    body = gguf_bytes(tensors=[("a.weight", (1024, 8192))])
    hub.add("a/big", {"big.gguf": body})
    model = ask(hub).resolve("a/big", "big.gguf")
    header = ask(hub).header(model, model.files[0])
    assert header.weights_bytes == 1024 * 8192 * 4
    assert hub.file_gets[-1].range == f"bytes=0-{(8 << 20) - 1}"


def test_parts_are_one_model_and_gaps_are_left_out(hub: HostileHub) -> None:
    names = [f"Q8/big-{part:05d}-of-00003.gguf" for part in (1, 2, 3)]
    hub.add("a/split", dict.fromkeys(names, b"x"))
    hub.add("a/gap", dict.fromkeys(names[:2], b"x"))
    mixed = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "m-00001-of-00003.gguf"]
    hub.add("a/mixed", dict.fromkeys(mixed, b"x"))
    (model,) = ask(hub).listing("a/split").models
    assert [file.path for file in model.files] == names
    assert ask(hub).resolve("a/split", names[1]) == model
    assert ask(hub).listing("a/gap").models == ()
    assert ask(hub).listing("a/mixed").models == ()
    with pytest.raises(DownloadFailed, match="incomplete"):
        ask(hub).resolve("a/gap", names[0])


REFUSED_WHOLE = set(META_FAULTS) - {"names", "twins", "many", "no listing", "no lfs"}


@pytest.mark.parametrize("fault", sorted(REFUSED_WHOLE))
def test_a_spoiled_answer_is_a_sentence_in_time(hub: HostileHub, fault: str) -> None:
    hub.meta = fault
    started = time.monotonic()
    with pytest.raises(DownloadFailed) as caught:
        ask(hub).resolve(REPO, FILE)
    assert time.monotonic() - started < 10
    assert caught.value.sentence.endswith(".")
    assert caught.value.facts["retryable"] in (True, False)


@pytest.mark.parametrize("fault", ["no listing", "no lfs"])
def test_a_mirror_without_a_listing_is_asked_about_the_file(hub: HostileHub, fault: str) -> None:
    hub.meta = fault
    model = ask(hub).resolve(REPO, FILE)
    assert model.commit == COMMIT
    assert model.files[0].sha256 == hub.repos[REPO].hashes[FILE]
    assert model.size_bytes == len(gguf_bytes())
    with pytest.raises(DownloadFailed):
        ask(hub).resolve(REPO, "missing.gguf")


def test_hostile_names_are_listed_as_refused(hub: HostileHub) -> None:
    hub.meta = "names"
    listing = ask(hub).listing(REPO)
    assert listing.models == ()
    assert len(listing.left_out) >= len(HOSTILE_NAMES) - 1
    assert {reason for _, reason in listing.left_out} <= {
        "its name is not allowed",
        "another file has the same name",
    }


def test_case_twins_are_one_file(hub: HostileHub) -> None:
    hub.meta = "twins"
    listing = ask(hub).listing(REPO)
    assert [model.file for model in listing.models] == [FILE]
    assert ("MODEL-Q4_K_M.gguf", "another file has the same name") in listing.left_out


def test_a_hundred_thousand_files_take_bounded_work(hub: HostileHub) -> None:
    hub.meta = "many"
    try:
        listing = Hub(hub.endpoint, deadline_s=20.0).listing(REPO)
    except DownloadFailed:
        return  # refused for its length: fine too
    assert len(listing.models) <= MAX_FILES


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_is_never_a_path(hub: HostileHub, name: str) -> None:
    assert not is_safe_file(name)
    with pytest.raises(LibraryError):
        ask(hub).resolve(REPO, name)
    assert hub.seen == []


@pytest.mark.parametrize("repo", ["x", "a/b/c", "../x", "a/..", "a b/c", "", "/", "a/b?x", "a/NUL"])
def test_a_hostile_repository_name_is_never_asked_for(hub: HostileHub, repo: str) -> None:
    with pytest.raises(LibraryError):
        ask(hub).listing(repo)
    assert hub.seen == []


def test_nobody_there_is_a_sentence(hub: HostileHub) -> None:
    with pytest.raises(DownloadFailed, match="cannot be reached"):
        Hub("http://127.0.0.1:9", deadline_s=5.0).listing(REPO)
    with pytest.raises(DownloadFailed, match="no model repository"):
        ask(hub).listing("nobody/nothing")
    with pytest.raises(DownloadFailed, match="has no file"):
        ask(hub).resolve(REPO, "other.gguf")


def test_a_gated_repository_says_what_to_do(hub: HostileHub) -> None:
    hub.meta = "gated"
    with pytest.raises(GarretError) as caught:
        ask(hub).listing(REPO)
    assert f"{hub.endpoint}/{REPO}" in caught.value.remedy
    assert caught.value.facts["gated"]


def test_split_names_and_stems() -> None:
    split = split_name("Q4/a-00002-of-00004.gguf")
    assert split is not None
    assert (split.stem, split.part, split.count) == ("Q4/a", 2, 4)
    assert split_name("a-00005-of-00004.gguf") is None
    assert split_name("a.gguf") is None
    assert safe_stem("../../etc/ü NUL") == "etc-NUL"
    assert is_safe_file(f"{safe_stem('NUL')}.gguf")
    assert is_safe_file(f"{safe_stem('...')}.gguf")
