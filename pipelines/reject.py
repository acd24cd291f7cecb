"""``python -m pipelines.reject --task msi 3 --note "…"``: say that a model version is not to be used."""

from __future__ import annotations

from pipelines.cli import Debug, EnvironmentName, Kind, Note, Task, VersionName, enter, run
from pipelines.tasks import TRAIN


def reject(
    task: Task,
    given: VersionName,
    note: Note,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    debug: Debug = False,
) -> int:
    """Reject a model version, with a note for whoever asks why. It stays in the registry."""
    from pipelines.service.decisions import REJECTED, check_note, decide
    from pipelines.service.versions import find
    from pipelines.version_tables import decided

    text = check_note(note)
    session = enter(environment)
    version = find(session, task, given, kind)
    print(decided(version, decide(session, version, REJECTED, text)))
    return 0


if __name__ == "__main__":
    run(reject)
