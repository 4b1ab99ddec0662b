"""What people call the columns of a table of labels, in several languages."""

from __future__ import annotations

import re
import unicodedata

SURE_FILE = ("file_path_abs", "file_name", "filename", "path")
FILE_WORDS = (
    *SURE_FILE, "file_path", "filepath", "file", "files", "image", "images", "img", "imgs", "image_name", "imagename",
    "image_path", "imagepath", "img_name", "img_path", "image_file", "img_file", "image_filename", "fname", "fpath",
    "image_id", "imageid", "img_id", "id", "picture", "photo", "pic", "name", "uri", "url", "image_url", "image_uri",
    "source", "key", "x", "sample", "frame", "image_index", "filename_jpg", "isic_id", "bild", "datei", "dateiname",
    "pfad", "foto", "fichier", "chemin", "nom_fichier", "archivo", "imagen", "ruta", "fichero", "arquivo", "imagem",
    "caminho", "immagine", "percorso", "afbeelding", "bestand", "plik", "obraz", "файл", "имя_файла", "изображение",
    "путь", "картинка", "ファイル", "ファイル名", "画像", "画像名", "文件", "文件名", "图片", "图像", "路径", "檔名",
    "파일", "파일명", "이미지",
)  # fmt: skip
"""By rank: of columns that name as many files, the first is taken."""
FOLDER_WORDS = frozenset(
    {
        "folder", "dir", "directory", "subfolder", "subdir", "sub_dir", "folder_name", "foldername", "dirname", "root",
        "root_path", "base", "parent", "image_dir", "image_folder", "img_dir", "path", "location", "ordner",
        "verzeichnis", "dossier", "carpeta", "pasta", "cartella", "map", "папка", "フォルダ", "文件夹", "폴더",
    }
)  # fmt: skip
SURE_LABEL = ("label", "class_name")
LABEL_WORDS = frozenset(
    {
        *SURE_LABEL,
        "labels", "class", "classes", "classname", "class_label", "category", "categories", "category_name", "target",
        "targets", "species", "diagnosis", "diagnoses", "dx", "breed", "label_name", "ground_truth", "gt",
        "groundtruth", "truth", "true_label", "gt_label", "annotation", "annotations", "choice", "finding",
        "findings", "finding_labels", "y_true", "common_name", "scientific_name", "taxon", "klasse", "klassenname",
        "kategorie", "etikett", "bezeichnung", "diagnose", "classe", "catégorie", "categorie", "étiquette",
        "etiquette", "espèce", "espece", "clase", "categoría", "categoria", "etiqueta", "especie", "espécie",
        "rótulo", "etichetta", "specie", "klass", "kategori", "etiket", "klasa", "kategoria", "gatunek", "etykieta",
        "класс", "категория", "метка", "вид", "ラベル", "クラス", "カテゴリ", "カテゴリー",
        "标签", "類別", "类别", "分类", "标注", "라벨",
        "레이블", "클래스", "카테고리",
    }
)  # fmt: skip
WEAK_LABEL_WORDS = frozenset(
    {
        "name", "y", "type", "title", "art", "kind", "variety", "value", "result", "output", "answer",
        "attribute", "attributes", "object", "animal", "plant", "subclass", "genus", "family", "level", "grade", "tipo",
        "typ", "nom", "nome", "nombre", "soort", "тип", "种类", "種類", "종류", "名称",
    }
)  # fmt: skip
_TAXONOMY = frozenset({"kingdom", "phylum", "order", "family", "genus"})
_LABEL_PARTS = frozenset(
    {"label", "labels", "class", "category", "species", "target", "diagnosis", "annotation", "tag", "tags"}
)
PREDICTED = frozenset(
    {
        "predicted", "prediction", "predictions", "pred", "preds", "predicted_label", "predicted_class", "pred_label",
        "pred_class", "prediction_label", "y_pred", "model_label", "model_prediction", "top1",
    }
)  # fmt: skip
CONFIDENCE = ("confidence", "score", "probability", "prob", "conf", "certainty", "prediction_score", "pred_score")
SPLIT_COLUMNS = frozenset(
    {
        "split", "splits", "set", "subset", "fold", "partition", "usage", "phase", "data_set", "dataset", "data_split",
        "split_name", "mode", "aufteilung", "set_name",
    }
)  # fmt: skip
SPLIT_FLAGS = {"is_valid": "val", "is_val": "val", "is_validation": "val", "is_test": "test"}
"""Columns of yes and no, as fastai writes them, and the split that yes means; no is the training split."""
NO_GROUPS = (
    "label_source", "confidence", "annotation_source", "round", "model", "reviewed", "reviewed_by", "reviewed_at",
    "split", "id", "image_id", "sha256", "width", "height",
)  # fmt: skip
NO_LABELS = frozenset(
    {
        *NO_GROUPS, *SPLIT_FLAGS, *CONFIDENCE, "size", "bytes", "date", "time", "datetime", "timestamp", "created_at",
        "updated_at", "lead_time", "annotator", "annotation_id", "annotator_id", "annotated_by", "author", "user",
        "camera", "device", "make", "lens", "iso", "exposure", "lat", "lon", "lng", "latitude", "longitude", "gps",
        "altitude", "location", "place", "country", "site", "license", "licence", "copyright", "url", "source", "md5",
        "sha1", "hash", "checksum", "age", "sex", "gender", "weight", "count", "index", "row", "no", "nr", "number",
        "x", "xmin", "ymin", "xmax", "ymax", "x_min", "y_min", "x_max", "y_max", "bbox", "area", "channels", "depth",
        "mode", "format", "extension", "ext", "mime", "mimetype", "type_of_file", "comment", "comments", "note",
        "notes", "bemerkung", "remark", "remarks", "description", "caption", "text", "orientation", "comment_text",
        "is_train", "train", "usable", "flagged", "skipped", "verified", "crowd", "iscrowd", "difficult", "truncated",
        "occluded", "datum", "zeit", "kamera", "ort",
    }
)  # fmt: skip


def plain(header: str) -> str:
    """Return what two headers share that differ only in case, separators or accent form."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", unicodedata.normalize("NFC", header.strip()))
    return re.sub(r"\W+", "_", apart.casefold()).strip("_")


def is_file_header(header: str) -> bool:
    """Return whether columns of this name hold files."""
    return header.strip().casefold() in FILE_WORDS or plain(header) in FILE_WORDS


def is_label_header(header: str) -> bool:
    """Return whether columns of this name hold labels."""
    return label_rank(header) <= 2


def label_rank(header: str, others: frozenset[str] = frozenset()) -> int:
    """Return how surely columns of this name hold labels: 0 always, 1 and 2 nearly, 3 perhaps, 4 unknown, 5 not.

    Args:
        header: as written.
        others: all headers of the table, as `plain` makes them; beside an order and a genus a class is no label.
    """
    folded, word = header.strip().casefold(), plain(header)
    if folded in SURE_LABEL:
        return 0
    if word == "class" and len(others & _TAXONOMY) > 1:
        return 3
    if word in NO_LABELS or word in PREDICTED or word in SPLIT_COLUMNS:
        return 5
    if folded in LABEL_WORDS or word in LABEL_WORDS:
        return 1
    if set(word.split("_")) & _LABEL_PARTS:
        return 2
    return 3 if folded in WEAK_LABEL_WORDS or word in WEAK_LABEL_WORDS else 4


def file_rank(header: str) -> int:
    """Return the place of a header among the names of file columns, the likeliest first."""
    for word in (header.strip().casefold(), plain(header)):
        if word in FILE_WORDS:
            return FILE_WORDS.index(word)
    return len(FILE_WORDS)


def says_folder(header: str) -> bool:
    """Return whether columns of this name hold folders and nothing else."""
    return plain(header) in FOLDER_WORDS and not is_file_header(header)
