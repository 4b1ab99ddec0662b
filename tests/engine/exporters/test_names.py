"""Names on export: safe on every common system, distinct, and unchanged where they can be."""

import unicodedata

import pytest

from engine.exporters.names import class_folders, collision_key, distinct, file_name, folder_name


@pytest.mark.parametrize("name", ["cat", "Größe", "猫", "a b", "-rf", "=1+1", "v1.2", "…", "console", "007"])
def test_a_valid_class_name_is_its_folder(name: str) -> None:
    assert folder_name(name) == name


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("CON", "CON_"),
        ("nul", "nul_"),
        ("Com1.x", "Com1_.x"),
        ("LPT²", "LPT²_"),
        ("dot.", "dot_"),
        ("dots. .", "dots___"),
        ("space ", "space_"),
        ("a:b", "a_b"),
        ('<a>"b"/c\\d|e?f*', "_a__b__c_d_e_f_"),
        ("tab\there", "tab_here"),
        (".hidden", "_hidden"),
        ("..", "__"),
        ("", "_"),
        ("unlabeled", "unlabeled_"),
        ("_unlabeled", "_unlabeled_"),
        ("No_Label", "No_Label_"),
        ("__MACOSX", "__MACOSX_"),
    ],
)
def test_other_class_names_are_altered_as_documented(name: str, folder: str) -> None:
    assert folder_name(name) == folder


@pytest.mark.parametrize(
    ("path", "image_format", "name"),
    [
        ("train/a.png", "PNG", "a.png"),
        ("a/b/IMG.JPG", "JPEG", "IMG.JPG"),
        ("x.jpeg", "JPEG", "x.jpeg"),
        ("x.tif", "TIFF", "x.tif"),
        ("wrong.png", "JPEG", "wrong.jpg"),
        ("photo.jfif", "JPEG", "photo.jpg"),
        ("no_suffix", "WEBP", "no_suffix.webp"),
        ("IMG_1.HEIC", "HEIF", "IMG_1.HEIC"),
        ("scan", "DICOM", "scan.dcm"),
        ("x.png", "JPEG XL", "x.jxl"),
        ("scan.2024", "PNG", "scan.2024.png"),
        (".png", "PNG", "_png.png"),
        ("dir\\win.bmp", "BMP", "win.bmp"),
        ("CON.png", "PNG", "CON_.png"),
        ("aux", "GIF", "aux_.gif"),
        ("trailing.png. ", "PNG", "trailing.png"),
        ("a:b?.png", "PNG", "a_b_.png"),
        ("=cmd.png", "PNG", "=cmd.png"),
        ("folder/", "PNG", "_.png"),
    ],
)
def test_file_names_keep_their_base_and_get_the_true_suffix(path: str, image_format: str, name: str) -> None:
    assert file_name(path, image_format) == name


def test_long_names_are_cut_at_a_character_and_keep_their_suffix() -> None:
    name = file_name("é" * 300 + ".jpeg", "JPEG")
    assert name.endswith("é.jpeg")
    assert 150 < len(name.encode()) <= 180
    assert len(folder_name("é" * 300).encode()) <= 180


def test_classes_that_would_share_a_folder_get_different_ones_and_the_plain_name_stays() -> None:
    folders = class_folders(["a:b", "a?b", "a_b", "Cat", "cat"])
    assert folders["a_b"] == "a_b"
    assert (folders["a:b"], folders["a?b"]) == ("a_b-2", "a_b-3")
    assert (folders["Cat"], folders["cat"]) == ("Cat", "cat-2")
    assert class_folders(["cat", "a_b", "a?b", "Cat", "a:b"]) == folders


def test_unicode_forms_of_one_name_collide() -> None:
    composed, decomposed = "é.png", unicodedata.normalize("NFD", "é.png")
    assert composed != decomposed
    assert collision_key(composed) == collision_key(decomposed)
    assert distinct(decomposed, {collision_key(composed)}, "12") == "e\u0301-12.png"


def test_an_addition_that_is_taken_too_is_counted_on() -> None:
    taken = {"x.png", "x-12.png", "x-12-2.png"}
    assert distinct("x.png", taken, "12") == "x-12-3.png"
    assert distinct("v1.2", {"v1.2", "v1.2-2"}) == "v1.2-3"
    assert distinct("free.png", taken, "12") == "free.png"
