package taskstream.peers;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificDatumWriter;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;

/** Avro after the magic byte 0 and a schema id of four bytes. Its buffers belong to one thread each. */
final class FramedAvro<T extends SpecificRecordBase> implements Serde<T>, Serializer<T>, Deserializer<T> {
  private static final int PREFIX_BYTES = 5;

  private final byte[] prefix;
  private final ThreadLocal<SpecificDatumReader<T>> readers;
  private final ThreadLocal<SpecificDatumWriter<T>> writers;
  private final ThreadLocal<BinaryDecoder> decoders = new ThreadLocal<>();
  private final ThreadLocal<BinaryEncoder> encoders = new ThreadLocal<>();
  private final ThreadLocal<ByteArrayOutputStream> buffers = ThreadLocal.withInitial(() -> new ByteArrayOutputStream(1024));

  FramedAvro(Schema schema, int schemaId) {
    prefix = ByteBuffer.allocate(PREFIX_BYTES).put((byte) 0).putInt(schemaId).array();
    readers = ThreadLocal.withInitial(() -> new SpecificDatumReader<>(schema));
    writers = ThreadLocal.withInitial(() -> new SpecificDatumWriter<>(schema));
  }

  @Override
  public byte[] serialize(String topic, T value) {
    if (value == null) {
      return null;
    }
    ByteArrayOutputStream buffer = buffers.get();
    buffer.reset();
    buffer.write(prefix, 0, PREFIX_BYTES);
    BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(buffer, encoders.get());
    encoders.set(encoder);
    try {
      writers.get().write(value, encoder);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return buffer.toByteArray();
  }

  @Override
  public T deserialize(String topic, byte[] value) {
    if (value == null) {
      return null;
    }
    if (value.length < PREFIX_BYTES || !Arrays.equals(value, 0, PREFIX_BYTES, prefix, 0, PREFIX_BYTES)) {
      throw new IllegalArgumentException("a record of topic " + topic + " has another schema");
    }
    BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(value, PREFIX_BYTES, value.length - PREFIX_BYTES, decoders.get());
    decoders.set(decoder);
    try {
      return readers.get().read(null, decoder);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  @Override
  public Serializer<T> serializer() {
    return this;
  }

  @Override
  public Deserializer<T> deserializer() {
    return this;
  }

  @Override
  public void configure(Map<String, ?> settings, boolean isKey) {}

  @Override
  public void close() {}
}
