from pathlib import Path

import pytest

from engine.errors import ImportRefused
from engine.importers.formats import csv_table
from engine.importers.labeling import Labeling
from engine.importers.tables import rows
from tests.engine.importers.table_samples import doubts, read_files, read_text, view

NAMES = ["img/a.png", "img/b.png", "img/c.png"]


def labeled(text: str | bytes, names: list[str] | None = None, name: str = "labels.csv") -> Labeling:
    return read_text(text, names or NAMES, name)


@pytest.mark.parametrize(
    "text",
    [
        "id,path,label\n1,img/a.png,cat\n",
        "filename,label\na.png,cat\n",
        "file_name,label\nimg/a.png,cat\n",
        "file_path_abs,class_name,confidence,annotation_source\n/home/u/set/img/a.png,cat,0.9,human\n",
        "file_path_abs,class_name\nC:\\data\\img\\a.png,cat\n",
        "FileName;Label\na.png;cat\n",
        "filename\tlabel\na.png\tcat\n",
        '"filename","label"\r\n"a.png","cat"\r\n',
        "\ufefffilename,label\na.png,cat\n",
        "filename,label\n\nIMG/A.PNG,cat\n",
        "filename,label\n./img/a.png,cat\n",
    ],
)
def test_all_column_names_and_separators_give_the_same_labels(text: str) -> None:
    labeling = labeled(text)
    assert (labeling.labels, labeling.refused) == ({"img/a.png": "cat"}, ())
    assert doubts(labeling) == set()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_encodings_with_a_mark_are_read(encoding: str) -> None:
    assert labeled("filename,label\na.png,größe\n".encode(encoding)).labels == {"img/a.png": "größe"}


@pytest.mark.parametrize("label", ["007", "1.0", " cat ", "=1+1", "true", "None", "NA", "cat, dog"])
def test_labels_are_kept_verbatim(label: str) -> None:
    assert labeled(f'filename,label\na.png,"{label}"\n').labels == {"img/a.png": label}


@pytest.mark.parametrize("label", ["", "  "])
def test_an_empty_label_is_unlabeled(label: str) -> None:
    labeling = labeled(f"filename,label\na.png,{label}\nb.png,cat\n")
    assert (labeling.labels, labeling.refused) == ({"img/b.png": "cat"}, ())


def test_a_row_for_a_missing_file_is_refused_with_its_row_number() -> None:
    (refusal,) = labeled("filename,label\na.png,cat\nnone.png,dog\n").refused
    assert refusal.name == "labels.csv, row 3: none.png"
    assert refusal.reason == "there is no such file"


def test_a_row_for_a_refused_image_says_so() -> None:
    table = {"labels.csv": b"filename,label\na.png,cat\n"}
    (refusal,) = read_files(table, [], refused=["img/a.png"]).refused
    assert refusal.reason == "its image was refused"


def test_different_labels_for_one_image_leave_it_unlabeled_and_listed() -> None:
    labeling = labeled("filename,label\na.png,cat\na.png,dog\nb.png,cat\nb.png,cat\nc.png,cat\nc.png,\n")
    assert labeling.labels == {"img/b.png": "cat", "img/c.png": "cat"}
    assert labeling.conflicts == {"img/a.png": ("cat", "dog")}


def test_a_bare_name_that_several_files_have_is_refused() -> None:
    labeling = labeled("filename,label\na.png,cat\n", ["x/a.png", "y/a.png"])
    assert labeling.labels == {}
    assert labeling.refused[0].reason == "several files have this name"


def test_a_path_is_never_matched_to_a_file_in_another_folder() -> None:
    labeling = labeled("filename,label\ntest/a.png,cat\n", ["train/a.png"])
    assert (labeling.labels, len(labeling.refused)) == ({}, 1)


def test_a_path_counts_from_the_folder_of_the_table_first() -> None:
    names = ["a.png", "sub/a.png"]
    assert labeled("filename,label\na.png,cat\n", names, "sub/labels.csv").labels == {"sub/a.png": "cat"}
    assert labeled("filename,label\nsub/a.png,cat\n", names, "sub/labels.csv").labels == {"sub/a.png": "cat"}


def test_of_an_absolute_path_the_longest_ending_counts() -> None:
    names = ["x/a.png", "y/a.png"]
    assert labeled("file_path_abs,label\n/data/set/y/a.png,cat\n", names).labels == {"y/a.png": "cat"}


@pytest.mark.parametrize("path", ["../a.png", "img/../../a.png"])
def test_a_path_with_dots_is_refused(path: str) -> None:
    assert "outside" in labeled(f"filename,label\n{path},cat\n").refused[0].reason


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "filename,size\na.png,3\n", "label,count\ncat,3\n", "", "\n\n"])
def test_a_table_without_both_columns_is_no_table_of_labels(text: str, tmp_path: Path) -> None:
    source = view(tmp_path, {"labels.csv": text.encode()}, NAMES)
    assert csv_table.detect(source) is None
    if text.startswith("filename"):  # whoever chooses to read it so is asked which column has the labels
        labeling = csv_table.read(source, {})
        assert (labeling.labels, [one.key for one in labeling.questions]) == ({}, ["label_column"])
    else:
        with pytest.raises(ImportRefused, match="no table of labels"):
            csv_table.read(source, {})


def test_an_unclosed_quote_is_refused_not_swallowed() -> None:
    with pytest.raises(ImportRefused, match="cannot be read"):
        labeled('filename,label\na.png,"cat\nb.png,dog\n')


def test_text_after_a_quote_is_refused() -> None:
    with pytest.raises(ImportRefused, match="cannot be read"):
        labeled('filename,label\na.png,"cat"x\n')


def test_a_very_long_field_is_refused() -> None:
    with pytest.raises(ImportRefused, match="field larger"):
        labeled("filename,label\na.png," + "x" * 200_000 + "\n")


@pytest.mark.parametrize(("label", "said"), [("x" * 201, "longer than 200"), ("a\tb", "control")])
def test_a_label_that_cannot_be_a_class_is_a_refused_row(label: str, said: str) -> None:
    labeling = labeled(f"filename,label\na.png,{label}\n")
    assert labeling.labels == {}
    assert said in labeling.refused[0].reason


def test_a_row_of_another_width_is_refused() -> None:
    labeling = labeled("filename,label\na.png,cat,extra\nb.png,dog\n")
    assert labeling.labels == {"img/b.png": "dog"}
    assert "3 columns" in labeling.refused[0].reason


def test_two_label_columns_are_refused() -> None:
    with pytest.raises(ImportRefused, match="two columns"):
        labeled("filename,label,label\na.png,cat,dog\n")


def test_caps_on_bytes_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROWS", 2)
    with pytest.raises(ImportRefused, match="more than 2 rows"):
        labeled("filename,label\na.png,cat\nb.png,dog\nc.png,dog\n")
    monkeypatch.setattr(rows, "MAX_BYTES", 10)
    with pytest.raises(ImportRefused, match="larger"):
        labeled("filename,label\n")


def test_pseudo_labels_of_an_export_are_noticed() -> None:
    labeling = labeled("file_name,label,label_source\na.png,cat,pseudo\nb.png,dog,human\n")
    assert any(notice.startswith("1 of the labels are pseudo-labels") for notice in labeling.notices)


def test_several_tables_count_together() -> None:
    tables = {"1.csv": b"filename,label\na.png,cat\n", "2.csv": b"filename,label\na.png,dog\nb.png,dog\n"}
    labeling = read_files(tables, NAMES)
    assert labeling.labels == {"img/b.png": "dog"}
    assert labeling.conflicts == {"img/a.png": ("cat", "dog")}
    assert labeling.used == {"1.csv", "2.csv"}


def test_10_000_classes_import() -> None:
    names = [f"{number}.png" for number in range(10_000)]
    rows = "".join(f"{name},class {number}\n" for number, name in enumerate(names))
    assert len(set(labeled("filename,label\n" + rows, names).labels.values())) == 10_000


def test_a_label_in_two_spellings_of_its_accents_is_one_label() -> None:
    labeling = labeled("filename,label\na.png,cafe\u0301\na.png,caf\u00e9\nb.png,cafe\u0301\n")
    assert (labeling.labels, labeling.conflicts) == ({"img/a.png": "caf\u00e9", "img/b.png": "caf\u00e9"}, {})


def test_a_header_and_cells_with_quotes_after_spaces_are_read() -> None:
    assert labeled('"filename", "label"\n"a.png", "cat"\n').labels == {"img/a.png": "cat"}


def test_a_table_without_labels_is_there_for_its_groups(tmp_path: Path) -> None:
    text = b"filename,Scene,note\na.png,s1,x\nb.png,s1,\nc.png,,y\n"
    source = view(tmp_path, {"scenes.csv": text, "sizes.csv": b"filename,size\na.png,3\nb.png,4\n"}, NAMES)
    assert csv_table.detect(source) is None
    columns, names = csv_table.group_columns(source)
    assert columns == {"Scene": {"img/a.png": "s1", "img/b.png": "s1"}, "note": {"img/a.png": "x", "img/c.png": "y"}}
    assert names == {"scenes.csv"}


def test_a_column_split_says_what_only_measures_where_it_names_another_split_too() -> None:
    text = "filename,label,split\na.png,cat,train\nb.png,dog,Test\nc.png,,test\n"
    labeling = labeled(text)
    assert labeling.labels == {"img/a.png": "cat", "img/b.png": "dog"}
    assert labeling.test == {"img/b.png"}
    assert any("they measure: 1 image" in notice for notice in labeling.notices)
    assert labeled(text.replace("train", "")).test == frozenset()
    assert labeled("filename,label\na.png,cat\n").test == frozenset()


def test_a_label_of_an_export_is_one_whatever_is_in_it() -> None:
    cells = ("cat", "dog", "cat|dog", '"[""cat""]"')
    lines = [f"{number}.png,{cell},human,{number},ab{number}" for number, cell in enumerate(cells)]
    text = "\n".join(["file_name,label,label_source,image_id,sha256", *lines])
    labeling = labeled(text, [f"{number}.png" for number in range(4)])
    assert list(labeling.labels.values()) == ["cat", "dog", "cat|dog", '["cat"]']
    assert (labeling.conflicts, doubts(labeling)) == ({}, set())
    other = labeled(text.replace("sha256", "checksum"), [f"{number}.png" for number in range(4)])
    assert other.conflicts == {"2.png": ("cat", "dog")}
