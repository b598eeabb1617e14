"""Names whose change could run code later or whose content is secret, wherever they stand.

They count even while they do not exist, and in any spelling (case, Unicode form). A rule never
frees them: touching one is always asked.
"""

from __future__ import annotations

import re

from app.agent.containment import fold

_DIRECTORIES = {
    ".git": "It belongs to the history of the project.",
    ".hg": "It belongs to the history of the project.",
    ".svn": "It belongs to the history of the project.",
    ".vscode": "An editor may run what this file says.",
    ".idea": "An editor may run what this file says.",
    ".fleet": "An editor may run what this file says.",
    ".zed": "An editor may run what this file says.",
    ".devcontainer": "An editor may run what this file says.",
    ".husky": "Git runs what this file says.",
    ".githooks": "Git may run what this file says.",
    ".claude": "It instructs agents.",
    ".codex": "It instructs agents.",
    ".cursor": "It instructs agents.",
    ".gemini": "It instructs agents.",
    ".qwen": "It instructs agents.",
    ".opencode": "It instructs agents.",
    ".agents": "It instructs agents.",
    ".garret": "It instructs agents.",
    ".circleci": "A build server runs what this file says.",
    ".buildkite": "A build server runs what this file says.",
    ".ssh": "It may hold keys.",
    ".gnupg": "It may hold keys.",
    ".aws": "It may hold keys.",
    ".kube": "It may hold keys.",
    ".docker": "It may hold keys.",
}
_PATHS = {
    (".github", "workflows"): "A build server runs what this file says.",
    (".github", "actions"): "A build server runs what this file says.",
    (".github", "copilot-instructions.md"): "It instructs agents.",
    (".gitea", "workflows"): "A build server runs what this file says.",
    (".forgejo", "workflows"): "A build server runs what this file says.",
}
_SHELL = "A shell runs this file when it starts."
_AGENT = "It instructs agents."
_BUILD = "A build server runs what this file says."
_GIT = "Git reads this file as configuration."
_FILES = {
    **dict.fromkeys((".gitmodules", ".gitconfig", ".gitattributes", ".gitignore"), _GIT),
    ".lfsconfig": _GIT,
    **dict.fromkeys(
        (
            ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile",
            ".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".kshrc", ".cshrc", ".tcshrc",
            ".login", ".inputrc", ".xprofile", ".xinitrc", ".xsession", ".envrc",
        ),
        _SHELL,
    ),
    **dict.fromkeys(
        (
            "agents.md", "agent.md", "claude.md", "claude.local.md", "gemini.md", "qwen.md",
            "skill.md", "crush.md", ".cursorrules", ".clinerules", ".windsurfrules", ".goosehints",
            ".mcp.json", "mcp.json", "opencode.json", ".aider.conf.yml", ".garret",
        ),
        _AGENT,
    ),
    **dict.fromkeys(
        (
            ".gitlab-ci.yml", ".travis.yml", "jenkinsfile", "azure-pipelines.yml", "appveyor.yml",
            ".appveyor.yml", ".drone.yml", "bitbucket-pipelines.yml", ".woodpecker.yml",
        ),
        _BUILD,
    ),
    ".pre-commit-config.yaml": "Git may run what this file says.",
    ".ripgreprc": "A tool reads this file as configuration.",
    "sitecustomize.py": "Python runs this file when it starts.",
    "usercustomize.py": "Python runs this file when it starts.",
}  # fmt: skip
_SECRET_FILES = {
    ".netrc", "_netrc", ".pgpass", ".npmrc", ".pypirc", ".git-credentials", ".htpasswd",
    "credentials", "credentials.json", "secrets.json", "secrets.yml", "secrets.yaml",
    "secrets.toml", "service-account.json", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
    ".vault-token", ".dockercfg", ".terraformrc", ".boto",
}  # fmt: skip
_SECRET_SUFFIXES = (
    ".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk", ".asc", ".gpg", ".ovpn",
    ".tfstate", ".agekey",
)  # fmt: skip
_SECRET_DIRECTORIES = {".ssh", ".gnupg", ".aws", ".kube", ".docker", ".azure", ".gcloud"}
_ENV_FILE = re.compile(r"^\.env($|[.\-_])|^\.?envrc$|\.env$")
_ENV_EXAMPLE = re.compile(r"^\.env[.\-_](example|sample|template|dist|defaults?)$")
_KEYS = "It may hold passwords or keys."


def _secret(parts: list[str]) -> bool:
    name = parts[-1]
    if _ENV_FILE.search(name) and not _ENV_EXAMPLE.match(name):
        return True
    if any(part in _SECRET_DIRECTORIES for part in parts):
        return True
    if name.endswith(".pub"):
        return False
    return name in _SECRET_FILES or name.endswith(_SECRET_SUFFIXES)


def read_asks(path: str) -> str:
    """Why reading this path is always asked; "" when it is not."""
    parts = [fold(part) for part in path.split("/") if part]
    return _KEYS if parts and _secret(parts) else ""


def write_asks(path: str) -> str:
    """Why writing, moving or deleting this path is always asked; "" when it is not."""
    parts = [fold(part) for part in path.split("/") if part]
    if not parts:
        return "It is the chosen folder itself."
    for part in parts:
        if part in _DIRECTORIES:
            return _DIRECTORIES[part]
    for wanted, reason in _PATHS.items():
        size = len(wanted)
        if any(tuple(parts[at : at + size]) == wanted for at in range(len(parts) - size + 1)):
            return reason
    if _secret(parts) or _ENV_FILE.search(parts[-1]):
        return _KEYS
    return _FILES.get(parts[-1], "")


def is_guarded(path: str) -> bool:
    """Whether a command must leave this path as it was: what `write_asks` names, but of `.git`
    only what can run code (hooks and configuration), since git itself must work."""
    parts = [fold(part) for part in path.split("/") if part]
    if ".git" in parts:
        inner = parts[parts.index(".git") + 1 :]
        if "modules" in inner[:1] and inner[-1:] == ["config"]:
            return True
        return inner[:1] == ["hooks"] or inner in (
            [],  # the pointer file of a worktree or a submodule
            ["config"],
            ["config.worktree"],
            ["info", "attributes"],
            ["info", "sparse-checkout"],
        )
    return bool(write_asks(path))


def guarded_name(name: str) -> bool:
    """Whether a file of this name is guarded wherever it stands; the quick half of `is_guarded`
    for walks (the other half is the directory)."""
    plain = name.casefold() if name.isascii() else fold(name)
    return (
        plain in _FILES
        or plain in _DIRECTORIES
        or plain in _SECRET_FILES
        or plain.endswith(_SECRET_SUFFIXES)
        or (".env" in plain and _ENV_FILE.search(plain) is not None)
    )


def words_named(text: str) -> str:
    """Why a command text that names a protected place is asked; "" when it names none.

    Works on the raw text, so that quoting cannot hide a plain name. What a command hides better
    than that is held by the sandbox and by the comparison after it.
    """
    for word in re.split(r"[\s'\"`$(){}<>|&;=,:]+", text):
        path = word.replace("\\", "/").strip("/")
        if not path or path in (".", ".."):
            continue
        reason = write_asks(path)
        if reason:
            return f"{path[:80]}: {reason}"
    return ""
