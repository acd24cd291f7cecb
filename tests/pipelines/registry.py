"""Model versions as runs leave them, made without a run: the record, evaluation.json, the artefact with its list, the cohort's table."""

import gzip
import hashlib
import io
import json
import random
import tarfile

from pathology.contracts.artefact import LEARNED_FROM
from pathology.contracts.learned_from import Item, LearnedFrom
from pathology.contracts.msi.evaluate import PatientPredictionRow
from pathology.contracts.uris import Uri

GROUP = "pathology-msi"
ENCODER = {"name": "h-optimus-0", "sha256": "e" * 64, "verified": True, "origin": "verified", "placeholder": False}
CARD = "Microsatellite status per patient."


def table(patients):
    """cohort.csv: each patient has a slide called ``<patient>-DX1``."""
    return "".join(["slide_id,patient_id,site,split\n", *(f"{one}-DX1,{one},A1,train\n" for one in patients)]).encode()


def features_of(patient):
    """The sha256 of a patient's feature file."""
    return hashlib.sha256(patient.encode()).hexdigest()


def pack(files):
    """A model.tar.gz."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as raw, tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def artefact(patients, cohort, with_list=True):
    """The files of an artefact, config.json in the middle as in a real one."""
    items = [Item(one, ids={"patients": (one,)}, contents={"features": (features_of(one),)}) for one in patients]
    digest, content = LearnedFrom.of(items, {"cohort": cohort}).pack()
    config = json.dumps({"task": "msi", "learned_from": digest if with_list else None}).encode()
    files = {"code/serve.py": b"x" * 5000, "config.json": config, "fold-0.safetensors": bytes(5000)}
    return {**files, LEARNED_FROM: content} if with_list else files


LABELS = ("MSS", "MSI-H")
UNIT, SLIDES = "patients", "slide_id,settings_hash,content_sha256\n"


def tested_patients(n=40, positives=12):
    """Test patients of three sites by id, with their labels: the first are positive."""
    return {f"T{k:03}": int(k < positives) for k in range(n)}


def answers(seed, patients, spread=0.2):
    """A model's probability of each patient."""
    draw = random.Random(seed)
    return {name: min(max(0.35 + 0.3 * label + draw.gauss(0, spread), 0.0), 1.0) for name, label in patients.items()}


def predictions(patients, probabilities):
    """predictions.csv: each patient has a slide."""
    rows = [
        PatientPredictionRow(
            patient_id=name,
            site=f"A{k % 3}",
            slides=1,
            label=label,
            probability=probabilities[name],
            fold_std=0.01,
            predicted=int(probabilities[name] >= 0.5),
            slide_ids=f"{name}-DX1",
            slide_uris=f"s3://x/{name}-DX1.svs",
        )
        for k, (name, label) in enumerate(patients.items())
    ]
    return PatientPredictionRow.table(rows)


def slides(patients, settings="5e77", content=lambda name: f"features of {name}"):
    """slides.csv, as far as a comparison reads it."""
    hashes = {name: hashlib.sha256(content(name).encode()).hexdigest() for name in patients}
    return (SLIDES + "".join(f"{name}-DX1,{settings},{digest}\n" for name, digest in hashes.items())).encode()


DRIFT = {
    "sha256": "d" * 64,
    "unit": "patients",
    "items": 300,
    "taken": 300,
    "colours_unit": "slides",
    "colours": 310,
    "colours_unknown": 2,
}


def evaluation(inputs, uris, config, archive, digest="a" * 64, auroc=0.9, settings=None, encoder=None, block=None):
    """As much of evaluation.json as verbs read; ``block`` changes the block."""
    interval = {"value": auroc, "low": auroc - 0.06, "high": auroc + 0.05}
    training = {"settings": {"epochs": "20", "shuffle-labels": "false", **(settings or {})}, "inputs": inputs, "code": "c0de"}
    report = {
        "task": "msi",
        "n": 98,
        "positives": 15,
        "seen": {"unit": "patients", "test_items": 98, "seen": 0, "names": []},
        "confidence": 0.95,
        "intervals": dict.fromkeys(("auroc", "balanced_accuracy"), interval),
        "encoder": encoder or ENCODER,
        "data": {"cohort_sha256": inputs["cohort"]},
        "data_uris": uris,
        "warnings": ["The test set holds 15 positive and 83 negative patients."],
        "baseline": {"fitted_on": 300, "positives": 45},
        "model": {
            "archive_uri": archive,
            "config_sha256": config,
            "version": config[:12],
            "labels": LABELS,
            "archive_sha256": digest,
            "serving_code": "5e4e",
            "training": training,
            "drift_baseline": DRIFT,
        },
        "threshold": 0.5,
    }
    for key, value in (block or {}).items():
        report[key] = {**report[key], **value} if isinstance(report.get(key), dict) else value
    return {"binary_classification_metrics": {"auc": {"value": auroc, "standard_deviation": 0.03}}, "pathology": report}


def put_tested(store, run, block, patients, probabilities, table=None, seen=0, names=()):
    """predictions.csv beside a run's evaluation, slides.csv, and what evaluation.json says of them."""
    table = slides(patients) if table is None else table
    place = Uri("s3", run.root, f"prepared/msi/{hashlib.sha256(table).hexdigest()[:8]}/slides.csv")
    store.write(run / "EvaluateMsi/evaluation/predictions.csv", predictions(patients, probabilities))
    store.write(place, table)
    block["n"], block["positives"] = len(patients), sum(patients.values())
    block["seen"] = {"unit": UNIT, "test_items": len(patients), "seen": seen, "names": list(names)}
    block["data"]["slides_sha256"] = hashlib.sha256(table).hexdigest()
    block["data_uris"]["slides"] = str(place)


def add(sagemaker, store, bucket, patients=("P01", "P02"), execution=None, with_list=True, tested=None, **changes):
    """Register a version of a run, by default of one of its own: ``execution001`` and so on; its ARN. ``tested``: predictions.csv and
    slides.csv, and what they change in evaluation.json's block."""
    there = len(sagemaker.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"])
    execution = execution or f"execution{there + 1:03}"
    run = Uri("s3", bucket, f"runs/{GROUP}/{execution}")
    cohort = table(patients)
    inputs = {"cohort": hashlib.sha256(cohort).hexdigest()}
    place = Uri("s3", bucket, f"prepared/msi/{inputs['cohort'][:8]}/cohort.csv")
    files = artefact(patients, inputs["cohort"], with_list)
    config = hashlib.sha256(files["config.json"]).hexdigest()
    archive = run / "TrainMsi" / f"pipelines-{execution}-TrainMsi-Xy12" / "output/model.tar.gz"
    packed = pack(files)
    report = evaluation(inputs, {"cohort": str(place)}, config, str(archive), hashlib.sha256(packed).hexdigest(), **changes)
    if tested is not None:
        put_tested(store, run, report["pathology"], **tested)
    encoder = report["pathology"]["encoder"]
    store.write(place, cohort)
    store.write(archive, packed)
    store.write(run / "EvaluateMsi/evaluation/evaluation.json", json.dumps(report).encode())
    metadata = {
        "task": "msi",
        "encoder": encoder["name"],
        "encoder_sha256": encoder["sha256"],
        "encoder_origin": encoder["origin"],
        "model_version": config[:12],
        "gate": "AUROC at least 0.8",
        "execution": execution,
        "drift_baseline": str(run / "EvaluateMsi/evaluation/drift-baseline.json"),
        "drift_baseline_sha256": DRIFT["sha256"],
    }
    request = {
        "ModelPackageGroupName": GROUP,
        "ModelPackageDescription": CARD,
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [{"Image": "training@sha256:0", "ModelDataUrl": str(archive)}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
            "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.xlarge", "ml.m5.2xlarge"],
        },
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {
                    "ContentType": "application/json",
                    "S3Uri": str(run / "EvaluateMsi/evaluation/evaluation.json"),
                }
            }
        },
        "CustomerMetadataProperties": metadata,
    }
    return sagemaker.create_model_package(**request)["ModelPackageArn"]
