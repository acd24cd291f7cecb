"""The one thing setup.cfg cannot say: packages live in two places, authoring at the top and ``pathology`` in containers/."""

from setuptools import find_packages, setup

setup(
    packages=find_packages(".", include=["pipelines*", "steps*", "demo*"]) + find_packages("containers", include=["pathology*"]),
    package_dir={"pathology": "containers/pathology"},
    package_data={
        "pathology": ["**/*.j2", "**/*.css", "**/*.js", "py.typed"],
        "pipelines": ["**/*.j2", "**/*.png", "**/*.css", "**/*.js", "py.typed"],
        "steps": ["py.typed"],
    },
)
