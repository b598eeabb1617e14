"""The store of installed models: a folder of GGUF files with one small record each.

Layout under the models folder:
    <owner>/<repo>/<file>.gguf   files Garret owns (`imported/<name>/…` for local files)
    .records/<id>.json           what is known about each model
    .partial/                    downloads and copies on their way
    .trash/<id>/                 removed models, until the trash is emptied

Every change is one rename or one atomic record under a short lock, so that the window and `garret`
can work on the same folder. All calls block (hashing, copying): keep them off the GUI thread.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from app.core.errors import (
    BadModelFile,
    ModelError,
    ModelNotFound,
    UnsupportedModel,
    VerificationFailed,
)
from app.library import records
from app.library.check_header import HeaderChecker
from app.library.disk import (
    Progress,
    boot_id,
    check_space,
    copy_file,
    hash_file,
    held,
    read_json,
    sync_file,
    sync_folder,
    write_json,
)
from app.library.facts import ModelFacts, quantization_of
from app.library.names import (
    MAX_STORE_DEPTH,
    SplitName,
    is_safe_file,
    model_id_of,
    safe_stem,
    split_name,
)
from app.library.records import InstalledModel, ModelFile, Origin

HeaderCheck = Callable[[Sequence[Path]], ModelFacts]


class Store:
    """Installed models under one folder.

    Args:
        root: the models folder; made when first needed.
        header_check: reads a model's facts; the default does so in a throw-away process.
    """

    def __init__(self, root: Path, header_check: HeaderCheck | None = None) -> None:
        self.root = root.absolute()
        self._check = header_check or HeaderChecker()

    def prepare_check(self) -> None:
        """A model is about to be complete: its header's check need not start from nothing."""
        if isinstance(self._check, HeaderChecker):
            self._check.prepare()

    @property
    def partial(self) -> Path:
        return self._made(".partial")

    @property
    def trash(self) -> Path:
        return self._made(".trash")

    def installed(self) -> list[InstalledModel]:
        """Every model with a record, most recently used or added first. Reads records only."""
        folder = self.root / ".records"
        models = [
            model
            for path in (sorted(folder.glob("*.json")) if folder.is_dir() else ())
            if (model := records.from_json(read_json(path), self.root, path.stem))
        ]
        return sorted(models, key=lambda one: -max(one.used_at, one.installed_at))

    def rescan(self) -> list[InstalledModel]:
        """Like `installed`, after taking in sound GGUF files that appeared in the folder."""
        known = {file.path for model in self.installed() for file in model.files}
        for path in self._model_files():
            if path in known:
                continue
            try:
                files = self._parts_of(path)
                self._record(files, self._check(files), Origin("found"), ("",) * len(files))
            except ModelError:
                continue  # not a model one can use; it stays where it is
        return self.installed()

    def find(self, id_or_path: str | Path) -> InstalledModel:
        """An installed model by id (or the beginning of exactly one), or any GGUF by its path.

        Raises: ModelNotFound; BadModelFile or UnsupportedModel for a path to something else.
        """
        wanted = str(id_or_path)
        models = self.installed()
        exact = [one for one in models if one.model_id == wanted.lower()]
        if exact:
            return exact[0]
        path = Path(wanted).expanduser()
        if path.is_file() and (path.suffix.lower() == ".gguf" or len(path.parts) > 1):
            path = path.absolute()
            for model in models:
                if any(file.path == path for file in model.files):
                    return model
            return self._stranger(path)
        close = [one for one in models if wanted and one.model_id.startswith(wanted.lower())]
        if len(close) == 1:
            return close[0]
        names = ", ".join(one.model_id for one in close or models[:5])
        raise ModelNotFound(
            f"No installed model is called {wanted!r}.",
            f"Installed: {names}." if names else "Install one with `garret models pull`.",
            model=wanted,
        )

    def add_file(
        self,
        source: Path,
        *,
        copy: bool = True,
        origin: Origin | None = None,
        expected_sha256: str = "",
        progress: Progress | None = None,
    ) -> InstalledModel:
        """Imports a local GGUF (with its other parts), by copying or as a read-only reference.

        Raises: BadModelFile, UnsupportedModel, ModelNotFound, NotEnoughDisk, VerificationFailed.
        """
        files = self._parts_of(source.expanduser().absolute())
        facts = self._check(files)
        total = sum(file.stat().st_size for file in files)
        report = _Sum(progress, total)
        if not copy:
            hashes = tuple(report.hash(file) for file in files)
            _expect(hashes, expected_sha256, files[0].name)
            return self._record(files, facts, origin or Origin("reference"), hashes)
        check_space(self.root, total, files[0].name)
        copies = [self.partial / f"import-{uuid.uuid4().hex}.part" for _ in files]
        try:
            hashes = tuple(report.copy(*pair) for pair in zip(files, copies, strict=True))
            _expect(hashes, expected_sha256, files[0].name)
            folder = f"imported/{safe_stem(model_id_of(files[0].name))}"
            names = [_tidy(file.name) for file in files]
            return self.adopt(copies, names, folder, origin or Origin("file"), hashes, facts)
        finally:
            for one in copies:
                one.unlink(missing_ok=True)

    def adopt(
        self,
        parts: Sequence[Path],
        names: Sequence[str],
        folder: str,
        origin: Origin,
        hashes: Sequence[str],
        facts: ModelFacts | None = None,
    ) -> InstalledModel:
        """Moves finished, hashed files (on this file system) into place and records the model.

        The header check comes first, so a file that fails it never appears in the folder.
        `facts` may be passed by a caller that has just checked exactly these bytes.
        """
        if facts is None:
            facts = self._checked_parts(parts, names)
        with held(self._made(".records") / ".lock"):
            same = self._same(names, hashes)
            if same is not None:
                for part in parts:
                    part.unlink(missing_ok=True)
                return same
            target = self._free_folder(folder, names)
            target.mkdir(parents=True, exist_ok=True)
            placed: list[Path] = []
            for part, name in zip(parts, names, strict=True):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(part, target / name)
                placed.append(target / name)
            return self._write(placed, facts, origin, hashes, unsettled_boot=boot_id())

    def remove(self, model_id: str) -> int:
        """Moves a model to the trash and returns its size in bytes; a reference is only forgotten.

        The space is free once the trash is emptied; `restore` undoes it until then.
        """
        with held(self._made(".records") / ".lock"):
            model = self._recorded(model_id)
            if not model.is_reference:
                bin_ = self.trash / f"{model.model_id}-{uuid.uuid4().hex[:8]}"
                bin_.mkdir(parents=True)
                write_json(bin_ / "record.json", records.to_json(model, self.root))
                for file in model.files:
                    if file.path.exists():
                        os.replace(file.path, bin_ / file.path.name)
                self._drop_empty_folders(model.path.parent)
            (self.root / ".records" / f"{model.model_id}.json").unlink(missing_ok=True)
            return 0 if model.is_reference else model.size_bytes

    def restore(self, model_id: str) -> InstalledModel:
        """Takes the newest model of this id out of the trash again. Raises ModelNotFound."""
        with held(self._made(".records") / ".lock"):
            bins = sorted(self.trash.glob("*/record.json"), key=lambda one: one.stat().st_mtime)
            for record in reversed(bins):
                model = records.from_json(read_json(record), self.root, model_id)
                if model is None or (self.root / ".records" / f"{model_id}.json").exists():
                    continue
                for file in model.files:
                    file.path.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(record.parent / file.path.name, file.path)
                self._save(model)
                record.unlink()
                record.parent.rmdir()
                return model
        raise ModelNotFound(f"No removed model is called {model_id!r}.", model=model_id)

    def trash_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.trash.rglob("*") if file.is_file())

    def empty_trash(self) -> int:
        """Deletes removed models for good; returns the bytes that became free."""
        freed = 0
        for path in sorted(self.trash.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                freed += path.lstat().st_size
                path.unlink()
        return freed

    def verify(self, model_id: str, progress: Progress | None = None) -> InstalledModel:
        """Hashes every file again and compares. Raises VerificationFailed, ModelNotFound."""
        model = self._recorded(model_id)
        if not model.is_present:
            raise VerificationFailed(
                f"{model.title} is incomplete: a file is missing or has another size.",
                "Connect its disk, or remove the model and download it again.",
                model=model.model_id,
            )
        report = _Sum(progress, model.size_bytes)
        hashes = tuple(report.hash(file.path) for file in model.files)
        for file, sha in zip(model.files, hashes, strict=True):
            if file.sha256 and file.sha256 != sha:
                raise VerificationFailed(
                    f"{file.path.name} is damaged: its contents changed since it was installed.",
                    "Remove the model and download it again.",
                    model=model.model_id,
                    expected=file.sha256,
                    found=sha,
                )
        return self._update(model_id, lambda one: one.verified(time.time(), hashes))

    def settle(self) -> None:
        """Makes sure that new models are on the disk, not only on their way to it.

        Installing does not wait for the disk. A model written since the machine started is flushed
        now; one that a power cut may have caught is hashed again. Raises VerificationFailed.
        """
        for model in self.installed():
            if not model.unsettled_boot or not model.is_present:
                continue
            if model.unsettled_boot != boot_id():
                self.verify(model.model_id)
                continue
            for file in model.files:
                sync_file(file.path)
                sync_folder(file.path.parent)
            self._update(model.model_id, lambda one: replace(one, unsettled_boot=""))

    def mark_used(self, model_id: str) -> None:
        """Remembers that a model was loaded now."""
        self._update(model_id, lambda one: replace(one, used_at=time.time()))

    # -- inside ------------------------------------------------------------------------------

    def _checked_parts(self, parts: Sequence[Path], names: Sequence[str]) -> ModelFacts:
        try:
            facts = self._check(list(parts))
        except (BadModelFile, UnsupportedModel) as error:
            sentence = error.sentence
            for part, name in zip(parts, names, strict=True):
                sentence = sentence.replace(part.name, name.rsplit("/", 1)[-1])
            raise type(error)(sentence, error.remedy, **error.facts) from error
        return replace(facts, quantization=quantization_of(names[0]) or facts.quantization)

    def _made(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _recorded(self, model_id: str) -> InstalledModel:
        model = self.find(model_id)
        if not (self.root / ".records" / f"{model.model_id}.json").exists():
            raise ModelNotFound(f"{model_id} is not in the models folder.", model=model_id)
        return model

    def _update(
        self, model_id: str, change: Callable[[InstalledModel], InstalledModel]
    ) -> InstalledModel:
        with held(self._made(".records") / ".lock"):
            model = change(self._recorded(model_id))
            self._save(model)
            return model

    def _record(
        self, files: Sequence[Path], facts: ModelFacts, origin: Origin, hashes: Sequence[str]
    ) -> InstalledModel:
        with held(self._made(".records") / ".lock"):
            wanted = list(files)
            for model in self.installed():
                if [file.path for file in model.files] == wanted:
                    return model
            return self._write(files, facts, origin, hashes)

    def _write(
        self,
        files: Sequence[Path],
        facts: ModelFacts,
        origin: Origin,
        hashes: Sequence[str],
        unsettled_boot: str = "",
    ) -> InstalledModel:
        now = time.time()
        model = InstalledModel(
            model_id=self._free_id(model_id_of(files[0].name)),
            files=tuple(
                ModelFile(path, path.stat().st_size, sha)
                for path, sha in zip(files, hashes, strict=True)
            ),
            facts=facts,
            origin=origin,
            installed_at=now,
            verified_at=now if all(hashes) else 0.0,
            unsettled_boot=unsettled_boot,
        )
        self._save(model)
        return model

    def _save(self, model: InstalledModel) -> None:
        # A model still on its way to the disk has a record on its way, too: `settle` sees to both.
        write_json(
            self._made(".records") / f"{model.model_id}.json",
            records.to_json(model, self.root),
            durable=not model.unsettled_boot,
        )

    def _same(self, names: Sequence[str], hashes: Sequence[str]) -> InstalledModel | None:
        for model in self.installed():
            if (
                not model.is_reference
                and model.is_present
                and [file.sha256 for file in model.files] == list(hashes)
                and [file.path.name for file in model.files]
                == [name.rsplit("/", 1)[-1] for name in names]
            ):
                return model
        return None

    def _free_id(self, wanted: str) -> str:
        number = 1
        while (self.root / ".records" / f"{_numbered(wanted, number)}.json").exists():
            number += 1
        return _numbered(wanted, number)

    def _free_folder(self, folder: str, names: Sequence[str]) -> Path:
        number = 1
        while True:
            target = self.root / _numbered(folder, number)
            taken = {one.name.casefold() for one in target.rglob("*")} if target.exists() else set()
            if not any(name.rsplit("/", 1)[-1].casefold() in taken for name in names):
                return target
            number += 1

    def _drop_empty_folders(self, folder: Path) -> None:
        while folder != self.root and folder.is_relative_to(self.root):
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def _model_files(self) -> Iterator[Path]:
        for folder, subfolders, names in os.walk(self.root):
            here = Path(folder)
            depth = len(here.relative_to(self.root).parts)
            subfolders[:] = [
                one
                for one in sorted(subfolders)
                if not one.startswith(".") and depth < MAX_STORE_DEPTH - 1
            ]
            for name in sorted(names):
                path = here / name
                split = split_name(name)
                if (
                    is_safe_file(path.relative_to(self.root).as_posix(), MAX_STORE_DEPTH)
                    and path.is_file()
                    and (split is None or split.part == 1)
                ):
                    yield path

    def _parts_of(self, path: Path) -> list[Path]:
        split = split_name(path.name)
        if split is None:
            return [path]
        files = [path.with_name(split.of(part)) for part in range(1, split.count + 1)]
        missing = [file.name for file in files if not file.exists()]
        if missing:
            raise BadModelFile(
                f"{len(missing)} of the model's {split.count} parts are missing: {missing[0]}.",
                "Put all parts into one folder.",
                file=path.name,
            )
        return files

    def _stranger(self, path: Path) -> InstalledModel:
        files = self._parts_of(path)
        facts = self._check(files)
        return InstalledModel(
            model_id=model_id_of(files[0].name),
            files=tuple(ModelFile(file, file.stat().st_size) for file in files),
            facts=facts,
            origin=Origin("reference"),
        )


class _Sum:
    """One progress report over several files."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._before = 0

    def hash(self, path: Path) -> str:
        sha = hash_file(path, self._report)
        self._before += path.stat().st_size
        return sha

    def copy(self, source: Path, target: Path) -> str:
        sha = copy_file(source, target, self._report)
        self._before += target.stat().st_size
        return sha

    def _report(self, done: int, _total: int) -> None:
        if self._progress is not None:
            self._progress(self._before + done, self._total)


def _expect(hashes: Sequence[str], expected_sha256: str, name: str) -> None:
    if expected_sha256 and list(hashes) != [expected_sha256.lower()]:
        raise VerificationFailed(
            f"{name} is not the file it should be: its SHA-256 differs.",
            "Get it again from where it came.",
            expected=expected_sha256,
            found=hashes[0],
        )


def _tidy(name: str) -> str:
    """A file name that is allowed in the store, as close to `name` as can be."""
    split = split_name(name)
    if split is not None:
        return SplitName(safe_stem(split.stem), split.part, split.count).of(split.part)
    return f"{safe_stem(name[: -len('.gguf')])}.gguf"


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"
