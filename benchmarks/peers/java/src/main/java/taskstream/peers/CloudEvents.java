package taskstream.peers;

import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.header.Headers;

/** The headers of CloudEvents that do not differ from record to record. */
final class CloudEvents {
  private CloudEvents() {}

  static void addConstant(Headers headers, String record, String source) {
    headers.add("ce_specversion", ascii("1.0"));
    headers.add("ce_type", ascii("taskstream." + record));
    headers.add("ce_source", ascii(source));
    headers.add("content-type", ascii("application/avro"));
  }

  static byte[] ascii(String text) {
    return text.getBytes(StandardCharsets.US_ASCII);
  }
}
