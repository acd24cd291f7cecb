"""download_tcga_coad.sh and make_gdc_manifest.sh against a small GDC that lies, with and without gdc-client."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from download_world import World, md5

IDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(1, 6)]

GDC_CLIENT = r"""#!{python} -IS
import os, sys
from pathlib import Path
world, words = Path(os.environ["WORLD"]), sys.argv[1:]
with (world / "gdc.calls").open("a") as calls:
    calls.write(" ".join(words) + "\n")
rows = [line.split("\t") for line in Path(words[words.index("--manifest") + 1]).read_text().splitlines()[1:]]
for uuid, name, *_ in rows:
    folder = Path(words[words.index("--dir") + 1]) / uuid
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes((world / "gdc" / uuid).read_bytes())
"""


class Cohort:
    """Five small slides at GDC, their manifest, and Liu's table."""

    def __init__(self, world: World):
        self.world = world
        self.slides = {uuid: os.urandom(10_000 * (6 - number)) for number, uuid in enumerate(IDS, start=1)}
        self.names = {uuid: f"TCGA-AA-000{number}-01Z-00-DX1.svs" for number, uuid in enumerate(IDS)}
        world.server.files |= {f"/data/{uuid}": body for uuid, body in self.slides.items()}
        workbook = io.BytesIO()
        with zipfile.ZipFile(workbook, "w") as archive:
            archive.writestr("xl/workbook.xml", "<workbook/>")
        self.liu = workbook.getvalue()
        world.server.files |= {"/mmc2.xlsx": self.liu, "/files": json.dumps(self.answer()).encode()}
        world.environment["LIU_URL"] = world.server.url("/mmc2.xlsx")
        self.manifest = world.root / "manifest.txt"
        self.write(self.rows())

    def rows(self) -> list[list[str]]:
        return [[uuid, self.names[uuid], md5(body), str(len(body)), "released"] for uuid, body in self.slides.items()]

    def write(self, rows: list[list[str]]) -> None:
        lines = [["id", "filename", "md5", "size", "state"], *rows]
        self.manifest.write_text("".join("\t".join(line) + "\n" for line in lines))

    def answer(self) -> dict[str, object]:
        keys = ("file_id", "file_name", "md5sum", "file_size", "state")
        hits = [dict(zip(keys, row, strict=True)) | {"file_size": int(row[3])} for row in self.rows()]
        return {"data": {"hits": hits, "pagination": {"total": len(hits)}}}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.world.run(
            "download_tcga_coad.sh", "--to", str(self.world.to), "--manifest", str(self.manifest), *arguments, **environment
        )

    def expected(self) -> dict[str, bytes]:
        return {f"{uuid}/{self.names[uuid]}": body for uuid, body in self.slides.items()}


@pytest.fixture
def cohort(world: World) -> Cohort:
    return Cohort(world)


class TestTcga:
    def test_all_in_gdcs_layout_and_second_run_does_nothing(self, cohort: Cohort) -> None:
        done = cohort.run()
        assert done.returncode == 0, done.stderr
        downloaded = cohort.world.downloaded()
        assert {name: downloaded[name] for name in cohort.expected()} == cohort.expected()
        assert downloaded["liu.xlsx"] == cohort.liu
        assert set(downloaded) == {*cohort.expected(), "gdc_manifest.txt", "liu.xlsx", "downloads.lock"}
        requests = len(cohort.world.server.requests)
        assert requests == 6
        again = cohort.run()
        assert again.returncode == 0 and again.stderr.count("there already") == 6
        assert len(cohort.world.server.requests) == requests and cohort.world.downloaded() == downloaded

    def test_what_is_there_is_what_the_pipeline_looks_for(self, cohort: Cohort) -> None:
        from pathology.cohort.slides import find_slides
        from pathology.contracts.storage import FolderStore
        from pathology.contracts.uris import Uri

        cohort.world.to = cohort.world.root / "efs" / "bucket"
        assert cohort.run().returncode == 0
        store, slides = FolderStore(cohort.world.root / "efs"), Uri.parse("s3://bucket")
        shutil.copytree(cohort.world.to, cohort.world.root / "efs" / "s3" / "bucket")
        listed = find_slides(store, slides, slides / "gdc_manifest.txt").slides
        assert {slide.md5: slide.bytes for slide in listed} == {md5(body): len(body) for body in cohort.slides.values()}

    def test_limit_takes_the_smallest_and_the_manifest_names_just_these(self, cohort: Cohort) -> None:
        assert cohort.run("--limit", "2", "--no-liu").returncode == 0
        smallest = sorted(cohort.slides, key=lambda uuid: len(cohort.slides[uuid]))[:2]
        assert {name.split("/")[0] for name in cohort.world.downloaded() if "/" in name} == set(smallest)
        lines = (cohort.world.to / "gdc_manifest.txt").read_text().splitlines()
        assert [line.split("\t")[0] for line in lines] == ["id", *smallest]
        assert cohort.run("--no-liu").returncode == 0
        assert len((cohort.world.to / "gdc_manifest.txt").read_text().splitlines()) == 6

    def test_one_bad_slide_keeps_no_other_waiting_and_no_manifest_claims_it(self, cohort: Cohort) -> None:
        cohort.world.server.always[f"/data/{IDS[2]}"] = "flip"
        done = cohort.run()
        assert done.returncode == 1 and "1 slides failed" in done.stderr
        assert set(cohort.world.downloaded()) == set(cohort.expected()) - {f"{IDS[2]}/{cohort.names[IDS[2]]}"}
        del cohort.world.server.always[f"/data/{IDS[2]}"]
        assert cohort.run().returncode == 0 and len(cohort.world.server.gets(f"/data/{IDS[0]}")) == 1

    def test_three_on_end_are_the_end(self, cohort: Cohort) -> None:
        for uuid in IDS:
            cohort.world.server.always[f"/data/{uuid}"] = 404
        done = cohort.run()
        assert done.returncode == 1 and "3 of 5 were looked at" in done.stderr

    def test_disk_too_small_is_refused_before_anything_is_taken(self, cohort: Cohort) -> None:
        cohort.world.tool("df", "#!/bin/bash\necho Filesystem; echo disk 1 1 100 1 /\n")
        done = cohort.run()
        assert done.returncode == 2 and "102.4" not in done.stdout and "are needed" in done.stderr
        assert cohort.world.server.requests == []
        assert cohort.run("--limit", "2", "--no-liu").returncode == 0  # 30 kB fit

    def test_gdc_client_is_used_where_it_is_installed_and_held_to_the_md5(self, cohort: Cohort) -> None:
        world = cohort.world
        world.tool("gdc-client", GDC_CLIENT.format(python=sys.executable))
        (world.root / "gdc").mkdir()
        for uuid, body in cohort.slides.items():
            (world.root / "gdc" / uuid).write_bytes(body)
        (world.root / "gdc" / IDS[0]).write_bytes(b"not what the manifest says")
        done = cohort.run("--no-liu")
        assert done.returncode == 1 and "1 slides failed" in done.stderr
        assert f"{IDS[0]}/{cohort.names[IDS[0]]}" not in world.downloaded()
        (world.root / "gdc" / IDS[0]).write_bytes(cohort.slides[IDS[0]])
        assert cohort.run("--no-liu").returncode == 0
        assert set(world.downloaded()) == {*cohort.expected(), "gdc_manifest.txt"} and world.server.requests == []
        assert len((world.root / "gdc.calls").read_text().splitlines()) == 6

    def test_to_s3_one_at_a_time(self, cohort: Cohort) -> None:
        cohort.world.to = "s3://bucket/tcga"  # type: ignore[assignment]
        done = cohort.run()
        assert done.returncode == 0, done.stderr
        names = {*cohort.expected(), "gdc_manifest.txt", "liu.xlsx", "downloads.lock"}
        assert set(cohort.world.objects()) == {f"bucket/tcga/{name}" for name in names}
        copies = cohort.world.calls("s3", "cp")
        assert cohort.run().returncode == 0
        assert cohort.world.calls("s3", "cp") - copies == 1  # the pins are read

    @pytest.mark.parametrize(
        ("column", "value"),
        [(0, "../../etc"), (1, "../x.svs"), (1, "a/b.svs"), (1, ".x.svs"), (2, "0" * 31), (3, "-5"), (3, "1e9")],
    )
    def test_manifest_that_would_write_elsewhere_is_refused(self, cohort: Cohort, column: int, value: str) -> None:
        rows = cohort.rows()
        rows[3][column] = value
        cohort.write(rows)
        done = cohort.run()
        assert done.returncode == 1 and "file 4" in done.stderr and cohort.world.server.requests == []

    def test_manifest_is_made_when_none_is_given(self, cohort: Cohort) -> None:
        done = cohort.world.run("download_tcga_coad.sh", "--to", str(cohort.world.to), "--limit", "1", "--no-liu")
        assert done.returncode == 0, done.stderr
        query = cohort.world.server.requests[0].path
        for word in ("TCGA-COAD", "Slide%20Image", "Diagnostic%20Slide", "open"):
            assert word in query or word.replace("%20", "+") in query

    def test_liu_that_the_publisher_refuses_can_be_given_as_a_file(self, cohort: Cohort) -> None:
        cohort.world.server.always["/mmc2.xlsx"] = 403
        done = cohort.run()
        assert done.returncode == 1 and "--liu FILE" in done.stderr
        saved = cohort.world.root / "saved.xlsx"
        saved.write_bytes(cohort.liu)
        assert cohort.run("--liu", str(saved)).returncode == 0
        assert cohort.world.downloaded()["liu.xlsx"] == cohort.liu


class TestManifestMaker:
    def test_form_is_that_of_gdcs_own(self, world: World, shared_data: Path) -> None:
        """From the API's fields of the real manifest's files, the same header and the same lines."""
        real = (shared_data / "tcga" / "gdc_manifest_tcga_coad.txt").read_text().splitlines()
        keys = ("file_id", "file_name", "md5sum", "file_size", "state")
        rows = [dict(zip(keys, line.split("\t"), strict=True)) for line in real[1:]]
        hits = [{**row, "file_size": int(row["file_size"])} for row in rows]
        world.server.files["/files"] = json.dumps({"data": {"hits": hits, "pagination": {"total": len(hits)}}}).encode()
        done = world.run("make_gdc_manifest.sh")
        made = done.stdout.splitlines()
        assert made[0] == real[0] and len(made) == 460
        assert sorted(made[1:]) == sorted(real[1:])
        assert "459 diagnostic slides" in done.stderr

    def test_answer_that_is_not_all_of_it_is_refused(self, cohort: Cohort) -> None:
        answer = cohort.answer()
        answer["data"]["pagination"]["total"] = 459  # type: ignore[index]
        cohort.world.server.files["/files"] = json.dumps(answer).encode()
        done = cohort.world.run("make_gdc_manifest.sh")
        assert done.returncode == 1 and done.stdout == "" and "counts 459 files and sent 5" in done.stderr

    @pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data": {"hits": [], "pagination": {"total": 0}}}'])
    def test_other_answers_are_refused(self, world: World, body: bytes) -> None:
        world.server.files["/files"] = body
        done = world.run("make_gdc_manifest.sh")
        assert done.returncode == 1 and done.stdout == "" and done.stderr.count("error:") == 1

    def test_project_that_could_be_a_query_is_refused(self, world: World) -> None:
        assert world.run("make_gdc_manifest.sh", 'TCGA"]}}').returncode == 2
