"""Tables as people and tools write them, each a real small file: what comes back, and what is asked."""

import io
import json

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import ImportRefused
from engine.importers.labeling import Labeling
from engine.importers.scan import read_again
from engine.importers.tables import rows
from engine.records.imports import GivenPrediction
from tests.engine.importers.import_samples import Importer, labels, png, reasons
from tests.engine.importers.table_samples import asked, doubts, read_files, read_text

IMAGES = [f"images/{number}.jpg" for number in range(6)]
CLASSES = ["cat", "dog"] * 3
RIGHT = dict(zip(IMAGES, CLASSES, strict=True))

KNOWN = [
    "image,class", "image_id,label", "file,category", "img,target", "path,species", "Filename,Class", "id,diagnosis",
    "filename,class", "image_name,label", "ImageID,LabelName", "name,label", "picture,annotation", "image_path,label",
    "url,label", "file_path,y", "FilePath,Ground Truth", "image,level", "id,breed", "fname,labels",
    "Image Index,Finding Labels",
    "image_path,class_id", "img_name,tags", "picture,type", "x,y", "key,value", "photo,title", "source,target",
    "Bild,Klasse", "fichier,classe", "archivo,etiqueta", "ファイル名,クラス", "文件名,类别", "файл,метка",
]  # fmt: skip
UNKNOWN = ["foo,bar", "Image,Id", "name,name2", "filename,description", "filename,location"]


def table(header: str, separator: str = ",", suffix: str = ".jpg") -> str:
    rows = (f"{number}{suffix}{separator}{CLASSES[number]}\n" for number in range(6))
    return header.replace(",", separator) + "\n" + "".join(rows)


@pytest.mark.parametrize("suffix", [".jpg", ""])
@pytest.mark.parametrize("header", KNOWN)
def test_a_header_that_people_use_is_read_without_a_doubt(header: str, suffix: str) -> None:
    labeling = read_text(table(header, suffix=suffix), IMAGES)
    assert (labeling.labels, labeling.refused) == (RIGHT, ())
    assert doubts(labeling) == set()


@pytest.mark.parametrize("suffix", [".jpg", ""])
@pytest.mark.parametrize("header", UNKNOWN)
def test_a_header_that_says_nothing_is_proposed_by_its_cells_and_asked(header: str, suffix: str) -> None:
    labeling = read_text(table(header, suffix=suffix), IMAGES)
    assert labeling.labels == RIGHT
    assert "label_column" in doubts(labeling)


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "txt", "psv"])
def test_the_separator_is_found_by_what_its_cells_name(separator: str, ending: str) -> None:
    assert read_text(table("image,class", separator), IMAGES, f"labels.{ending}").labels == RIGHT


def test_excel_s_first_line_says_the_separator() -> None:
    assert read_text("sep=;\r\n" + table("image,class", ";"), IMAGES).labels == RIGHT


def test_a_table_without_a_header_loses_no_row() -> None:
    labeling = read_text(table("x,y").partition("\n")[2], IMAGES)
    assert labeling.labels == RIGHT
    assert any("no header" in notice for notice in labeling.notices)
    question = asked(labeling, "label_column")
    assert question is not None
    assert question.options[0] == ("column 2", "column 2: cat, dog, cat, dog, cat")


def test_a_table_without_a_header_and_without_endings_loses_no_row() -> None:
    images = [f"{number:03d}be.png" for number in range(6)]
    text = "".join(f"{number:03d}be,{CLASSES[number]}\n" for number in range(6))
    assert read_text(text, images).labels == dict(zip(images, CLASSES, strict=True))


def test_a_stem_that_two_images_have_names_none() -> None:
    labeling = read_text("id,label\n0,cat\n1,dog\n", ["0.jpg", "0.png", "1.jpg"])
    assert labeling.labels == {"1.jpg": "dog"}
    assert labeling.refused[0].reason == "several files have this name"


def test_a_stem_names_the_image_and_not_the_text_beside_it() -> None:
    labeling = read_files({"l.csv": b"id,label\n0,cat\n", "0.txt": b"x", "0.json": b"{}"}, ["0.jpg"])
    assert labeling.labels == {"0.jpg": "cat"}


@pytest.mark.parametrize(
    "cell",
    [
        "https://host.example/set/images/0.jpg?raw=1", "gs://bucket/images/0.jpg", "s3://b/x/y/0.jpg", "file:///0.jpg",
        "C:\\me\\images\\0.jpg", "images\\0.jpg", "/data/upload/1/a1b2c3d4-0.jpg",
        "/data/local-files/?d=images/0.jpg", " 0.jpg", "https://host.example/images%2F0.jpg",
    ],
)  # fmt: skip
def test_addresses_and_paths_of_other_machines_name_the_image(cell: str) -> None:
    assert read_text(f"image,label\n{cell},cat\n1.jpg,dog\n", IMAGES).labels == {IMAGES[0]: "cat", IMAGES[1]: "dog"}


def test_a_prefix_is_taken_off_only_where_that_alone_names_a_file() -> None:
    images = ["a1b2c3d4-0.jpg", "0.jpg", "x/1.jpg", "y/1.jpg"]
    text = "image,choice\n/data/upload/1/a1b2c3d4-0.jpg,cat\n/data/upload/1/a1b2c3d5-1.jpg,dog\n"
    labeling = read_text(text, images)
    assert labeling.labels == {"a1b2c3d4-0.jpg": "cat"}
    assert len(labeling.refused) == 1


def test_the_column_whose_cells_name_files_counts_and_not_the_one_that_comes_first() -> None:
    rows = "".join(f"{number},{CLASSES[number]},{5 - number}.jpg\n" for number in range(6))
    labeling = read_text("id,label,image\n" + rows, IMAGES)
    assert labeling.labels == {IMAGES[5 - number]: CLASSES[number] for number in range(6)}


def test_two_columns_that_name_other_files_are_asked_and_the_answer_counts() -> None:
    rows = "".join(f"{number}.jpg,{5 - number}.jpg,{CLASSES[number]}\n" for number in range(6))
    text = "left,right,label\n" + rows
    labeling = read_text(text, IMAGES)
    assert "file_column" in doubts(labeling)
    other = read_text(text, IMAGES, answers={"file_column": "right"})
    assert other.labels == {IMAGES[5 - number]: CLASSES[number] for number in range(6)}
    assert "file_column" not in doubts(other)


@pytest.mark.parametrize("header", ["folder,file,label", "dir,name,label", "class,file,label", "where,image,label"])
def test_a_column_of_folders_joins_the_file_where_that_names_more(header: str) -> None:
    images = [f"set/{folder}/{number}.jpg" for folder in "ab" for number in range(3)]
    rows = "".join(f"{folder},{number}.jpg,{folder * 2}\n" for folder in "ab" for number in range(3))
    labeling = read_text(header + "\n" + rows, images)
    assert labeling.labels == {name: name.split("/")[1] * 2 for name in images}


def test_a_folder_that_is_the_class_is_both() -> None:
    images = [f"{folder}/{number}.jpg" for folder in ("cat", "dog") for number in range(3)]
    rows = "".join(f"{folder},{number}.jpg\n" for folder in ("cat", "dog") for number in range(3))
    assert read_text("class,file\n" + rows, images).labels == {name: name.split("/")[0] for name in images}


def test_the_label_column_can_be_chosen_and_left_out() -> None:
    text = "image,color,mood\n" + "".join(
        f"{number}.jpg,{'rgb'[number % 3]},{CLASSES[number]}\n" for number in range(6)
    )
    proposed = read_text(text, IMAGES)
    assert "label_column" in doubts(proposed)
    question = asked(proposed, "label_column")
    assert question is not None
    assert ("mood", "mood: cat, dog, cat, dog, cat") in question.options
    chosen = read_text(text, IMAGES, answers={"label_column": "mood"})
    assert (chosen.labels, doubts(chosen)) == (RIGHT, set())
    assert chosen.columns == {"color": {name: "rgb"[at % 3] for at, name in enumerate(IMAGES)}}
    assert read_text(text, IMAGES, answers={"label_column": "none"}).labels == {}


def test_measures_dates_and_cameras_are_no_labels() -> None:
    text = "image,width,camera,taken,species\n" + "".join(
        f"{number}.jpg,{64},X100,2024-01-0{number % 2 + 1},{CLASSES[number]}\n" for number in range(6)
    )
    labeling = read_text(text, IMAGES)
    assert (labeling.labels, doubts(labeling)) == (RIGHT, set())


def test_a_number_and_a_name_of_each_class_give_the_name() -> None:
    text = "image,class_id,class\n" + "".join(f"{n}.jpg,{n % 2},{CLASSES[n]}\n" for n in range(6))
    labeling = read_text(text, IMAGES)
    assert (labeling.labels, doubts(labeling)) == (RIGHT, set())


def test_two_columns_that_could_be_labels_are_asked() -> None:
    text = "image,category,species\n" + "".join(f"{n}.jpg,pet,{CLASSES[n]}\n" for n in range(6))
    assert "label_column" in doubts(read_text(text, IMAGES))
    assert read_text(text, IMAGES, answers={"label_column": "species"}).labels == RIGHT


def test_numbered_columns_of_labels_never_become_one_class() -> None:
    labeling = read_text("image,label_1,label_2\n0.jpg,cat,cat\n1.jpg,cat,dog\n2.jpg,dog,\n", IMAGES)
    assert labeling.labels == {IMAGES[0]: "cat", IMAGES[2]: "dog"}
    assert labeling.conflicts == {IMAGES[1]: ("cat", "dog")}
    assert "label_column" in doubts(labeling)
    first = read_text("image,label_1,label_2\n1.jpg,cat,dog\n", IMAGES, answers={"label_column": "label_1"})
    assert first.labels == {IMAGES[1]: "cat"}


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("1.0", "0.0"), ("True", "False"), (" 1", " 0")])
def test_columns_of_0_and_1_are_one_class_each(yes: str, no: str) -> None:
    rows = "".join(f"{n}.jpg,{(yes, no)[n % 2]},{(no, yes)[n % 2]},{no}\n" for n in range(6))
    labeling = read_text("filename, cat, dog, grey owl\n" + rows, IMAGES, "images/_classes.csv")
    assert (labeling.labels, labeling.conflicts) == (RIGHT, {})
    assert doubts(labeling) == set()


def test_rows_of_several_ones_have_several_labels_and_rows_of_none_have_none() -> None:
    labeling = read_text("image,cat,dog,owl\n0.jpg,1,0,0\n1.jpg,1,0,1\n2.jpg,0,0,0\n", IMAGES)
    assert labeling.labels == {IMAGES[0]: "cat"}
    assert labeling.conflicts == {IMAGES[1]: ("cat", "owl")}
    assert "label_column" in doubts(labeling)


def test_a_yes_or_no_beside_a_label_is_no_class() -> None:
    text = "image,label,reviewed,good\n" + "".join(f"{n}.jpg,{CLASSES[n]},{n % 2},{1 - n % 2}\n" for n in range(6))
    labeling = read_text(text, IMAGES)
    assert (labeling.labels, doubts(labeling)) == (RIGHT, set())


SEVERAL = ["cat,outdoor", "cat|outdoor", "cat;outdoor", "cat ; outdoor", '["cat", "outdoor"]', "['cat', 'outdoor']"]


@pytest.mark.parametrize("cell", SEVERAL)
def test_several_labels_in_a_cell_never_become_one_class(cell: str) -> None:
    quoted = cell.replace('"', '""')
    text = f'image,tags\n0.jpg,"{quoted}"\n1.jpg,cat\n2.jpg,dog\n3.jpg,"{quoted}"\n'
    labeling = read_text(text, IMAGES)
    assert labeling.labels == {IMAGES[1]: "cat", IMAGES[2]: "dog"}
    assert labeling.conflicts == {IMAGES[0]: ("cat", "outdoor"), IMAGES[3]: ("cat", "outdoor")}
    assert "several" in doubts(labeling)
    first = read_text(text, IMAGES, answers={"several": "first"})
    assert first.labels == {IMAGES[0]: "cat", IMAGES[1]: "cat", IMAGES[2]: "dog", IMAGES[3]: "cat"}
    whole = read_text(text, IMAGES, answers={"several": "whole"})
    assert whole.labels[IMAGES[0]] == cell
    assert doubts(first) == doubts(whole) == set()


def test_commas_in_class_names_stay_where_no_part_is_a_class() -> None:
    text = 'image,label\n0.jpg,"cat, domestic"\n1.jpg,"cat, domestic"\n2.jpg,"dog, wild"\n'
    labeling = read_text(text, IMAGES)
    assert set(labeling.labels.values()) == {"cat, domestic", "dog, wild"}
    assert (labeling.conflicts, doubts(labeling)) == ({}, set())


def test_parts_that_mix_with_each_other_are_asked_where_commas_separate_them() -> None:
    cells = ["cat,outdoor", "cat,indoor", "dog,outdoor", "dog,indoor"]
    text = "image,label\n" + "".join(f'{n}.jpg,"{cell}"\n' for n, cell in enumerate(cells))
    labeling = read_text(text, IMAGES)
    assert "several" in doubts(labeling)
    left = read_text(text, IMAGES, answers={"several": "leave"})
    assert (left.labels, len(left.conflicts)) == ({}, 4)


@pytest.mark.parametrize("separator", ["|", ";"])
def test_bars_in_most_cells_separate_labels_even_where_no_part_is_a_class(separator: str) -> None:
    cells = [f"cat{separator}outdoor", f"cat{separator}indoor", f"dog{separator}outdoor"]
    text = "image\tlabel\n" + "".join(f"{n}.jpg\t{cell}\n" for n, cell in enumerate(cells))
    labeling = read_text(text, IMAGES)
    assert (labeling.labels, len(labeling.conflicts)) == ({}, 3)
    assert "several" in doubts(labeling)


def test_words_in_a_column_of_tags_are_several_labels() -> None:
    cells = ["clear primary", "haze primary", "clear water", "haze water road", "clear road", "primary"]
    text = "image_name,tags\n" + "".join(f"{n},{cell}\n" for n, cell in enumerate(cells))
    labeling = read_text(text, IMAGES)
    assert labeling.labels == {IMAGES[5]: "primary"}
    assert "several" in doubts(labeling)


def test_a_list_of_one_is_its_label_and_an_empty_one_is_none() -> None:
    labeling = read_text('image\tlabels\n0.jpg\t["cat"]\n1.jpg\t[]\n2.jpg\tdog\n', IMAGES)
    assert labeling.labels == {IMAGES[0]: "cat", IMAGES[2]: "dog"}


@pytest.mark.parametrize("header", ["split", "set", "subset", "Usage", "phase", "whatever"])
def test_a_column_of_splits_is_found_by_its_words(header: str) -> None:
    words = ["train", "train", "val", "Validation", "test", "TEST"]
    text = f"image,label,{header}\n" + "".join(f"{n}.jpg,{CLASSES[n]},{words[n]}\n" for n in range(6))
    labeling = read_text(text, IMAGES)
    assert labeling.labels == RIGHT
    assert list(labeling.splits.values()) == ["train", "train", "val", "val", "test", "test"]
    assert labeling.test == {IMAGES[4], IMAGES[5]}


def test_folds_are_no_splits() -> None:
    labeling = read_text("image,label,fold\n0.jpg,cat,0\n1.jpg,dog,1\n", IMAGES)
    assert labeling.splits == {}
    assert labeling.columns == {"fold": {IMAGES[0]: "0", IMAGES[1]: "1"}}


def test_a_column_is_valid_says_the_split() -> None:
    labeling = read_text("image,label,is_valid\n0.jpg,cat,False\n1.jpg,dog,True\n", IMAGES)
    assert labeling.splits == {IMAGES[0]: "train", IMAGES[1]: "val"}


def test_the_name_of_a_table_or_its_folder_says_the_split() -> None:
    files = {"train_labels.csv": b"image,label\n0.jpg,cat\n", "test.csv": b"image,label\n1.jpg,dog\n",
             "val/_classes.csv": b"image,label\n2.jpg,dog\n"}  # fmt: skip
    labeling = read_files(files, IMAGES)
    assert labeling.splits == {IMAGES[0]: "train", IMAGES[1]: "test", IMAGES[2]: "val"}
    assert labeling.test == {IMAGES[1]}


def test_what_a_model_said_is_a_prediction_and_no_label() -> None:
    text = "image,label,predicted,confidence\n0.jpg,cat,dog,0.75\n1.jpg,,dog,60%\n2.jpg,cat,,\n3.jpg,,owl,nan\n"
    labeling = read_text(text, IMAGES)
    assert labeling.labels == {IMAGES[0]: "cat", IMAGES[2]: "cat"}
    assert labeling.predictions == {
        IMAGES[0]: GivenPrediction("dog", 0.75), IMAGES[1]: GivenPrediction("dog", 0.6),
        IMAGES[3]: GivenPrediction("owl"),
    }  # fmt: skip


def test_a_prediction_alone_is_no_label_unless_it_is_chosen() -> None:
    text = "image,prediction\n0.jpg,cat\n1.jpg,dog\n2.jpg,cat\n3.jpg,dog\n"
    labeling = read_text(text, IMAGES)
    assert (labeling.labels, len(labeling.predictions)) == ({}, 4)
    assert read_text(text, IMAGES, answers={"label_column": "prediction"}).labels[IMAGES[0]] == "cat"


ENCODED = [
    ("größe", "cp1252"), ("größe", "latin-1"), ("größe", "mac_roman"), ("Käfer", "cp850"), ("кошка", "cp1251"),
    ("кошка собака", "koi8-r"), ("犬と猫", "cp932"), ("猫科动物", "gbk"), ("고양이", "cp949"), ("γάτα", "cp1253"),
    ("chaton élégant œuvre", "cp1252"),
]  # fmt: skip


@pytest.mark.parametrize(("label", "encoding"), ENCODED)
def test_an_encoding_nobody_wrote_down_is_guessed_shown_and_can_be_changed(label: str, encoding: str) -> None:
    text = f"image,label\n0.jpg,{label}\n1.jpg,dog\n".encode(encoding)
    labeling = read_text(text, IMAGES)
    assert labeling.labels == {IMAGES[0]: label, IMAGES[1]: "dog"}
    assert "encoding:labels.csv" in doubts(labeling)
    assert any(label in notice for notice in labeling.notices)
    question = asked(labeling, "encoding:labels.csv")
    assert question is not None
    other = next(key for key, _ in question.options if key != question.chosen)
    changed = read_text(text, IMAGES, answers={"encoding:labels.csv": other})
    assert changed.labels[IMAGES[0]] != label
    assert changed.labels[IMAGES[1]] == "dog"


def test_an_encoding_that_was_guessed_wrong_can_be_put_right() -> None:
    text = "image,label\n0.jpg,żółw\n".encode("cp1250")
    assert read_text(text, IMAGES, answers={"encoding:labels.csv": "cp1250"}).labels == {IMAGES[0]: "żółw"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_wide_encodings_are_read_with_and_without_a_mark(encoding: str) -> None:
    text = table("image,class").replace("cat", "größe").encode(encoding)
    labeling = read_text(text, IMAGES)
    assert labeling.labels[IMAGES[0]] == "größe"
    assert doubts(labeling) == set()


def workbook(*sheets: list[list[object]], formats: dict[str, str] | None = None) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, cells in enumerate(sheets):
        sheet = book.create_sheet(f"S{number}")
        for row in cells:
            sheet.append(row)
        for cell, shape in (formats or {}).items():
            sheet[cell].number_format = shape
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_workbook_gives_its_cells_as_they_are_shown() -> None:
    rows = [
        ["image", "label"],
        ["0.jpg", 7],
        ["1.jpg", 7.0],
        ["2.jpg", "007"],
        ["3.jpg", True],
        ["4.jpg", 7],
        ["5.jpg"],
    ]
    labeling = read_files({"l.xlsx": workbook(rows, formats={"B6": "000"})}, IMAGES)
    assert list(labeling.labels.values()) == ["7", "7", "007", "TRUE", "007"]
    assert (labeling.layout, labeling.refused) == ("images + table", ())


def test_a_character_that_a_workbook_holds_by_its_number_is_that_character() -> None:
    # pandas and openpyxl write texts as they are: what Excel shows of this is "A" and "_x0041_"
    rows: list[list[object]] = [["file", "label"], ["1.jpg", "_x0041_"], ["2.jpg", "_x005F_x0041_"]]
    assert read_files({"l.xlsx": workbook(rows)}, ["1.jpg", "2.jpg"]).labels == {"1.jpg": "A", "2.jpg": "_x0041_"}


def test_every_sheet_of_a_workbook_counts_and_a_title_above_is_told() -> None:
    first = [["My birds"], [], ["image", "label"], ["0.jpg", "cat"]]
    second = [["image", "label"], ["1.jpg", "dog"], ["9.jpg", "dog"]]
    labeling = read_files({"l.xlsx": workbook(first, second)}, IMAGES)
    assert labeling.labels == {IMAGES[0]: "cat", IMAGES[1]: "dog"}
    assert any("My birds" in notice for notice in labeling.notices)
    assert labeling.refused[0].name == "l.xlsx, sheet “S1”, row 3: 9.jpg"


def test_formulas_that_were_never_calculated_and_damaged_workbooks_are_refused() -> None:
    rows: list[list[object]] = [["image", "label"], ["0.jpg", '="c"&"at"']]
    with pytest.raises(ImportRefused, match="never calculated"):
        read_files({"l.xlsx": workbook(rows)}, IMAGES)
    with pytest.raises(ImportRefused, match="damaged or locked"):
        read_files({"l.xlsx": b"PK\3\4" + bytes(60)}, IMAGES)
    with pytest.raises(ImportRefused, match="damaged or locked"):
        read_files({"l.xlsx": workbook(rows)[:-200]}, IMAGES)


def jsonl(*records: object) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def test_lines_of_records_are_read_and_what_is_none_is_refused() -> None:
    data = jsonl({"image": "0.jpg", "label": "cat"}, {"image": "1.jpg", "label": None}, {"label": 7, "image": "2.jpg"})
    labeling = read_files({"l.jsonl": data + b"{oops\n"}, IMAGES)
    assert labeling.labels == {IMAGES[0]: "cat", IMAGES[2]: "7"}
    assert labeling.refused[0].name == "l.jsonl, row 4"


def test_a_list_of_records_is_read_with_lists_as_several_labels() -> None:
    records = [{"image": "0.jpg", "tags": ["cat"]}, {"image": "1.jpg", "tags": ["cat", "dog"]}, {"image": "2.jpg"}]
    labeling = read_files({"l.json": json.dumps(records).encode()}, IMAGES)
    assert labeling.labels == {IMAGES[0]: "cat"}
    assert labeling.conflicts == {IMAGES[1]: ("cat", "dog")}


@pytest.mark.parametrize("data", [b"{}", b"[]", b"[1, 2]", b'{"images": []}', b"[{", b'[{"a": 1}]', b'"x"', b""])
def test_other_json_is_no_table(data: bytes) -> None:
    with pytest.raises(ImportRefused, match="no table"):
        read_files({"l.json": data}, IMAGES)


def parquet(columns: dict[str, object]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("column", "right"),
    [
        (pa.array(["cat", "007", None]), ["cat", "007"]),
        (pa.array([1.0, 0.5, None]), ["1", "0.5"]),
        (pa.array([0.1, 2.0, None], pa.float32()), ["0.1", "2"]),
        (pa.array([3, 4, None], pa.int8()), ["3", "4"]),
        (pa.array(["cat", "dog", None]).dictionary_encode(), ["cat", "dog"]),
        (pa.array([True, False, None]), ["true", "false"]),
        (pa.array([["cat"], ["dog"], []]), ["cat", "dog"]),
    ],
)
def test_parquet_gives_its_columns_as_text(column: pa.Array, right: list[str]) -> None:
    data = parquet({"image": ["0.jpg", "1.jpg", "2.jpg"], "label": column, "blob": [b"1", b"2", b"3"]})
    labeling = read_files({"l.parquet": data}, IMAGES)
    assert list(labeling.labels.values()) == right
    assert any("blob" in notice for notice in labeling.notices)


def test_a_damaged_parquet_file_is_refused() -> None:
    with pytest.raises(ImportRefused, match="damaged"):
        read_files({"l.parquet": parquet({"image": ["0.jpg"], "label": ["cat"]})[:-9]}, IMAGES)


def test_a_damaged_file_beside_a_good_table_is_listed() -> None:
    labeling = read_files({"l.csv": table("image,class").encode(), "l.xlsx": b"PK\3\4"}, IMAGES)
    assert labeling.labels == RIGHT
    assert [refusal.name for refusal in labeling.refused] == ["l.xlsx"]


def test_a_guess_at_labels_does_not_count_beside_a_table_whose_header_has_them() -> None:
    more = "image,mood\n" + "".join(f"{n}.jpg,{'xy'[n % 2]}\n" for n in range(6))
    labeling = read_files({"a.csv": more.encode(), "b.csv": table("image,class").encode()}, IMAGES)
    assert (labeling.labels, labeling.conflicts) == (RIGHT, {})


def test_rows_without_anything_and_empty_cells_beyond_the_header_do_not_count() -> None:
    labeling = read_text("image,label\n0.jpg,cat,,\n,\n1.jpg,dog\n2.jpg,dog,x\n3.jpg\n", IMAGES)
    assert labeling.labels == {IMAGES[0]: "cat", IMAGES[1]: "dog"}
    assert [refusal.name for refusal in labeling.refused] == ["labels.csv, row 5", "labels.csv, row 6"]


def test_a_table_about_more_images_than_came_is_found_by_those_that_came() -> None:
    text = "nr,foo,bar\n" + "".join(f"{n},pic{n}.jpg,{CLASSES[n % 6]}\n" for n in range(5000))
    images = ["pic4000.jpg", "pic4001.jpg", "pic3333.jpg"] + [f"pic{n}.jpg" for n in range(2000, 2100)]
    labeling = read_text(text, images)
    assert len(labeling.labels) == 103
    assert labeling.labels["pic4001.jpg"] == "dog"


def test_a_damaged_workbook_beside_another_format_is_told_and_a_lock_of_excel_is_not_looked_at(
    importer: Importer,
) -> None:
    files = {
        "1.png": png(1),
        "metadata.csv": b"file_name,label\n1.png,cat\n",
        "labels.xlsx": b"PK\3\4",
        "~$a.xlsx": b"x",
    }
    preview = importer.files(files)
    assert (preview.reading, preview.counts) == ("hf_imagefolder", {"cat": 1})
    assert any("recognised and not read" in notice and "labels.xlsx" in notice for notice in preview.notices)
    del files["labels.xlsx"]
    assert not any("not read" in notice for notice in importer.files(files).notices)


def test_lines_of_records_in_another_encoding_are_asked_too() -> None:
    labeling = read_files({"l.jsonl": '{"image": "0.jpg", "label": "größe"}\n'.encode("cp1252")}, IMAGES)
    assert labeling.labels == {IMAGES[0]: "größe"}
    assert "encoding:l.jsonl" in doubts(labeling)


def test_a_sample_to_hand_in_gives_no_labels_beside_the_real_ones() -> None:
    sample = b"image,label\n4.jpg,cat\n5.jpg,cat\n"
    files = {"sample_submission.csv": sample, "train.csv": b"image,label\n0.jpg,dog\n1.jpg,cat\n"}
    labeling = read_files(files, IMAGES)
    assert labeling.labels == {IMAGES[0]: "dog", IMAGES[1]: "cat"}
    assert "sample to hand in" in about(labeling)
    assert read_files({"submission.csv": sample}, IMAGES).labels == {IMAGES[4]: "cat", IMAGES[5]: "cat"}


def test_a_class_without_an_image_is_declared_by_its_column() -> None:
    labeling = read_text("image,cat,dog,owl\n0.jpg,1,0,0\n1.jpg,0,1,0\n", IMAGES)
    assert labeling.classes == ("cat", "dog", "owl")


def test_boxes_of_one_class_are_its_label_and_told() -> None:
    boxes = ["0.jpg,cat", "0.jpg,cat", "1.jpg,cat", "1.jpg,dog"]
    text = "filename,class,xmin,ymin,xmax,ymax\n" + "".join(f"{box},1,2,3,4\n" for box in boxes)
    labeling = read_text(text, IMAGES)
    assert (labeling.labels, labeling.conflicts) == ({IMAGES[0]: "cat"}, {IMAGES[1]: ("cat", "dog")})
    assert "boxes" in about(labeling)


@pytest.mark.parametrize("title", [None, "Delivery 3"])
def test_a_merged_cell_counts_for_each_of_its_rows(title: str | None) -> None:
    book = openpyxl.Workbook()
    book.create_sheet("other").append(["nothing", "here"])
    sheet = book.active
    if title is not None:
        sheet.append([title])
        sheet.merge_cells("A1:C1")
    for row in (["image", "label"], ["0.jpg", "cat"], ["1.jpg"], ["2.jpg", "dog"], ["3.jpg"]):
        sheet.append(row)
    top = sheet.max_row - 3
    sheet.merge_cells(f"B{top}:B{top + 1}")
    out = io.BytesIO()
    book.save(out)
    images = [f"{at}.jpg" for at in range(4)]
    labeling = read_files({"l.xlsx": out.getvalue()}, images)
    assert labeling.labels == {"0.jpg": "cat", "1.jpg": "cat", "2.jpg": "dog"}
    assert "merged cells" in about(labeling)


def test_files_that_are_no_tables_are_named_as_what_they_are(importer: Importer) -> None:
    preview = importer.files({"1.png": png(1), "labels.xls": b"\xd0\xcf\x11\xe0", "j.txt": png(2), "n.txt": b"words"})
    assert set(labels(preview)) == {"1.png", "j.txt"}
    assert "save it as .xlsx or CSV" in reasons(preview)["labels.xls"]
    assert "text" in reasons(preview)["n.txt"]


def test_a_huge_file_of_lines_is_refused_only_where_it_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_BYTES", 400)
    table_lines = jsonl(*({"image": f"{n % 6}.jpg", "label": "cat"} for n in range(40)))
    with pytest.raises(ImportRefused, match="larger"):
        read_files({"l.jsonl": table_lines}, IMAGES)
    with pytest.raises(ImportRefused, match="no table"):
        read_files({"l.jsonl": jsonl(*({"q": "x"} for n in range(100)))}, IMAGES)


def about(labeling: Labeling) -> str:
    return " ".join(labeling.notices)


def test_a_label_studio_csv_is_read_by_its_choice() -> None:
    header = "image,id,choice,annotator,annotation_id,created_at,updated_at,lead_time\n"
    rows = "".join(f"/data/upload/1/a1b2c3{n}d-{n}.jpg,{5 - n},{CLASSES[n]},1,{n},2024,2024,3.1\n" for n in range(6))
    labeling = read_text(header + rows, IMAGES)
    assert labeling.labels == RIGHT
    assert "project" not in about(labeling)


def by_pandas(ending: str) -> bytes:
    frame = pd.DataFrame({"image": [name.rpartition("/")[2] for name in IMAGES], "label": CLASSES, "weight": 0.5})
    frame.loc[5, "label"] = None
    out = io.BytesIO()
    match ending:
        case "csv":
            frame.to_csv(out)
        case "tsv":
            frame.to_csv(out, sep="\t", index=False)
        case "xlsx":
            frame.to_excel(out, index=False)
        case "parquet":
            frame.to_parquet(out)
        case "jsonl":
            frame.to_json(out, orient="records", lines=True)
        case "json":
            frame.to_json(out, orient="records")
    return out.getvalue()


@pytest.mark.parametrize("ending", ["csv", "tsv", "xlsx", "parquet", "jsonl", "json"])
def test_what_pandas_writes_is_read(ending: str) -> None:
    labeling = read_files({f"labels.{ending}": by_pandas(ending)}, IMAGES)
    assert labeling.labels == dict(list(RIGHT.items())[:5])
    assert (labeling.refused, doubts(labeling)) == ((), set())


def test_a_preview_can_be_read_again_with_another_column(importer: Importer) -> None:
    text = "image,color,mood\n1.png,red,calm\n2.png,red,wild\n3.png,blue,calm\n4.png,blue,wild\n"
    preview = importer.files({"l.csv": text.encode(), **{f"{n}.png": png(n) for n in range(1, 5)}})
    assert (preview.reading, preview.counts) == ("table", {"blue": 2, "red": 2})
    assert any(one.key == "label_column" and one.doubtful for one in preview.questions)
    assert read_again(preview, answers={"label_column": "mood"}).counts == {"calm": 2, "wild": 2}


def rows_of(*cells: str, labels: tuple[str, ...] = ("cat", "dog")) -> str:
    return "filename,label\n" + "".join(f"{cell},{labels[at % len(labels)]}\n" for at, cell in enumerate(cells))


@pytest.mark.parametrize(
    ("cells", "images"),
    [
        (["project/set/a.jpg", "project/set/b.jpg"], ["set/a.jpg", "set/b.jpg"]),
        (["x%20y/%C3%A90.jpg", "x%20y/%C3%A91.jpg"], ["x y/é0.jpg", "x y/é1.jpg"]),
    ],
)
def test_paths_that_begin_further_up_or_are_escaped_find_their_files(cells: list[str], images: list[str]) -> None:
    found = read_text(rows_of(*cells), images)
    assert found.labels == dict(zip(images, ["cat", "dog"], strict=True))
    assert found.refused == ()


@pytest.mark.parametrize(
    ("cells", "told"), [(["0001.tif", "0002.tif"], "with another ending"), (["1", "2"], "without the zeros")]
)
def test_files_with_another_ending_or_without_zeros_are_found_and_it_is_told(cells: list[str], told: str) -> None:
    found = read_text(rows_of(*cells), ["img/0001.png", "img/0002.png"])
    assert found.labels == {"img/0001.png": "cat", "img/0002.png": "dog"}
    assert any(told in notice and f"such as {cells[0]} for img/0001.png" in notice for notice in found.notices)


def test_of_two_paths_to_one_file_the_one_with_its_folder_counts() -> None:
    found = read_text(rows_of("/x/a/1.jpg", "/x/b/1.jpg", "/x/b/2.jpg"), ["a/1.jpg", "b/2.jpg"])
    assert found.labels == {"a/1.jpg": "cat", "b/2.jpg": "cat"}
    (row,) = found.refused
    assert "/x/b/1.jpg" in row.name
    assert "with its folder" in row.reason


def test_several_paths_that_could_mean_one_file_label_nothing() -> None:
    found = read_text(rows_of("/x/a/1.jpg", "/x/b/1.jpg"), ["c/1.jpg"])
    assert found.labels == {}
    assert [row.reason for row in found.refused] == ["several paths could mean the only file of this name"] * 2


def test_rows_of_a_split_never_label_the_files_of_another() -> None:
    found = read_text(rows_of("/x/train/1.jpg", "/x/train/2.jpg"), ["test/1.jpg", "test/2.jpg"])
    assert found.labels == {}
    assert [row.reason for row in found.refused] == ["the only file of this name lies in another folder"] * 2


def test_files_that_are_found_by_name_alone_are_told() -> None:
    found = read_text(rows_of("/x/old/1.jpg", "/x/old/2.jpg"), ["new/1.jpg", "new/2.jpg"])
    assert found.labels == {"new/1.jpg": "cat", "new/2.jpg": "dog"}
    assert any("2 files are found by their names alone" in notice for notice in found.notices)


def test_an_image_in_several_splits_measures_and_is_told() -> None:
    text = "filename,label,split\n0.jpg,cat,test\n1.jpg,dog,train\n0.jpg,cat,train\n"
    found = read_text(text, IMAGES)
    assert found.splits["images/0.jpg"] == "test"
    assert any("1 image is in several splits (such as images/0.jpg)" in notice for notice in found.notices)


def test_numbers_are_named_by_the_list_beside_the_table() -> None:
    table = rows_of(*(f"{at}.jpg" for at in range(6)), labels=("0", "1")).encode()
    found = read_files({"labels.csv": table, "classes.txt": b"cat\ndog\nfox\n"}, IMAGES)
    assert found.labels == RIGHT
    assert found.classes == ("cat", "dog", "fox")
    assert any("numbers are named by classes.txt: 0 is cat, 1 is dog" in notice for notice in found.notices)
    assert "classes.txt" in found.used


def test_a_list_that_does_not_name_all_numbers_names_none_and_it_is_told() -> None:
    table = rows_of("0.jpg", "1.jpg", labels=("1", "5")).encode()
    found = read_files({"labels.csv": table, "classes.txt": b"cat\ndog\n"}, IMAGES)
    assert found.labels == {"images/0.jpg": "1", "images/1.jpg": "5"}
    assert any("classes.txt does not name all numbers" in notice for notice in found.notices)


@pytest.mark.parametrize("count", [2, 6])
def test_a_table_of_one_class_without_a_header_is_read(count: int) -> None:
    found = read_text("".join(f"{at}.jpg,cat\n" for at in range(count)), IMAGES)
    assert found.labels == {f"images/{at}.jpg": "cat" for at in range(count)}
    assert doubts(found) == {"label_column"}


def test_columns_of_yes_and_no_without_a_header_are_no_classes() -> None:
    text = "".join(f"{at}.jpg,{at % 2},{(at + 1) % 2}\n" for at in range(6))
    found = read_text(text, IMAGES)
    assert not any(label.startswith("column") for label in found.labels.values())


def test_a_prediction_beside_an_unknown_column_is_asked_about() -> None:
    text = "filename,Ergebnis,predicted\n" + "".join(f"{at}.jpg,{at % 2},{at % 3}\n" for at in range(6))
    found = read_text(text, IMAGES)
    assert found.labels == {}
    assert doubts(found) == {"label_column"}
    assert not any("labels are read from" in notice for notice in found.notices)


def test_a_table_that_names_images_and_is_not_read_says_so(importer: Importer) -> None:
    text = b"filename,a,b\n1.png,x,3\n2.png,y,4\n3.png,z,5\n"
    preview = importer.files({"labels.csv": text, **{f"{at}.png": png(at) for at in (1, 2, 3)}})
    assert "names images and has no column that is known to hold labels" in reasons(preview)["labels.csv"]


def test_a_table_whose_files_are_there_twice_is_told_beside_the_folders(importer: Importer) -> None:
    files = {f"{label}/{at}.png": png(10 * at + len(label)) for label in ("cat", "horse") for at in (1, 2)}
    preview = importer.files({"labels.csv": rows_of("1.png", "2.png", labels=("good", "bad")).encode(), **files})
    assert preview.reading == "class_tree"
    assert any("labels.csv, row 2: 1.png: several files have this name" in notice for notice in preview.notices)


def test_folders_say_the_splits_where_the_table_says_none(importer: Importer) -> None:
    files = {"train/1.png": png(1), "train/2.png": png(2), "test/3.png": png(3)}
    preview = importer.files({"labels.csv": rows_of("1.png", "2.png", "3.png").encode(), **files})
    assert {image.name: image.split for image in preview.found} == {
        "train/1.png": "train", "train/2.png": "train", "test/3.png": "test",
    }  # fmt: skip
    assert [image.name for image in preview.found if image.test] == ["test/3.png"]
    assert any("splits are taken from the folders test, train" in notice for notice in preview.notices)


def test_images_in_one_folder_say_why_they_have_no_label(importer: Importer) -> None:
    preview = importer.files({"holiday/1.png": png(1), "holiday/2.png": png(2)})
    assert (preview.layout, preview.unlabeled) == ("images only", 2)
    assert any("holiday; a single folder is not taken as a class" in notice for notice in preview.notices)
    assert labels(read_again(preview, answers={"level": "1"})) == dict.fromkeys(labels(preview), "holiday")


@pytest.mark.parametrize(
    "text",
    [
        '{"0.jpg": "cat", "1.jpg": "dog", "images/2.jpg": "cat", "3.jpg": null}',
        '{"0": "cat", "1": "dog", "2": "cat"}',
        '\ufeff{"cat": ["0.jpg", "2.jpg"], "dog": ["1.jpg"], "fox": []}',
    ],
)
def test_an_object_of_labels_by_file_or_of_files_by_label_is_read(text: str) -> None:
    found = read_text(text, IMAGES, "labels.json")
    assert found.labels == {"images/0.jpg": "cat", "images/1.jpg": "dog", "images/2.jpg": "cat"}


def test_a_file_that_stands_twice_in_an_object_has_both_labels() -> None:
    found = read_text('{"0.jpg": "cat", "1.jpg": "dog", "0.jpg": "dog"}', IMAGES, "labels.json")
    assert found.conflicts == {"images/0.jpg": ("cat", "dog")}


@pytest.mark.parametrize(
    "text", ['{"0": "cat", "1": "dog"}', '{"names": ["cat", "dog"]}', '{"a": {"0.jpg": "cat"}}', "{}"]
)
def test_an_object_of_something_else_labels_nothing(text: str) -> None:
    with pytest.raises(ImportRefused, match="no table of labels"):
        read_text(text, IMAGES, "names.json")


@pytest.mark.parametrize("above", ["Pets, 2024".replace(",", ""), "# made by hand, in May", "Pets\r\n"])
def test_lines_above_a_table_are_left_out_and_told(above: str) -> None:
    found = read_text(f"{above}\nfilename,label\n0.jpg,cat\ngone.jpg,dog\n", IMAGES)
    assert found.labels == {"images/0.jpg": "cat"}
    assert any(f"left out: {above.strip()}" in notice for notice in found.notices)
    (row,) = found.refused
    assert row.name.startswith(f"labels.csv, row {4 + above.count(chr(10))}")


def test_a_table_that_is_called_after_a_split_means_the_files_of_that_split() -> None:
    images = ["train/1.jpg", "train/2.jpg", "test/1.jpg", "test/2.jpg"]
    found = read_text("image_id,label\n1,cat\n2,dog\n", images, "train.csv")
    assert found.labels == {"train/1.jpg": "cat", "train/2.jpg": "dog"}


def test_a_table_in_the_folder_of_a_split_leaves_the_images_of_another_theirs() -> None:
    text = rows_of("train/1.jpg", "test/2.jpg")
    found = read_text(text, ["train/1.jpg", "test/2.jpg"], "train/labels.csv")
    assert found.splits == {"train/1.jpg": "train", "test/2.jpg": "test"}


def test_a_flag_of_a_split_that_never_says_yes_says_nothing(importer: Importer) -> None:
    text = b"filename,label,is_valid\n1.png,cat,False\n2.png,dog,False\n"
    preview = importer.files({"train/1.png": png(1), "test/2.png": png(2), "labels.csv": text})
    assert {image.name: image.split for image in preview.found} == {"train/1.png": "train", "test/2.png": "test"}


def test_a_table_that_only_contradicts_itself_is_told_beside_the_folders(importer: Importer) -> None:
    files = {f"{label}/{at}.png": png(10 * at + len(label)) for label in ("cat", "horse") for at in (1, 2)}
    text = b"filename,label\n1.png,good\n2.png,bad\ncat/1.png,good\ncat/1.png,bad\n"
    preview = importer.files({"labels.csv": text, **files})
    assert preview.counts == {"cat": 2, "horse": 2}
    assert any("images + CSV was recognised and gives no label here" in notice for notice in preview.notices)


def test_a_table_without_a_header_that_finds_no_file_is_told_beside_the_folders(importer: Importer) -> None:
    files = {f"{label}/{at}.png": png(10 * at + len(label)) for label in ("cat", "horse") for at in (1, 2)}
    text = b"good,7,/data/upload/1/00000000-1.png,x\nbad,8,/data/upload/1/00000001-2.png,x\n"
    preview = importer.files({"labels.csv": text, **files})
    assert preview.reading == "class_tree"
    assert any("labels.csv" in one for one in (*preview.notices, *reasons(preview)))
