package taskstream.peers;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import taskstream.ProgressReported;
import taskstream.RateWindow;
import taskstream.SeriesState;

/** Folds a report into the row of its series: duplicates, late reports, resets, rates, minutes, trend. It knows no Kafka. */
final class Fold {
  private static final int KEPT_MINUTES = 30;
  private static final int KEPT_EVENT_IDS = 16;
  private static final int TREND_MINUTES = 8;
  private static final double TREND_SLOPE = 0.01;
  private static final long MINUTE_US = 60_000_000;
  private static final double FAST_HALF_LIFE_S = 60;
  private static final double SLOW_HALF_LIFE_S = 600;
  private static final double GAP_WEIGHT = 1.0 / 8;
  private static final long HASH_FACTOR = 0xC6A4A7935BD1E995L;
  private static final int HASH_SHIFT = 47;

  private Fold() {}

  /** The row of a series before its first report. */
  static SeriesState newRow(ProgressReported report) {
    long now = report.getReceivedAt();
    SeriesState row = new SeriesState();
    row.setProjectId(report.getProjectId());
    row.setTaskId(report.getTaskId());
    row.setSubtaskName(report.getSubtaskName());
    row.setFirstSeen(now);
    row.setLastSeen(now);
    row.setReplicatesize(report.getReplicatesize());
    row.setOpenMinute(now / MINUTE_US * MINUTE_US);
    row.setMinuteBytes(new ArrayList<>(1));
    row.setEventIds(new ArrayList<>(1));
    row.setTrend("WARMING");
    row.setHealth("OK");
    row.setHealthSince(now);
    restartMeasuring(row, now, report.getReplicatesize());
    return row;
  }

  /** Whether the row changed; `closed` gets every minute that ends. */
  static boolean add(SeriesState row, ProgressReported report, Consumer<RateWindow> closed) {
    if (isDuplicate(row.getEventIds(), report.getEventId())) {
      return false;
    }
    long now = report.getReceivedAt();
    long done = report.getReplicatesize();
    boolean isReset = done < row.getReplicatesize();
    row.setReports(row.getReports() + 1);
    if (isReset && !row.getHeld()) {
      row.setHeld(true);
      return true;
    }
    if (row.getHeld() && !isReset) {
      row.setStale(row.getStale() + 1);
    }
    row.setHeld(false);
    if (now < row.getLastSeen()) {
      row.setSkewed(row.getSkewed() + 1);
      now = row.getLastSeen();
    }
    long openBefore = row.getOpenMinute();
    if (isReset) {
      row.setOpenMinuteBytes(row.getOpenMinuteBytes() + row.getReplicatesize() - row.getRatedBytes());
      advanceMinutes(row, now, 0, row.getLastSeen(), closed);
      row.setResets(row.getResets() + 1);
      restartMeasuring(row, now, done);
    } else {
      if (done > row.getReplicatesize() || report.getProgress() > row.getProgress()) {
        row.setLastAdvance(now);
      }
      if (report.getProgress() < row.getProgress()) {
        row.setRegressions(row.getRegressions() + 1);
      }
      if (now > row.getLastSeen()) {
        measure(row, now, done - row.getRatedBytes(), closed);
        row.setRatedBytes(done);
      }
    }
    copyReport(row, report, now);
    if (isReset || row.getOpenMinute() > openBefore) {
      long firstWhole = -Math.floorDiv(-row.getRatedFrom(), MINUTE_US) * MINUTE_US;
      long whole = (row.getOpenMinute() - firstWhole) / MINUTE_US;
      row.setCompleteMinutes((int) Math.min(Math.max(whole, 0), KEPT_MINUTES));
      setTrend(row);
    }
    if (row.getRateSlowBps() != null && row.getRateSlowBps() > 0) {
      row.setEtaS((row.getTotalsize() - done) / row.getRateSlowBps());
    }
    setHealth(row, now);
    return true;
  }

  private static void restartMeasuring(SeriesState row, long now, long done) {
    row.setLastAdvance(now);
    row.setRatedFrom(now);
    row.setRatedBytes(done);
    row.setSamples(0);
    row.setRateFastBps(null);
    row.setRateSlowBps(null);
    row.setRatePeakBps(null);
  }

  private static void measure(SeriesState row, long now, long gained, Consumer<RateWindow> closed) {
    double stepS = (now - row.getLastSeen()) / 1e6;
    double measuredS = (now - row.getRatedFrom()) / 1e6;
    double sample = gained / stepS;
    advanceMinutes(row, now, gained, now, closed);
    row.setRateFastBps(mean(row.getRateFastBps(), sample, stepS, measuredS, FAST_HALF_LIFE_S));
    row.setRateSlowBps(mean(row.getRateSlowBps(), sample, stepS, measuredS, SLOW_HALF_LIFE_S));
    Double peak = row.getRatePeakBps();
    row.setRatePeakBps(peak == null ? row.getRateFastBps() : Math.max(peak, row.getRateFastBps()));
    row.setSamples(row.getSamples() + 1);
    Double gap = row.getTypicalGapS();
    row.setTypicalGapS(gap == null ? stepS : gap + (stepS - gap) * GAP_WEIGHT);
  }

  /** The exponentially weighted mean in continuous time, without the bias of its start. */
  private static double mean(Double before, double sample, double stepS, double measuredS, double halfLifeS) {
    if (before == null) {
      return sample;
    }
    double decay = Math.log(2) / halfLifeS;
    return before + (sample - before) * (Math.expm1(-stepS * decay) / Math.expm1(-measuredS * decay));
  }

  private static void advanceMinutes(
      SeriesState row, long until, long gained, long measuredUntil, Consumer<RateWindow> closed) {
    long last = until / MINUTE_US * MINUTE_US;
    long begin = row.getLastSeen();
    long assigned = 0;
    if (last > row.getOpenMinute()) {
      long edge = row.getOpenMinute() + MINUTE_US;
      assigned = gainedBy(gained, begin, until, edge);
      close(row, row.getOpenMinute(), 1, row.getOpenMinuteBytes() + assigned, until, measuredUntil, closed);
      long older = (last - edge) / MINUTE_US - KEPT_MINUTES;
      if (older > 0) {
        long by = gainedBy(gained, begin, until, edge + older * MINUTE_US);
        close(row, edge, older, by - assigned, until, measuredUntil, closed);
        assigned = by;
        edge += older * MINUTE_US;
      }
      for (; edge < last; edge += MINUTE_US) {
        long by = gainedBy(gained, begin, until, edge + MINUTE_US);
        close(row, edge, 1, by - assigned, until, measuredUntil, closed);
        assigned = by;
      }
      row.setOpenMinute(last);
      row.setOpenMinuteBytes(0);
    }
    row.setOpenMinuteBytes(row.getOpenMinuteBytes() + gained - assigned);
  }

  private static long gainedBy(long gained, long begin, long until, long moment) {
    if (moment >= until) {
      return gained;
    }
    return Math.min((long) ((double) gained * ((double) (moment - begin) / (double) (until - begin))), gained);
  }

  private static void close(
      SeriesState row, long start, long minutes, long bytes, long until, long measuredUntil, Consumer<RateWindow> closed) {
    if (minutes == 1) {
      addNewest(row.getMinuteBytes(), bytes, KEPT_MINUTES);
    }
    double widthS = minutes * (MINUTE_US / 1e6);
    boolean isComplete = start >= row.getRatedFrom() && start + minutes * MINUTE_US <= measuredUntil;
    closed.accept(new RateWindow(
        row.getProjectId(), row.getTaskId(), row.getSubtaskName(), start, (int) minutes, widthS, bytes, bytes / widthS,
        isComplete, row.getProgress(), row.getReplicatesize(), row.getTotalsize(), until));
  }

  /** Fits a line to the logarithms of the complete minutes' bytes, by least squares. */
  private static void setTrend(SeriesState row) {
    int count = row.getCompleteMinutes();
    if (count < TREND_MINUTES) {
      row.setTrend("WARMING");
      return;
    }
    List<Long> minutes = row.getMinuteBytes();
    List<Long> complete = minutes.subList(minutes.size() - count, minutes.size());
    double[] logs = new double[count];
    double average = 0;
    for (int index = 0; index < count; index++) {
      logs[index] = Math.log(Math.max(1, complete.get(index)));
      average += logs[index] / count;
    }
    double cross = 0;
    double square = 0;
    for (int index = 0; index < count; index++) {
      double distance = index - (count - 1) / 2.0;
      cross += distance * (logs[index] - average);
      square += distance * distance;
    }
    double slope = cross / square;
    row.setTrendSlopePct(100 * Math.expm1(slope));
    row.setTrend(Math.abs(slope) <= TREND_SLOPE ? "STEADY" : slope < 0 ? "SLOWING" : "ACCELERATING");
  }

  private static void copyReport(SeriesState row, ProgressReported report, long now) {
    row.setLastSeen(now);
    row.setProgress(report.getProgress());
    row.setReplicatesize(report.getReplicatesize());
    row.setTotalsize(report.getTotalsize());
    row.setProcessTrace(report.getProcessTrace());
    row.setMigrateSpeed(report.getMigrateSpeed());
    row.setCompressRate(report.getCompressRate());
    row.setRemainTime(report.getRemainTime());
    row.setTotalCpuUsage(report.getTotalCpuUsage());
    row.setAgentCpuUsage(report.getAgentCpuUsage());
    row.setTotalMemUsage(report.getTotalMemUsage());
    row.setAgentMemUsage(report.getAgentMemUsage());
    row.setTotalDiskIo(report.getTotalDiskIo());
    row.setAgentDiskIo(report.getAgentDiskIo());
    row.setNeedMigrationTest(report.getNeedMigrationTest());
    row.setAgentTime(report.getAgentTime());
  }

  private static void setHealth(SeriesState row, long now) {
    String health = row.getProgress() == 100 ? "COMPLETE" : now - row.getLastAdvance() > MINUTE_US ? "NO_PROGRESS" : "OK";
    if (!health.equals(row.getHealth())) {
      row.setHealth(health);
      row.setHealthSince(now);
    }
  }

  /** Whether the row has folded this event; if not, it becomes the newest of the row's ids. */
  private static boolean isDuplicate(List<Long> ids, String eventId) {
    if (eventId.isEmpty()) {
      return false;
    }
    long hash = hash(eventId.getBytes(StandardCharsets.UTF_8));
    if (ids.contains(hash)) {
      return true;
    }
    addNewest(ids, hash, KEPT_EVENT_IDS);
    return false;
  }

  private static void addNewest(List<Long> values, long value, int most) {
    if (values.size() == most) {
      values.remove(0);
    }
    values.add(value);
  }

  /** MurmurHash64A with a seed of 0; 1 in place of 0, as the state's hashes are. */
  private static long hash(byte[] text) {
    ByteBuffer bytes = ByteBuffer.wrap(text).order(ByteOrder.LITTLE_ENDIAN);
    long digest = text.length * HASH_FACTOR;
    while (bytes.remaining() >= Long.BYTES) {
      long word = bytes.getLong() * HASH_FACTOR;
      word ^= word >>> HASH_SHIFT;
      digest = (digest ^ word * HASH_FACTOR) * HASH_FACTOR;
    }
    if (bytes.hasRemaining()) {
      long word = 0;
      for (int shift = 0; bytes.hasRemaining(); shift += Byte.SIZE) {
        word |= (bytes.get() & 0xFFL) << shift;
      }
      digest = (digest ^ word) * HASH_FACTOR;
    }
    digest = (digest ^ digest >>> HASH_SHIFT) * HASH_FACTOR;
    digest ^= digest >>> HASH_SHIFT;
    return digest == 0 ? 1 : digest;
  }
}
