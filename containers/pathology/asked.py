"""Asking AWS for what a step must know of model versions: an answer, or one line that says which permission is missing; never a guess."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from pathology.contracts.errors import PathologyError
from pathology.contracts.refusals import code_of, is_denied, message_of
from pathology.contracts.storage import Entry, Store
from pathology.contracts.uris import Uri


class NotAnsweredError(PathologyError):
    """What the gate must know was not said: a failed job, never a pass."""


@contextmanager
def answered(permission: str, what: str) -> Iterator[None]:
    """Errors of AWS as one line that says what is missing, or that asking again may help."""
    try:
        yield
    except ClientError as error:
        code, message = code_of(error), message_of(error)
        if is_denied(error):
            raise NotAnsweredError(
                f"{what}: the job's role lacks the permission {permission}, without which this step knows nothing of the model versions "
                f"that it needs: allow it ({message})"
            ) from None
        raise NotAnsweredError(f"{what}: {permission} was not answered ({code}: {message}): start again") from None
    except BotoCoreError as error:
        raise NotAnsweredError(f"{what}: {permission} was not answered ({error}): start again") from None


@dataclass(frozen=True)
class Objects:
    """A store whose refusals are :class:`NotAnsweredError`; what is not there stays a DataError."""

    store: Store

    def read(self, uri: Uri) -> bytes:
        """An object's bytes."""
        with answered("s3:GetObject", str(uri)):
            return self.store.read(uri)

    def fetch(self, uri: Uri, path: Path) -> Path:
        """An object as a file to read at ``path``, which is returned."""
        with answered("s3:GetObject", str(uri)):
            self.store.fetch(uri, path)
        return path

    def list(self, uri: Uri) -> list[Entry]:
        """Objects below ``uri``."""
        with answered("s3:ListBucket", str(uri)):
            return list(self.store.list(uri))
