import pytest

from pipelines.config import TASKS, load_environment, load_task


@pytest.fixture(scope="session")
def built():
    """Each task's definition."""
    from pipelines.builder import build

    environment = load_environment("example")
    return {task: build(task, load_task(task, environment), environment).definition for task in TASKS}


@pytest.fixture(scope="session")
def definitions(built):
    """Each task's parameters."""
    return {task: {item["Name"] for item in definition["Parameters"]} for task, definition in built.items()}
