package taskstream.peers;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;

/** The callers of a token file, by the SHA-256 of their token. The file is read once. */
final class Tokens {
  /** Whose token it is. */
  record Caller(String project, boolean mayReport, Instant expiresAt) {}

  private final Map<ByteBuffer, Caller> callers = new HashMap<>();
  private final MessageDigest sha256;

  Tokens(Path path) throws IOException {
    try {
      sha256 = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException error) {
      throw new IllegalStateException(error);
    }
    for (String line : Files.readAllLines(path)) {
      if (!line.isBlank() && !line.startsWith("#")) {
        add(line);
      }
    }
  }

  /** The caller; null for a token that is missing, unknown or expired. One thread calls it. */
  Caller caller(String token, Instant now) {
    if (token == null || token.isEmpty()) {
      return null;
    }
    Caller found = callers.get(ByteBuffer.wrap(sha256.digest(token.getBytes(StandardCharsets.UTF_8))));
    return found == null || found.expiresAt != null && !now.isBefore(found.expiresAt) ? null : found;
  }

  private void add(String line) throws IOException {
    String hash = null;
    String project = null;
    boolean mayReport = false;
    Instant expiresAt = null;
    try (JsonParser json = new JsonFactory().createParser(line)) {
      json.nextToken();
      while (json.nextToken() == JsonToken.FIELD_NAME) {
        String name = json.currentName();
        json.nextToken();
        switch (name) {
          case "sha256" -> hash = json.getText();
          case "project" -> project = json.getText();
          case "expires_at" -> expiresAt = json.getText() == null ? null : OffsetDateTime.parse(json.getText()).toInstant();
          case "roles" -> {
            while (json.nextToken() != JsonToken.END_ARRAY) {
              mayReport |= json.getText().equals("report");
            }
          }
          default -> json.skipChildren();
        }
      }
    }
    if (hash == null || project == null) {
      throw new IOException("not a token: write it with `taskstream token`");
    }
    callers.put(ByteBuffer.wrap(HexFormat.of().parseHex(hash)), new Caller(project, mayReport, expiresAt));
  }
}
