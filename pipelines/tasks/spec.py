"""What the project knows of a task, in one place: every list of tasks, commands, scores and demos is read from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pathology.contracts.errors import RequestError
from pathology.contracts.media import JSON
from pathology.contracts.settings import Settings

from pipelines.tasks import TRAIN
from pipelines.tasks.sections import PipelineYaml

if TYPE_CHECKING:
    from pathology.contracts.comparison.reading import Comparable


@dataclass(frozen=True)
class PipelineSpec:
    """One pipeline of a task: the function that draws its graph, what its YAML may say, what its commands are told.

    ``graph`` is ``module:function``, imported when a pipeline is built, since it imports the SDK. ``commands`` maps each to the class
    that its job parses its hyperparameters with.
    """

    graph: str
    model: type[PipelineYaml]
    commands: Mapping[str, type[Settings]]

    def draw(self) -> Callable[..., Any]:
        """The graph's function."""
        function: Callable[..., Any] = resolve(self.graph)
        return function


@dataclass(frozen=True)
class Demo:
    """What a run on this machine needs: how data are made, and what it changes.

    ``make`` is ``module:function``, called with the folder to fill; ``data`` says where in it each parameter's data lie. ``own`` is a
    person's data by parameter: the name to give it by, and whether it is a folder. Values of parameters: ``settings`` go with the
    data that are made, ``tiny`` with the tiny encoder, ``here`` with every run on this machine.
    """

    make: str
    data: Mapping[str, str]
    own: Mapping[str, tuple[str, bool]]
    settings: Mapping[str, str]
    tiny: Mapping[str, str] = field(default_factory=dict)
    here: Mapping[str, str] = field(default_factory=dict)

    def values(self, *, made: bool, tiny: bool) -> dict[str, str]:
        """What a run here changes, on data that were ``made`` or a person's own, with the ``tiny`` encoder or a real one."""
        return {**self.here, **(self.tiny if tiny else {}), **(self.settings if made else {})}


@dataclass(frozen=True)
class Hosted:
    """What an endpoint of the task takes, and the content types that it ``answers``, the usual one first.

    ``takes``: pictures, a request each, or patients, whose slides' features a request names. ``encoder``: it runs the encoder, whose
    folder is then among the model's data. ``sample`` is a file of ``pipelines/service/hosting/samples`` that an endpoint can be tried
    with; without one the first request is a test item of the version.
    """

    takes: Literal["pictures", "patients"] = "pictures"
    answers: tuple[str, ...] = (JSON,)
    encoder: bool = True
    sample: str | None = None


@dataclass(frozen=True)
class TaskSpec:
    """A task. ``titles`` are its measures as people write them, by their names in evaluation.json, the ``headline`` ones first;
    ``comparable`` is ``module:name`` of how two of its models are compared, imported when they are; ``hosted`` what an endpoint of it does.
    """

    name: str
    pipelines: Mapping[str, PipelineSpec]
    headline: tuple[str, ...]
    titles: Mapping[str, str]
    comparable: str
    demo: Demo
    hosted: Hosted = Hosted()

    def comparison(self) -> Comparable:
        """How two of its models are compared."""
        found: Comparable = resolve(self.comparable)
        return found

    def pipeline(self, kind: str = TRAIN) -> PipelineSpec:
        """Its pipeline of a kind.

        Raises:
            RequestError: when it has none of that kind.
        """
        if kind not in self.pipelines:
            raise RequestError(f"task {self.name} has no pipeline {kind!r}: choose one of {', '.join(self.pipelines)}")
        return self.pipelines[kind]

    def definition(self, folder: Path, kind: str = TRAIN) -> Path:
        """Where the pipeline's definition lies in ``folder``, without suffix: ``.yaml`` as written, ``.json`` as rendered."""
        return folder / (self.name if kind == TRAIN else f"{self.name}-{kind}")


def resolve(reference: str) -> Any:
    """What ``module:name`` names."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
