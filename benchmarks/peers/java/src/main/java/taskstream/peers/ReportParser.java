package taskstream.peers;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import taskstream.ProgressReported;

/** Parses the body of a report and checks its bounds. It knows neither HTTP nor Kafka. */
final class ReportParser {
  /** A broken rule. */
  static final class InvalidReport extends Exception {
    /** Whether the body is not a JSON object with the types of the API. */
    final boolean isMalformed;

    InvalidReport(boolean isMalformed, String message) {
      super(message, null, false, false);
      this.isMalformed = isMalformed;
    }
  }

  private static final JsonFactory JSON = new JsonFactory();
  private static final int MANDATORY = 0b11111;
  private static final int MAX_TRACE_CHARACTERS = 2048;
  private static final int MAX_TIME_CHARACTERS = 255;
  private static final double MAX_RATE = 10_000;
  private static final Set<String> SUBTASKS = Set.of(
      "CREATE_CLOUD_SERVER", "SSL_CONFIG", "ATTACH_AGENT_IMAGE", "DETTACH_AGENT_IMAGE",
      "FORMAT_DISK_LINUX", "FORMAT_DISK_LINUX_FILE", "FORMAT_DISK_LINUX_BLOCK", "FORMAT_DISK_WINDOWS",
      "MIGRATE_LINUX_FILE", "MIGRATE_LINUX_BLOCK", "MIGRATE_WINDOWS_BLOCK", "CLONE_VM",
      "SYNC_LINUX_FILE", "SYNC_LINUX_BLOCK", "SYNC_WINDOWS_BLOCK",
      "CONFIGURE_LINUX", "CONFIGURE_LINUX_BLOCK", "CONFIGURE_LINUX_FILE", "CONFIGURE_WINDOWS");

  private ReportParser() {}

  /** The event of a body, without its ids and its time; the first rule that is broken is thrown. */
  static ProgressReported parse(byte[] body) throws InvalidReport {
    ProgressReported event = new ProgressReported();
    int seen = 0;
    try (JsonParser json = JSON.createParser(body)) {
      StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(body));
      require(json.nextToken() == JsonToken.START_OBJECT, "send a JSON object");
      while (json.nextToken() == JsonToken.FIELD_NAME) {
        seen |= readField(json, event);
      }
      require(json.nextToken() == null, "send one JSON object");
    } catch (CharacterCodingException error) {
      throw new InvalidReport(true, "the body is not valid UTF-8");
    } catch (IOException error) {
      throw new InvalidReport(true, "the body is not valid JSON");
    }
    if (seen != MANDATORY) {
      throw new InvalidReport(false, "a mandatory field is missing");
    }
    return event;
  }

  /** The bit of a mandatory field; 0 for any other. */
  private static int readField(JsonParser json, ProgressReported event) throws IOException, InvalidReport {
    String name = json.currentName();
    boolean isNull = json.nextToken() == JsonToken.VALUE_NULL;
    switch (name) {
      case "subtask_name" -> {
        String subtask = text(json, name, Integer.MAX_VALUE);
        check(SUBTASKS.contains(subtask), name, "one of the subtasks");
        event.setSubtaskName(subtask);
        return 0b1;
      }
      case "progress" -> {
        event.setProgress((int) integer(json, name, 100));
        return 0b10;
      }
      case "replicatesize" -> {
        event.setReplicatesize(integer(json, name, Long.MAX_VALUE));
        return 0b100;
      }
      case "totalsize" -> {
        event.setTotalsize(integer(json, name, Long.MAX_VALUE));
        return 0b1000;
      }
      case "process_trace" -> {
        event.setProcessTrace(text(json, name, MAX_TRACE_CHARACTERS));
        return 0b10000;
      }
      case "migrate_speed" -> event.setMigrateSpeed(isNull ? null : rate(json, name));
      case "compress_rate" -> event.setCompressRate(isNull ? null : rate(json, name));
      case "remain_time" -> event.setRemainTime(isNull ? null : Long.valueOf(integer(json, name, Integer.MAX_VALUE)));
      case "total_cpu_usage" -> event.setTotalCpuUsage(isNull ? null : number(json, name));
      case "agent_cpu_usage" -> event.setAgentCpuUsage(isNull ? null : number(json, name));
      case "total_mem_usage" -> event.setTotalMemUsage(isNull ? null : number(json, name));
      case "agent_mem_usage" -> event.setAgentMemUsage(isNull ? null : number(json, name));
      case "total_disk_io" -> event.setTotalDiskIo(isNull ? null : number(json, name));
      case "agent_disk_io" -> event.setAgentDiskIo(isNull ? null : number(json, name));
      case "need_migration_test" -> {
        require(isNull || json.currentToken().isBoolean(), name + ": must be a boolean");
        event.setNeedMigrationTest(isNull ? null : Boolean.valueOf(json.getBooleanValue()));
      }
      case "agent_time" -> event.setAgentTime(isNull ? null : text(json, name, MAX_TIME_CHARACTERS));
      default -> json.skipChildren();
    }
    return 0;
  }

  private static String text(JsonParser json, String name, int maxCharacters) throws IOException, InvalidReport {
    require(json.currentToken() == JsonToken.VALUE_STRING, name + ": must be a string");
    String text = json.getText();
    check(text.codePointCount(0, text.length()) <= maxCharacters, name, "a string of up to " + maxCharacters + " characters");
    return text;
  }

  private static long integer(JsonParser json, String name, long most) throws IOException, InvalidReport {
    require(json.currentToken() == JsonToken.VALUE_NUMBER_INT, name + ": must be an integer");
    long value = json.getLongValue();
    check(value >= 0 && value <= most, name, "an integer from 0 to " + most);
    return value;
  }

  private static Double number(JsonParser json, String name) throws IOException, InvalidReport {
    require(json.currentToken().isNumeric(), name + ": must be a number");
    return json.getDoubleValue();
  }

  private static Double rate(JsonParser json, String name) throws IOException, InvalidReport {
    Double value = number(json, name);
    check(value >= 0 && value <= MAX_RATE, name, "a number from 0 to 10000");
    return value;
  }

  private static void require(boolean holds, String message) throws InvalidReport {
    if (!holds) {
      throw new InvalidReport(true, message);
    }
  }

  private static void check(boolean holds, String name, String wanted) throws InvalidReport {
    if (!holds) {
      throw new InvalidReport(false, name + ": must be " + wanted);
    }
  }
}
