from engine.files import PARTIAL
from engine.rounds.folder import files


def test_recorded_epochs_are_read_from_the_very_names_that_are_written(tmp_path):
    for name in files.EPOCH_FILES:
        for epoch in (12, 2, 1000):
            path = tmp_path / name(epoch)
            path.parent.mkdir(exist_ok=True)
            path.touch()
    for name in files.EPOCH_FILES:
        assert files.recorded(tmp_path, name) == [2, 12, 1000]


def test_what_is_no_whole_file_of_an_epoch_is_none(tmp_path):
    for name in (
        files.FINAL,
        files.SIGNALS,
        f"predictions/.epoch-003.parquet.7f{PARTIAL}",
        "predictions/epoch-x.parquet",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert files.recorded(tmp_path, files.epoch_predictions) == []
    assert files.recorded(tmp_path, files.epoch_features) == []


def test_checkpoints_sort_by_age():
    names = [files.checkpoint("main", epoch) for epoch in (1, 2, 10, 300, 1000)]
    assert names == sorted(names)
