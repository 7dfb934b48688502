package taskstream.peers;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import taskstream.ProgressReported;
import taskstream.RateWindow;
import taskstream.SeriesState;

/**
 * The worker as a Kafka Streams application, exactly once: events become rows, in the changelog of the store, and windows.
 *
 * <p>Usage: StreamsWorker BOOTSTRAP SOURCE RATES APPLICATION_ID COMMIT_MS STATE_FOLDER STORE THREADS EVENT_ID STATE_ID
 * WINDOW_ID. STORE is memory or rocksdb; the last three are schema ids. It prints "ready RECORDS" when it is running with
 * RECORDS restored.
 */
public final class StreamsWorker {
  private static final String STORE = "series";
  private static final long CACHE_BYTES = 1L << 30;

  private StreamsWorker() {}

  public static void main(String[] arguments) throws InterruptedException {
    if (arguments.length != 11) {
      System.err.println("usage: StreamsWorker BOOTSTRAP SOURCE RATES APPLICATION_ID COMMIT_MS STATE_FOLDER STORE THREADS "
          + "EVENT_ID STATE_ID WINDOW_ID");
      System.exit(2);
    }
    FramedAvro<ProgressReported> events = new FramedAvro<>(ProgressReported.getClassSchema(), Integer.parseInt(arguments[8]));
    FramedAvro<SeriesState> rows = new FramedAvro<>(SeriesState.getClassSchema(), Integer.parseInt(arguments[9]));
    FramedAvro<RateWindow> windows = new FramedAvro<>(RateWindow.getClassSchema(), Integer.parseInt(arguments[10]));
    KeyValueBytesStoreSupplier store = arguments[6].equals("rocksdb")
        ? Stores.persistentKeyValueStore(STORE) : Stores.inMemoryKeyValueStore(STORE);
    Topology topology = new Topology();
    topology.addSource("events", Serdes.String().deserializer(), events, arguments[1]);
    topology.addProcessor("fold", FoldProcessor::new, "events");
    topology.addStateStore(Stores.keyValueStoreBuilder(store, Serdes.String(), rows).withCachingEnabled(), "fold");
    topology.addSink("windows", arguments[2], new StringSerializer(), windows, "fold");
    KafkaStreams streams = new KafkaStreams(topology, settings(arguments));
    reportReadiness(streams);
    CountDownLatch ended = new CountDownLatch(1);
    streams.setUncaughtExceptionHandler(error -> {
      error.printStackTrace();
      ended.countDown();
      return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(20))));
    streams.start();
    ended.await();
    System.exit(1);
  }

  private static void reportReadiness(KafkaStreams streams) {
    AtomicLong restored = new AtomicLong();
    streams.setGlobalStateRestoreListener(new StateRestoreListener() {
      @Override
      public void onRestoreStart(TopicPartition partition, String store, long begin, long end) {}

      @Override
      public void onBatchRestored(TopicPartition partition, String store, long end, long records) {}

      @Override
      public void onRestoreEnd(TopicPartition partition, String store, long records) {
        restored.addAndGet(records);
      }
    });
    streams.setStateListener((now, before) -> {
      if (now == KafkaStreams.State.RUNNING) {
        System.out.println("ready " + restored.get());
      }
    });
  }

  private static Properties settings(String[] arguments) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[3]);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments[4]);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[5]);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[7]);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, "1");
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, CACHE_BYTES);
    settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, "10000");
    settings.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), "10000");
    settings.put(StreamsConfig.restoreConsumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), "20000");
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), String.valueOf(8 << 20));
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), "20");
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), String.valueOf(256 << 10));
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), String.valueOf(256 << 20));
    return settings;
  }

  /** Keeps the row of each series of its partition in the store, and forwards the windows. */
  private static final class FoldProcessor implements Processor<String, ProgressReported, String, RateWindow> {
    private final String idPrefix = UUID.randomUUID().toString().replace("-", "") + "-";
    private ProcessorContext<String, RateWindow> context;
    private KeyValueStore<String, SeriesState> store;
    private long sent;

    @Override
    public void init(ProcessorContext<String, RateWindow> context) {
      this.context = context;
      this.store = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, ProgressReported> record) {
      ProgressReported report = record.value();
      String key = report.getProjectId() + "/" + report.getTaskId() + "/" + report.getSubtaskName();
      SeriesState row = store.get(key);
      if (row == null) {
        row = Fold.newRow(report);
      }
      if (Fold.add(row, report, window -> forward(key, window, record.timestamp()))) {
        store.put(key, row);
      }
    }

    private void forward(String key, RateWindow window, long timestamp) {
      Headers headers = new RecordHeaders();
      headers.add("ce_id", (idPrefix + sent++).getBytes(StandardCharsets.US_ASCII));
      CloudEvents.addConstant(headers, "RateWindow", "/taskstream/worker");
      context.forward(new Record<>(key, window, timestamp, headers));
    }
  }
}
