"""Exports as the tools write them, shortened; and a view of them beside images that are only named."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.importers.source_view import SourceView

LABEL_STUDIO: list[dict[str, Any]] = [
    {
        "id": 4,
        "annotations": [
            {
                "id": 9,
                "completed_by": 1,
                "result": [
                    {
                        "id": "EmgEjJhhLj", "type": "choices", "value": {"choices": ["cat"]}, "origin": "manual",
                        "to_name": "image", "from_name": "choice",
                    }
                ],
                "was_cancelled": False, "ground_truth": False, "created_at": "2022-11-04T18:50:53.017134Z",
                "lead_time": 10.744, "task": 4, "parent_prediction": None, "parent_annotation": None,
            }
        ],
        "file_upload": "a1b2c3d4-000.png", "drafts": [], "predictions": [],
        "data": {"image": "/data/upload/1/a1b2c3d4-000.png"}, "meta": {}, "inner_id": 1, "total_annotations": 1,
        "cancelled_annotations": 0, "total_predictions": 0, "project": 3,
    },
    {
        "data": {"image": "/data/upload/1/b1b2c3d4-001.png"},
        "predictions": [
            {
                "model_version": "m1", "score": 0.81,
                "result": [
                    {"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": ["dog"]}}
                ],
            }
        ],
    },
]  # fmt: skip
LABEL_STUDIO_MIN: list[dict[str, Any]] = [
    {
        "image": "/data/upload/1/a1b2c3d4-000.png", "id": 1, "choice": "cat", "annotator": 1, "annotation_id": 1,
        "created_at": None, "updated_at": None, "lead_time": 1.2,
    },
    {
        "image": "/data/upload/1/b1b2c3d4-001.png", "id": 2, "choice": {"choices": ["dog", "owl"]}, "annotator": 1,
        "annotation_id": 2, "created_at": None, "updated_at": None, "lead_time": 1.2,
    },
]  # fmt: skip
FIFTYONE: dict[str, Any] = {
    "classes": ["cat", "dog", "owl"],
    "labels": {"000": 0, "001": [1, 2], "002": {"label": 1, "confidence": 0.93}, "006": None},
}
COCO: dict[str, Any] = {
    "info": {"year": 2024, "version": "1.0"},
    "licenses": [],
    "images": [
        {"id": 1, "file_name": "000.png", "width": 32, "height": 32, "seq_id": "s1", "location": 7},
        {"id": 2, "file_name": "001.png", "width": 32, "height": 32, "seq_id": "s1", "location": 7},
        {"id": 3, "file_name": "002.png", "width": 32, "height": 32, "seq_id": "s2", "location": 7},
        {"id": 4, "file_name": "006.png", "width": 32, "height": 32},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [5, 5, 5, 5], "area": 25, "iscrowd": 0},
        {"id": 3, "image_id": 2, "category_id": 1},
        {"id": 4, "image_id": 2, "category_id": 2},
        {"id": 5, "image_id": 3, "category_id": 2},
    ],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "owl"}],
}
DATUMARO: dict[str, Any] = {
    "dm_format_version": "1.0",
    "media_type": 2,
    "infos": {},
    "categories": {
        "label": {
            "labels": [
                {"name": "cat", "parent": "", "attributes": []},
                {"name": "dog", "parent": "", "attributes": []},
            ],
            "label_groups": [],
            "attributes": [],
        }
    },
    "items": [
        {
            "id": "000",
            "annotations": [{"id": 0, "type": "label", "attributes": {}, "group": 0, "label_id": 0}],
            "image": {"path": "000.png", "size": [32, 32]},
        },
        {"id": "006", "annotations": [], "image": {"path": "006.png", "size": [32, 32]}},
    ],
}
MEGADETECTOR: dict[str, Any] = {
    "info": {"format_version": "1.6", "detector": "MDV5A"},
    "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
    "classification_categories": {"1": "elk", "3": "bear"},
    "images": [
        {
            "file": "000.png",
            "detections": [
                {"category": "1", "conf": 0.061, "bbox": [0.0451, 0.1849, 0.3642, 0.4636]},
                {
                    "category": "1", "conf": 0.926, "bbox": [0.0, 0.2762, 0.1539, 0.2825],
                    "classifications": [["3", 0.901], ["1", 0.071]],
                },
            ],
        },
        {"file": "001.png", "detections": [{"category": "2", "conf": 0.8, "bbox": [0, 0, 1, 1]}]},
        {"file": "002.png", "detections": []},
        {"file": "006.png", "failure": "Failure image access", "detections": None},
    ],
}  # fmt: skip
SPECIESNET: dict[str, Any] = {
    "predictions": [
        {
            "filepath": "000.png",
            "classifications": {"classes": ["x;mammalia;;;;;mammal"], "scores": [0.5]},
            "detections": [{"category": "1", "label": "animal", "conf": 0.9353, "bbox": [0.7, 0.4, 0.1, 0.1]}],
            "prediction": "55631055-3e0e-4b7a-9612-dedebe9f78b0;mammalia;proboscidea;elephantidae;loxodonta;africana;"
            "african elephant",
            "prediction_score": 0.9923,
            "prediction_source": "classifier",
            "model_version": "4.0.1a",
        },
        {
            "filepath": "001.png",
            "classifications": {"classes": ["f1856211-cfb7-4a5b-9158-c0f72fd09ee6;;;;;;blank"], "scores": [0.7]},
            "model_version": "4.0.1a",
        },
        {"filepath": "006.png", "failures": ["CLASSIFIER", "DETECTOR"], "model_version": "4.0.1a"},
    ]
}
SAGEMAKER: list[dict[str, Any]] = [
    {
        "source-ref": "s3://bucket/pictures/000.png",
        "sport": 0,
        "sport-metadata": {
            "class-name": "football", "confidence": 0.00, "type": "groundtruth/image-classification",
            "job-name": "identify-sport", "human-annotated": "yes", "creation-date": "2018-10-18T22:18:13.527256",
        },
    },
    {
        "source-ref": "s3://bucket/pictures/001.png",
        "sport": 1,
        "sport-metadata": {
            "class-name": "tennis", "confidence": 0.87, "type": "groundtruth/image-classification",
            "job-name": "identify-sport", "human-annotated": "no", "creation-date": "2018-10-18T22:18:13.527256",
        },
    },
]  # fmt: skip
SAGEMAKER_SEVERAL: list[dict[str, Any]] = [
    {
        "source-ref": "s3://bucket/000.png",
        "things": [1, 0, 8],
        "things-metadata": {
            "job-name": "labeling-job/things", "class-map": {"1": "bicycle", "0": "person", "8": "clothing"},
            "human-annotated": "yes", "creation-date": "2020-02-27T21:36:25.000201",
            "confidence-map": {"1": 0.95, "0": 0.77, "8": 0.2}, "type": "groundtruth/image-classification-multilabel",
        },
    }
]  # fmt: skip
VERTEX: list[dict[str, Any]] = [
    {
        "imageGcsUri": "gs://bucket/set/000.png",
        "classificationAnnotation": {
            "displayName": "cat", "annotationResourceLabels": {"aiplatform.googleapis.com/annotation_set_name": "8"},
        },
        "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "training"},
    },
    {
        "imageGcsUri": "gs://bucket/set/001.png",
        "classificationAnnotations": [{"displayName": "dog"}, {"displayName": "owl"}],
        "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "validation"},
    },
    {
        "imageGcsUri": "gs://bucket/set/002.png",
        "classificationAnnotation": {"displayName": "dog"},
        "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "test"},
    },
    {"imageGcsUri": "gs://bucket/set/006.png", "dataItemResourceLabels": {}},
]  # fmt: skip
AZURE: list[dict[str, Any]] = [
    {
        "image_url": "azureml://subscriptions/s/resourcegroups/r/workspaces/w/datastores/d/paths/set/000.png",
        "image_details": {"format": "png", "width": "400px", "height": 258},
        "label": "cat",
    },
    {"image_url": "AmlDatastore://set/001.png", "label": ["dog", "owl"], "label_confidence": [0.7, 1.0]},
    {"image_url": "AmlDatastore://set/002.png", "label": ["dog"], "label_confidence": [1.0]},
]
IMAGES = ("000.png", "001.png", "002.png", "006.png")


def lines(records: Sequence[object]) -> str:
    return "".join(f"{json.dumps(one)}\n" for one in records)


def view(folder: Path, images: Sequence[str], files: Mapping[str, object]) -> SourceView:
    """A source of these images and files; a text or bytes is a file's content, anything else is written as JSON."""
    staged = {}
    for number, (name, content) in enumerate(files.items()):
        path = folder / f"{number}"
        if not isinstance(content, bytes):
            content = (content if isinstance(content, str) else json.dumps(content)).encode()
        path.write_bytes(content)
        staged[name] = path
    return SourceView(tuple(sorted(images)), frozenset((*images, *files)), staged)
