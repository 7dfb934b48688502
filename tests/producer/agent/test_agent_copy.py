"""What the agent leaves at the destination, checked without the agent's own code."""

import codecs
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from taskstream.producer.agent import CopyJob, CopyProgress, CopyResult, Subtask, copy_tree
from taskstream.producer.agent.copying import ON_REQUEST
from taskstream.producer.client.auth_token import AuthToken
from taskstream.producer.client.progress_client import ProgressClient
from taskstream.producer.clock import SteppedClock
from taskstream.producer.errors import CopyJobError, DestinationUnusable
from tests.producer.agent.trees import contents, names_in, plant, size_of
from tests.producer.client.scripted_edge import ScriptedEdge


@pytest.fixture(scope="module")
def client():
    with ScriptedEdge() as edge, ProgressClient(edge.url, AuthToken.of("t")) as client:
        yield client


@pytest.fixture
def ordinary_user():
    """A folder of an ordinary user, whom permissions restrict, even if the tests run as root."""
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() != 0:
            yield Path(folder)
            return
        codecs.lookup("ascii")  # Python's own files may be root's alone, and a codec once not found is never found
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)


def run(client: ProgressClient, source: Path, destination: Path, **options) -> CopyResult:
    asked = {name: options.pop(name) for name in ("on_progress", "stop", "clock") if name in options}
    return copy_tree(CopyJob(source, destination, "t-1", **options), client, **asked)


def test_a_tree_arrives_with_bytes_modes_times_links_and_empty_folders(tmp_path, client):
    source = plant(
        tmp_path / "src",
        {
            "a": b"alpha",
            "empty": b"",
            "deep/er/est/file": os.urandom(3 * 1024 * 1024 + 17),
            "script": b"#!/bin/sh\n",
            "read-only/file": b"x",
        },
    )
    (source / "nothing here").mkdir()
    (source / "script").chmod(0o755)
    (source / "a").chmod(0o600)
    (source / "to a").symlink_to("a")
    (source / "to nowhere").symlink_to("/no/such/thing")
    os.utime(source / "to a", ns=(5, 1_500_000_000_000_000_001), follow_symlinks=False)
    for number, folder in enumerate(["deep/er/est", "deep/er", "deep", "nothing here", "read-only", "."]):
        os.utime(source / folder, (2e9, 1e9 + number))
    (source / "nothing here").chmod(0o711)
    (source / "read-only").chmod(0o555)
    result = run(client, source, tmp_path / "dst")
    assert contents(tmp_path / "dst") == contents(source)
    assert (result.files, result.links, result.directories) == (5, 2, 6)
    assert result.bytes == size_of(source) == result.bytes_moved
    assert result.complete


def test_nothing_else_is_left_at_the_destination(tmp_path, client):
    source = plant(tmp_path / "src", {f"{n}": os.urandom(n) for n in range(50)})
    run(client, source, tmp_path / "dst")
    assert names_in(tmp_path / "dst") == names_in(source)


def test_a_second_run_moves_nothing_and_counts_everything(tmp_path, client):
    source = plant(tmp_path / "src", {"a": b"alpha", "b/c": b"gamma"})
    (source / "link").symlink_to("a")
    first = run(client, source, tmp_path / "dst")
    inodes = {path: path.lstat().st_ino for path in (tmp_path / "dst").rglob("*")}
    second = run(client, source, tmp_path / "dst")
    assert (second.files, second.bytes) == (first.files, first.bytes) == (2, 10)
    assert (second.files_already_there, second.bytes_already_there, second.bytes_moved) == (2, 10, 0)
    assert {path: path.lstat().st_ino for path in (tmp_path / "dst").rglob("*")} == inodes


def test_a_later_run_copies_only_what_has_changed(tmp_path, client):
    source = plant(tmp_path / "src", {"same": b"s" * 1000, "longer": b"l", "touched": b"old", "mode": b"m"})
    (source / "link").symlink_to("same")
    run(client, source, tmp_path / "dst")
    (source / "longer").write_bytes(b"longer")
    (source / "touched").write_bytes(b"new")
    (source / "mode").chmod(0o400)
    (source / "link").unlink()
    (source / "link").symlink_to("longer")
    (source / "added").write_bytes(b"added")
    result = run(client, source, tmp_path / "dst")
    assert contents(tmp_path / "dst") == contents(source)
    assert result.bytes_moved == len("longer" + "new" + "added")


def test_entries_that_only_the_destination_has_stay(tmp_path, client):
    source = plant(tmp_path / "src", {"a": b"a"})
    plant(tmp_path / "dst", {"mine": b"mine", "folder/mine": b"mine"})
    assert run(client, source, tmp_path / "dst").complete
    assert (tmp_path / "dst/mine").read_bytes() == (tmp_path / "dst/folder/mine").read_bytes() == b"mine"


def test_a_link_where_the_source_has_a_folder_is_replaced_and_never_followed(tmp_path, client):
    source = plant(tmp_path / "src", {"folder/file": b"x", "other/file": b"y"})
    outside = plant(tmp_path / "outside", {"precious": b"p"})
    (tmp_path / "dst").mkdir()
    (tmp_path / "dst/folder").symlink_to(outside)
    (tmp_path / "dst/other").write_bytes(b"a file in the way")
    assert run(client, source, tmp_path / "dst").complete
    assert names_in(outside) == ["precious"]
    assert contents(tmp_path / "dst") == contents(source)


def test_a_folder_where_the_source_has_a_file_is_a_problem_and_stays(tmp_path, client):
    source = plant(tmp_path / "src", {"a": b"file", "b": b"file"})
    plant(tmp_path / "dst", {"a/precious": b"p"})
    result = run(client, source, tmp_path / "dst")
    assert [(problem.path, problem.reason) for problem in result.problems] == [("a", "Is a directory")]
    assert (tmp_path / "dst/a/precious").read_bytes() == b"p"
    assert (result.files, result.bytes) == (1, 4)
    assert not result.complete


def test_names_that_are_not_utf8_or_hold_controls_or_have_the_maximal_length_are_copied(tmp_path, client):
    names = [b"\xff\xfe.bin", b"new\nline", b"-rf", b" ", b"a" * 255, "ä€𝄞".encode(), b"\x1b[31mred", b"\xe4/in\xe4"]
    source = tmp_path / "src"
    for name in names:
        path = source / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name)
    result = run(client, source, tmp_path / "dst")
    assert result.complete
    assert result.files == len(names)
    assert contents(tmp_path / "dst") == contents(source)


def test_cyclic_links_are_copied_as_links(tmp_path, client):
    source = plant(tmp_path / "src", {"folder/file": b"x"})
    (source / "folder/up").symlink_to("..")
    (source / "self").symlink_to("self")
    result = run(client, source, tmp_path / "dst")
    assert (result.links, result.files) == (2, 1)
    assert contents(tmp_path / "dst") == contents(source)


def test_hard_links_become_separate_files(tmp_path, client):
    source = plant(tmp_path / "src", {"one": b"shared"})
    os.link(source / "one", source / "two")
    assert run(client, source, tmp_path / "dst").bytes == 12
    assert contents(tmp_path / "dst") == contents(source)
    assert (tmp_path / "dst/one").stat().st_nlink == 1


def test_a_sparse_file_is_copied_and_stays_sparse(tmp_path, client):
    source = plant(tmp_path / "src", {})
    with (source / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(200_000_000)
        file.write(b"middle")
        file.truncate(1_000_000_000)
    result = run(client, source, tmp_path / "dst")
    copied = (tmp_path / "dst/sparse").stat()
    assert result.bytes == copied.st_size == 1_000_000_000
    assert copied.st_blocks * 512 < 1_000_000
    assert result.bytes_moved < 1_000_000
    with (tmp_path / "dst/sparse").open("rb") as file:
        assert file.read(6) == b"begin\0"
        file.seek(199_999_999)
        assert file.read(8) == b"\0middle\0"


def test_sockets_and_pipes_are_skipped_and_counted(tmp_path, client):
    source = plant(tmp_path / "src", {"a": b"a"})
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(source / "socket"))
        result = run(client, source, tmp_path / "dst")
    assert result.specials == 2
    assert result.complete
    assert names_in(tmp_path / "dst") == ["a"]


def test_unreadable_entries_are_named_and_the_rest_is_copied(ordinary_user, client):
    source = plant(ordinary_user / "src", {"a": b"alpha", "closed": b"secret", "z": b"zeta", "folder/file": b"x"})
    (source / "closed").chmod(0)
    (source / "folder").chmod(0)
    result = run(client, source, ordinary_user / "dst")
    (source / "folder").chmod(0o700)
    assert {(problem.path, problem.reason) for problem in result.problems} == {
        ("closed", "Permission denied"),
        ("folder", "Permission denied"),
    }
    assert sorted(path.name for path in (ordinary_user / "dst").iterdir()) == ["a", "folder", "z"]
    migrate = next(subtask for subtask in result.subtasks if subtask.name == "MIGRATE_LINUX_FILE")
    assert (migrate.replicatesize, migrate.totalsize) == (9, 15)
    assert migrate.progress < 100
    assert not result.complete


def test_read_only_folders_are_copied_and_updated_by_an_ordinary_user(ordinary_user, client):
    source = plant(ordinary_user / "src", {"closed/file": b"x", "closed/second": b"y"})
    (source / "closed/file").chmod(0o400)
    (source / "closed").chmod(0o500)
    assert run(client, source, ordinary_user / "dst").complete
    (ordinary_user / "dst/closed").chmod(0o700)
    (ordinary_user / "dst/closed/second").unlink()
    (ordinary_user / "dst/closed").chmod(0o500)
    assert run(client, source, ordinary_user / "dst").complete
    assert contents(ordinary_user / "dst") == contents(source)
    for tree in ("src", "dst"):
        (ordinary_user / tree / "closed").chmod(0o700)


def test_a_set_user_id_bit_is_not_kept_for_another_owner(ordinary_user, client):
    if os.getuid() != 0:
        pytest.skip("only root can make a file of another owner")
    source = plant(ordinary_user / "src", {"tool": b"x"})
    os.seteuid(0)
    os.chown(source / "tool", 0, 0)
    (source / "tool").chmod(0o4755)
    os.seteuid(65534)
    assert run(client, source, ordinary_user / "dst").complete
    assert (ordinary_user / "dst/tool").stat().st_mode & 0o7777 == 0o755


def test_root_keeps_the_owners(tmp_path, client):
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    source = plant(tmp_path / "src", {"folder/file": b"x"})
    (source / "link").symlink_to("folder")
    for path in ("folder", "folder/file", "link"):
        os.chown(source / path, 1234, 4321, follow_symlinks=False)
    (source / "folder/file").chmod(0o4755)
    run(client, source, tmp_path / "dst")
    for path in ("folder", "folder/file", "link"):
        status = (tmp_path / "dst" / path).lstat()
        assert (status.st_uid, status.st_gid) == (1234, 4321)
    assert contents(tmp_path / "dst") == contents(source)


def after(subtask: str, act) -> Callable[[CopyProgress], None]:
    """Call `act` when the subtask has ended."""

    def on_progress(progress: CopyProgress) -> None:
        if progress.subtask == subtask and progress.ended:
            act()

    return on_progress


def halfway(act, at: int) -> Callable[[CopyProgress], None]:
    """Call `act` once when `at` bytes have been migrated."""
    acts = [act]

    def on_progress(progress: CopyProgress) -> None:
        if acts and progress.subtask == "MIGRATE_LINUX_FILE" and progress.bytes_done >= at:
            acts.pop()()

    return on_progress


def subtask_of(result: CopyResult, name: str) -> Subtask:
    return next(subtask for subtask in result.subtasks if subtask.name == name)


def test_a_file_that_vanishes_is_named_and_not_in_the_totals(tmp_path, client):
    source = plant(tmp_path / "src", {"a": b"alpha", "b": b"beta", "c": b"gamma"})
    result = run(client, source, tmp_path / "dst", on_progress=after("ATTACH_AGENT_IMAGE", (source / "b").unlink))
    assert [(problem.path, problem.reason) for problem in result.problems] == [("b", "gone before it could be copied")]
    assert (result.files, result.bytes) == (2, 10)
    migrate = subtask_of(result, "MIGRATE_LINUX_FILE")
    assert (migrate.progress, migrate.replicatesize, migrate.totalsize) == (100, 10, 10)
    assert not result.complete


def test_every_file_of_a_folder_that_vanishes_is_named(tmp_path, client):
    source = plant(tmp_path / "src", {"a": b"alpha", "gone/b": b"beta", "gone/c": b"gamma"})
    vanish = after("ATTACH_AGENT_IMAGE", lambda: shutil.rmtree(source / "gone"))
    result = run(client, source, tmp_path / "dst", on_progress=vanish)
    assert {problem.path for problem in result.problems} == {"gone/b", "gone/c"}
    assert (result.files, result.bytes) == (1, 5)


def test_changes_during_the_copy_are_synced(tmp_path, client):
    source = plant(tmp_path / "src", {"a": b"alpha", "b": b"beta"})

    def change():
        (source / "a").write_bytes(b"ALPHA!")
        plant(source / "new", {"folder/file": b"new"})

    result = run(client, source, tmp_path / "dst", on_progress=after("MIGRATE_LINUX_FILE", change))
    assert contents(tmp_path / "dst") == contents(source)
    assert (subtask_of(result, "MIGRATE_LINUX_FILE").replicatesize, result.bytes) == (9, 13)
    sync = subtask_of(result, "SYNC_LINUX_FILE")
    assert (sync.progress, sync.replicatesize, sync.totalsize) == (100, 9, 9)
    assert result.complete


def test_entries_that_were_unreadable_at_first_are_copied_by_the_sync(ordinary_user, client):
    source = plant(ordinary_user / "src", {"a": b"alpha", "b": b"beta", "closed/c": b"gamma"})
    (source / "a").chmod(0)
    (source / "closed").chmod(0)

    def make_readable():
        (source / "a").chmod(0o600)
        (source / "closed").chmod(0o700)

    result = run(client, source, ordinary_user / "dst", on_progress=after("MIGRATE_LINUX_FILE", make_readable))
    assert contents(ordinary_user / "dst") == contents(source)
    assert result.problems == ()
    assert subtask_of(result, "MIGRATE_LINUX_FILE").progress < 100
    assert subtask_of(result, "SYNC_LINUX_FILE").replicatesize == 10


@pytest.mark.parametrize("change", ["grows", "shrinks", "is replaced", "is emptied"])
def test_a_file_that_changes_during_the_copy_ends_up_equal_and_counted_to_the_byte(tmp_path, client, change):
    source = plant(tmp_path / "src", {"big": os.urandom(5_000_000), "small": b"s"})
    big = source / "big"
    grown = big.read_bytes() + b"more"
    acts = {
        "grows": lambda: big.write_bytes(grown),
        "shrinks": lambda: os.truncate(big, 1_000_000),
        "is replaced": lambda: (big.unlink(), big.write_bytes(b"another")),
        "is emptied": lambda: os.truncate(big, 0),
    }
    act = halfway(acts[change], at=2_000_000)
    result = run(client, source, tmp_path / "dst", on_progress=act, clock=SteppedClock(), bwlimit_bps=5_000_000)
    assert contents(tmp_path / "dst") == contents(source)
    assert result.bytes == size_of(source)
    assert result.complete
    migrate = subtask_of(result, "MIGRATE_LINUX_FILE")
    assert migrate.replicatesize == migrate.totalsize
    assert subtask_of(result, "SYNC_LINUX_FILE").replicatesize == big.stat().st_size


def test_a_file_that_fails_halfway_is_named_and_not_counted(tmp_path, client):
    source = plant(tmp_path / "src", {"a": b"alpha", "big": os.urandom(5_000_000), "z": b"zeta"})
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, usual[1]))
    try:
        result = run(client, source, tmp_path / "dst")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert [(problem.path, problem.reason) for problem in result.problems] == [("big", "File too large")]
    assert names_in(tmp_path / "dst") == ["a", "z"]
    assert result.bytes == 9
    for subtask in ("MIGRATE_LINUX_FILE", "SYNC_LINUX_FILE"):
        ended = subtask_of(result, subtask)
        assert ended.totalsize - ended.replicatesize == 5_000_000


def test_the_average_rate_keeps_the_limit(tmp_path, client):
    source = plant(tmp_path / "src", {f"{n}": os.urandom(300_000) for n in range(40)})
    for limit in (500_000, 20_000_000):
        clock = SteppedClock()
        result = run(client, source, tmp_path / f"dst{limit}", clock=clock, bwlimit_bps=limit)
        assert result.bytes_moved == 12_000_000
        chunk_and_burst = limit / 10 + max(4096, limit / 10)
        assert (12_000_000 - chunk_and_burst) / limit <= result.seconds <= 12_000_000 / limit + 0.001


def test_without_a_limit_the_copy_never_sleeps(tmp_path, client):
    clock = SteppedClock()
    run(client, plant(tmp_path / "src", {"a": os.urandom(3_000_000)}), tmp_path / "dst", clock=clock)
    assert clock.slept_s == []


def test_bytes_that_are_already_there_do_not_count_towards_the_limit(tmp_path, client):
    source = plant(tmp_path / "src", {"a": os.urandom(3_000_000)})
    run(client, source, tmp_path / "dst")
    clock = SteppedClock()
    run(client, source, tmp_path / "dst", clock=clock, bwlimit_bps=1000)
    assert clock.slept_s == []


@pytest.mark.parametrize("destination", ["src", "src/inside", "src/deep/er", "link/inside", "src/../src/x"])
def test_a_destination_in_the_source_is_refused(tmp_path, client, destination):
    source = plant(tmp_path / "src", {"a": b"a"})
    (tmp_path / "link").symlink_to(source)
    before = contents(source)
    with pytest.raises(CopyJobError, match="lies in the source"):
        run(client, source, tmp_path / destination)
    assert contents(source) == before


def test_a_destination_that_would_overwrite_the_source_is_refused(tmp_path, client):
    source = plant(tmp_path / "name", {"name/file": b"a"})
    with pytest.raises(CopyJobError, match="overwrite what it copies"):
        run(client, source, tmp_path)


def test_a_source_in_the_destination_is_otherwise_allowed(tmp_path, client):
    source = plant(tmp_path / "image", {"etc/hosts": b"a"})
    assert run(client, source, tmp_path).complete
    assert (tmp_path / "etc/hosts").read_bytes() == b"a"


def test_a_source_that_is_not_a_folder_is_refused(tmp_path, client):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "circle").symlink_to("circle")
    for name in ("file", "missing", "circle"):
        with pytest.raises(CopyJobError, match=name):
            run(client, tmp_path / name, tmp_path / "dst")


def test_a_destination_that_cannot_be_made_is_refused(tmp_path, client):
    source = plant(tmp_path / "src", {"a": b"a"})
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(DestinationUnusable, match="file/dst"):
        run(client, source, tmp_path / "file/dst")


def test_two_agents_never_write_to_one_destination(tmp_path, client):
    source = plant(tmp_path / "src", {"a": b"a"})
    refused = []

    def second():
        with pytest.raises(DestinationUnusable, match="another agent"):
            run(client, source, tmp_path / "dst")
        refused.append(True)

    assert run(client, source, tmp_path / "dst", on_progress=after("MIGRATE_LINUX_FILE", second)).complete
    assert refused


def test_a_full_destination_ends_the_copy_with_that_reason(client, tmp_path):
    if not os.access("/dev/full", os.W_OK) or os.geteuid() != 0:
        pytest.skip("needs a small file system, which only root can mount")
    full = tmp_path / "full"
    full.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", full], check=False, capture_output=True
    ).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        source = plant(tmp_path / "src", {f"{n}": os.urandom(400_000) for n in range(10)})
        result = run(client, source, full)
    finally:
        subprocess.run(["umount", full], check=True)
    assert result.stopped == "No space left on device at the destination"
    assert result.files == 2
    assert result.problems == ()
    assert not result.complete


def test_a_stop_ends_the_copy_between_two_chunks_and_a_second_run_continues_the_file(tmp_path, client):
    source = plant(tmp_path / "src", {"a": b"alpha", "big": os.urandom(5_000_000), "z": b"zeta"})
    stop = threading.Event()
    first = run(
        client,
        source,
        tmp_path / "dst",
        stop=stop,
        on_progress=halfway(stop.set, at=3_000_000),
        clock=SteppedClock(),
        bwlimit_bps=5_000_000,
    )
    assert first.stopped == ON_REQUEST
    assert not first.complete
    assert first.files == 1
    assert first.reports.undelivered == ()
    assert not (tmp_path / "dst/big").exists()
    second = run(client, source, tmp_path / "dst")
    assert second.complete
    assert contents(tmp_path / "dst") == contents(source)
    # At most one chunk of the limited run was not written yet.
    assert second.bytes_moved <= 5_000_000 - 3_000_000 + len(b"zeta") + 1024 * 1024
    assert subtask_of(second, "MIGRATE_LINUX_FILE").replicatesize == 5_000_009


def test_a_part_file_that_differs_from_the_source_is_not_kept(tmp_path, client):
    source = plant(tmp_path / "src", {"big": os.urandom(5_000_000)})
    stop = threading.Event()
    options = {"clock": SteppedClock(), "bwlimit_bps": 5_000_000}
    run(client, source, tmp_path / "dst", stop=stop, on_progress=halfway(stop.set, at=3_000_000), **options)
    (part,) = (tmp_path / "dst").iterdir()
    with part.open("r+b") as file:
        file.seek(1_500_000)
        file.write(b"damaged")
    assert run(client, source, tmp_path / "dst").complete
    assert contents(tmp_path / "dst") == contents(source)


def test_a_part_file_longer_than_the_source_is_truncated(tmp_path, client):
    source = plant(tmp_path / "src", {"big": os.urandom(5_000_000)})
    stop = threading.Event()
    options = {"clock": SteppedClock(), "bwlimit_bps": 5_000_000}
    run(client, source, tmp_path / "dst", stop=stop, on_progress=halfway(stop.set, at=3_000_000), **options)
    os.truncate(source / "big", 1_000_000)
    assert run(client, source, tmp_path / "dst").bytes == 1_000_000
    assert contents(tmp_path / "dst") == contents(source)


def test_a_part_file_whose_source_is_gone_is_removed_by_the_next_run(tmp_path, client):
    source = plant(tmp_path / "src", {"big": os.urandom(5_000_000), "deep/file": b"x"})
    stop = threading.Event()
    options = {"clock": SteppedClock(), "bwlimit_bps": 5_000_000}
    run(client, source, tmp_path / "dst", stop=stop, on_progress=halfway(stop.set, at=3_000_000), **options)
    (source / "big").unlink()
    assert run(client, source, tmp_path / "dst").complete
    assert contents(tmp_path / "dst") == contents(source)


def test_a_file_with_a_rounded_time_counts_as_current(tmp_path, client):
    source = plant(tmp_path / "src", {"a": b"alpha"})
    run(client, source, tmp_path / "dst")
    mtime = (source / "a").stat().st_mtime_ns
    os.utime(tmp_path / "dst/a", ns=(mtime, mtime // 10**9 * 10**9))
    assert run(client, source, tmp_path / "dst").bytes_moved == 0


def test_an_empty_tree_is_copied(tmp_path, client):
    (tmp_path / "src").mkdir()
    result = run(client, tmp_path / "src", tmp_path / "new/dst")
    assert (result.files, result.bytes, result.directories) == (0, 0, 1)
    assert [subtask.progress for subtask in result.subtasks] == [100, 100, 100, 100]
    assert result.complete


def test_a_copy_with_fsync_has_the_same_result(tmp_path, client):
    source = plant(tmp_path / "src", {"a": b"alpha"})
    assert run(client, source, tmp_path / "dst", fsync=True).complete
    assert contents(tmp_path / "dst") == contents(source)
