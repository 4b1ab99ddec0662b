"""Puts a folder of files that a Hugging Face export has written onto the Hub, as they are."""

from __future__ import annotations

from pathlib import Path

from engine.errors import ConfigError, ExportError


def push_folder(folder: Path, repo: str, *, private: bool = True, token: str | None = None) -> str:
    """Upload every file of a folder in one commit, and return the address of the data set.

    Files of the repository that are not in the folder stay there.

    Args:
        folder: what `engine.exporters.huggingface` wrote.
        repo: "owner/name" of the data set, which is made where it does not exist.
        private: whether one that is made is private.
        token: of the Hub; None for that of `hf auth login` or of the variable HF_TOKEN.

    Raises:
        ConfigError: huggingface_hub is not installed, or this is no name of a repository.
        ExportError: the upload failed; the folder stays as it is.
    """
    try:
        import huggingface_hub
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:
        raise ConfigError(
            "huggingface_hub is not installed", way_out="Install it: pip install 'starling-workbench[hf]'."
        ) from error
    api = huggingface_hub.HfApi(token=token)
    try:
        made = api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id, repo_type="dataset", folder_path=folder, commit_message="Export from Starling"
        )
    except HFValidationError as error:
        raise ConfigError("This is no name of a repository", value=repo, way_out="Try owner/name.") from error
    except (HfHubHTTPError, OSError) as error:
        raise ExportError(
            "The upload to the Hub failed", value=str(error).strip().splitlines()[0],
            way_out=f"Sign in with `hf auth login`, then upload {folder} again: hf upload {repo} {folder} "
            "--repo-type dataset.",
        ) from error  # fmt: skip
    return f"{api.endpoint}/datasets/{made.repo_id}"
