"""The file of labels: what is read, what is said of one that cannot be used, and that a changed one is read again."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from taskstream.consumer.errors import LabelsUnusable, LinkUnfillable
from taskstream.consumer.task_context.link_templates import link_template
from taskstream.consumer.task_context.task_context import LONGEST_VALUE, TaskContext, read_labels

GOOD = 'project_id,task_id,host,owner\np,t-1,db7,"Zoë, team 4"\np,t-2,,\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(GOOD, "utf-8")
    return path


def test_a_task_has_the_labels_of_its_line_and_an_empty_one_is_none(path):
    assert read_labels(path).of_task == {("p", "t-1"): {"host": "db7", "owner": "Zoë, team 4"}, ("p", "t-2"): {}}


def test_the_mark_that_spreadsheets_write_and_empty_lines_are_ignored(path):
    path.write_text("\ufeff" + GOOD.replace("\n", "\r\n") + "\r\n", "utf-8")
    assert read_labels(path).of_task["p", "t-1"]["host"] == "db7"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column project_id"),
        ("project_id,host\n", "no column task_id"),
        ("project_id,task_id,my host\n", "the column 'my host' cannot be a label"),
        ("project_id,task_id,a,a\n", "two columns 'a'"),
        ("project_id,task_id,a\np,t\n", "labels.csv:2 has 2 values for 3 columns"),
        ("project_id,task_id,a\n,t,1\n", "labels.csv:2 names no project_id"),
        ("project_id,task_id,a\np,,1\n", "labels.csv:2 names no task_id"),
        ('project_id,task_id,a\np,t,"1\n', "no CSV file"),
        (f"project_id,task_id,a\np,t,{'x' * (LONGEST_VALUE + 1)}\n", "a value of more than 1,000 characters"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(path, text, said):
    path.write_text(text)
    with pytest.raises(LabelsUnusable, match=said):
        TaskContext((), path)


def test_bytes_that_are_no_text_and_a_file_that_is_not_there_are_refused(path):
    path.write_bytes(b"project_id,task_id,a\np,t,\xff\n")
    with pytest.raises(LabelsUnusable, match="UTF-8"):
        read_labels(path)
    path.unlink()
    with pytest.raises(LabelsUnusable, match="name a CSV file"):
        read_labels(path)


def test_a_changed_file_is_read_again_and_a_broken_one_changes_nothing(path):
    now_s = 0.0
    context = TaskContext([link_template("host", "https://h/{host}")], path, monotonic_s=lambda: now_s)
    assert context.of("p", "t-1").links == {"host": "https://h/db7"}
    path.write_text(GOOD.replace("db7", "db12"))
    assert context.of("p", "t-1").labels["host"] == "db7", "it is looked at once a second"
    now_s += 1.0
    assert context.of("p", "t-1").labels["host"] == "db12"
    path.write_text("nonsense")
    now_s += 1.0
    with capture_logs() as logged:
        assert context.of("p", "t-1").labels["host"] == "db12"
        now_s += 1.0
        assert context.of("p", "t-1").labels["host"] == "db12"
    assert [each["event"] for each in logged] == ["labels not read"]
    path.write_text(GOOD)
    now_s += 1.0
    assert context.of("p", "t-1").labels["host"] == "db7"


def test_without_a_file_tasks_have_no_labels_and_links_of_their_ids():
    about = TaskContext([link_template("a", "https://h/{task_id}")]).of("p", "t")
    assert (about.labels, about.links) == ({}, {"a": "https://h/t"})


def test_a_link_with_a_placeholder_that_no_task_has_a_value_for_is_refused(path):
    with pytest.raises(LinkUnfillable) as refused:
        TaskContext([link_template("logs", "https://h/{task_id}/{hots}")], path)
    assert str(refused.value).startswith("no task has a value for {hots} of the link logs: ")
    assert str(refused.value).endswith("labels.csv has no such column; known are host, owner, project_id, task_id")


def test_without_a_file_only_the_ids_can_be_filled_in():
    with pytest.raises(
        LinkUnfillable, match=r"\{host\} of the link logs: a label needs a file of labels; known are proj"
    ):
        TaskContext([link_template("logs", "https://h/{host}")])


def test_a_changed_file_without_the_column_of_a_link_is_logged_once(path):
    now_s = 0.0
    context = TaskContext([link_template("host", "https://h/{host}")], path, monotonic_s=lambda: now_s)
    with capture_logs() as logged:
        for text in (GOOD.replace("host", "server"), GOOD.replace("host", "server") + "q,t,db8,me\n", GOOD):
            path.write_text(text, "utf-8")
            now_s += 1.0
            assert context.of("p", "t-1").links == ({"host": "https://h/db7"} if text == GOOD else {})
    assert [each["event"] for each in logged] == ["link not filled"]
    assert "{host} of the link host" in logged[0]["problem"]
