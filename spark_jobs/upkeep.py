"""What `maintain` does to one table, step by step, through Iceberg's Java API.

There a step can be planned without being done, and tells which files it is about to delete.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from py4j.java_gateway import JavaObject
from pyspark.sql import SparkSession

from spark_jobs import history
from spark_jobs.history import History, Replaced
from spark_jobs.iceberg import LakeTable, conflicts, iceberg

_REWRITE: Final = {
    "target-file-size-bytes": str(128 * 2**20),
    # A few small files in a partition cost less than reading and writing them again.
    "min-input-files": "5",
    # A group is one sort: bounds what is read, shuffled and spilled at once.
    "max-file-group-size-bytes": str(2**30),
}
# Iceberg merges manifests by itself only from 100 on, and planning a scan opens each of them.
_MANIFEST_BYTES: Final = 8 * 2**20
_MANIFESTS_WORTH_IT: Final = 10


@dataclass(frozen=True)
class Files:
    """Some files and their size together, in bytes."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class State:
    """What a table's head holds by its own metadata, and how many snapshots there are."""

    data: Files
    manifests: Files
    records: int
    snapshots: int


@dataclass(frozen=True)
class Rewritten:
    """What became of the files of a rewrite."""

    old: Files
    new: Files
    records_before: int
    records_after: int


class UpkeepTable(LakeTable):
    """A table of the lake as its caretaker sees it."""

    def __init__(self, spark: SparkSession, identifier: str) -> None:
        super().__init__(spark, identifier)
        self._spark = spark
        self._actions = iceberg(spark).spark.actions.SparkActions.get(spark._jsparkSession)

    def history(self) -> History:
        """Return all snapshots and refs of one metadata version, the newest."""
        self.refresh()
        parser = self._jvm.org.apache.iceberg.TableMetadataParser
        return history.parse(parser.toJson(self._table.operations().current()))

    def state(self) -> State:
        """Return the newest head's figures."""
        self.refresh()
        head = self._table.currentSnapshot()
        summary = {} if head is None else head.summary()
        manifests = [] if head is None else head.allManifests(self._table.io())
        # Those that list only files removed are dropped by the next commit.
        live = [m for m in manifests if m.hasAddedFiles() or m.hasExistingFiles()]
        return State(
            _files(summary, "total-data-files", "total-files-size"),
            Files(len(live), sum(int(manifest.length()) for manifest in live)),
            int(summary.get("total-records") or 0),
            sum(1 for _ in self._table.snapshots().iterator()),
        )

    def set_refs(self, tags: Mapping[str, int], dropped: Iterable[str]) -> None:
        """Set or move tags, and drop branches and tags, in one commit.

        Raises:
            CommitConflictError: other writers were in the way too often.
        """
        refs = self._table.refs()
        with conflicts(self.identifier):
            change = self._table.manageSnapshots()
            for name, snapshot in tags.items():
                move = change.replaceTag if refs.get(name) is not None else change.createTag
                move(name, snapshot)
            for name in dropped:
                drop = change.removeTag if refs.get(name).isTag() else change.removeBranch
                drop(name)
            change.commit()

    def to_rewrite(self) -> Files:
        """Return the data files that ``rewrite`` would replace."""
        self.refresh()
        planner = self._jvm.org.apache.iceberg.actions.BinPackRewriteFilePlanner(self._table)
        planner.init(self._options())
        with closing(planner.plan().groups()) as groups:
            sizes = [(g.inputFileNum(), g.inputFilesSizeInBytes()) for g in groups.iterator()]
        return Files(sum(int(count) for count, _ in sizes), sum(int(size) for _, size in sizes))

    def rewrite(self) -> Rewritten:
        """Replace small files by few that are sorted as the table is.

        One commit on main, which Iceberg itself makes again over commits that only append: a
        branch of ours would lose each race against compaction, and with it minutes of work.
        """
        self.refresh()
        self._actions.rewriteDataFiles(self._table).sort().options(self._options()).execute()
        found = self.history()
        summary = next(
            snapshot.summary
            for snapshot in found.lineage(found.head)
            if snapshot.summary.get("operation") == "replace"
        )
        return Rewritten(
            _files(summary, "deleted-data-files", "removed-files-size"),
            _files(summary, "added-data-files", "added-files-size"),
            int(summary.get("deleted-records") or 0),
            int(summary.get("added-records") or 0),
        )

    def are_manifests_worth_it(self, manifests: Files) -> bool:
        """Say whether half as many manifests, or fewer, could list the same files."""
        needed = -(-manifests.bytes // _MANIFEST_BYTES)
        return manifests.files >= max(_MANIFESTS_WORTH_IT, 2 * needed)

    def rewrite_manifests(self) -> None:
        """List the same data files in few manifests, clustered by partition."""
        self.refresh()
        self._actions.rewriteManifests(self._table).execute()

    def replaced(self) -> list[Replaced]:
        """Return the data files that snapshots still tell of having taken out."""
        rows = self._spark.sql(
            "select distinct data_file.file_path, data_file.file_size_in_bytes, "  # noqa: S608
            f"file_sequence_number, snapshot_id from {self.identifier}.all_entries where status = 2"
        )
        return [Replaced(size, sequence, by) for _, size, sequence, by in rows.collect()]

    def expire(self, snapshots: Collection[int]) -> list[str]:
        """Take exactly these snapshots out of the table; return the files that nobody needs now.

        The files are still there: whoever dies before they are deleted leaves orphans.

        Raises:
            CommitConflictError: other writers were in the way too often.
        """
        self.refresh()
        found = self._jvm.java.util.Vector()
        # By age nothing goes: a commit that came after the look at the history is not in it.
        change = self._table.expireSnapshots().expireOlderThan(0)
        for snapshot in snapshots:
            change.expireSnapshotId(snapshot)
        with conflicts(self.identifier):
            change.deleteWith(self._adding_to(found)).commit()
        return list(found)

    def orphans(self, older_than_ms: int) -> list[str]:
        """Return files below the table's folder that nothing refers to, changed before a time."""
        self.refresh()
        found = self._jvm.java.util.Vector()
        action = self._actions.deleteOrphanFiles(self._table).olderThan(older_than_ms)
        action.deleteWith(self._adding_to(found)).execute()
        return list(found)

    def stored(self) -> Files:
        """Return all files below the table's folder, whoever needs them."""
        path = self._jvm.org.apache.hadoop.fs.Path(self._table.location())
        found = self._filesystem(path).getContentSummary(path)
        return Files(int(found.getFileCount()), int(found.getLength()))

    def sizes(self, names: Iterable[str]) -> Files:
        """Return number and size of files that are there."""
        paths = [self._jvm.org.apache.hadoop.fs.Path(name) for name in names]
        sizes = [int(self._filesystem(path).getFileStatus(path).getLen()) for path in paths]
        return Files(len(sizes), sum(sizes))

    def delete(self, names: Iterable[str]) -> None:
        """Delete files; fails where one could not be."""
        paths = self._jvm.java.util.ArrayList()
        for name in names:
            paths.add(name)
        self._table.io().deleteFiles(paths)

    def _filesystem(self, path: JavaObject) -> JavaObject:
        return path.getFileSystem(self._spark.sparkContext._jsc.hadoopConfiguration())

    def _adding_to(self, found: JavaObject) -> JavaObject:
        """Return a Java function that adds what it is given to a list, and deletes nothing."""
        consumer = self._jvm.java.lang.Class.forName("java.util.function.Consumer")
        return self._jvm.java.beans.EventHandler.create(consumer, found, "add", "")

    def _options(self) -> JavaObject:
        options = self._jvm.java.util.HashMap()
        for name, value in _REWRITE.items():
            options.put(name, value)
        return options


def _files(summary: Mapping[str, str], count: str, size: str) -> Files:
    return Files(int(summary.get(count) or 0), int(summary.get(size) or 0))
