package taskstream.peers;

import static taskstream.peers.CloudEvents.ascii;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.socket.SocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpVersion;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import taskstream.ProgressReported;

/**
 * The edge in Java: a report over HTTP becomes an Avro event on Kafka, and 200 follows Kafka's acknowledgement.
 *
 * <p>Usage: NettyEdge PORT BOOTSTRAP TOPIC TOKEN_FILE SCHEMA_FILE SCHEMA_ID. The schema is the one that this program was
 * built with; the file is not read.
 */
public final class NettyEdge {
  private static final int MAX_BODY_BYTES = 64 << 10;
  private static final int MAX_TASK_ID_CHARACTERS = 255;
  private static final int BACKLOG = 2048;
  private static final String PATH_BEGIN = "/v3/tasks/";
  private static final String PATH_END = "/progress";
  private static final DateTimeFormatter RFC3339 =
      DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);

  private NettyEdge() {}

  public static void main(String[] arguments) throws Exception {
    if (arguments.length != 6) {
      System.err.println("usage: NettyEdge PORT BOOTSTRAP TOPIC TOKEN_FILE SCHEMA_FILE SCHEMA_ID");
      System.exit(2);
    }
    Properties settings = new Properties();
    settings.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[1]);
    settings.put(ProducerConfig.ACKS_CONFIG, "all");
    settings.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, "true");
    settings.put(ProducerConfig.LINGER_MS_CONFIG, "5");
    settings.put(ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, "9000");
    settings.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, "10000");
    settings.put(ProducerConfig.BATCH_SIZE_CONFIG, String.valueOf(256 << 10));
    Producer<byte[], byte[]> producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    Tokens tokens = new Tokens(Path.of(arguments[3]));
    FramedAvro<ProgressReported> events =
        new FramedAvro<>(ProgressReported.getClassSchema(), Integer.parseInt(arguments[5]));
    new ServerBootstrap()
        .group(new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory()))
        .channel(EpollServerSocketChannel.class)
        .option(ChannelOption.SO_BACKLOG, BACKLOG)
        .childOption(ChannelOption.TCP_NODELAY, true)
        .childHandler(new ChannelInitializer<SocketChannel>() {
          @Override
          protected void initChannel(SocketChannel channel) {
            channel.pipeline().addLast(
                new HttpServerCodec(), new HttpObjectAggregator(MAX_BODY_BYTES),
                new ReportHandler(producer, arguments[2], tokens, events));
          }
        })
        .bind("127.0.0.1", Integer.parseInt(arguments[0])).sync().channel().closeFuture().sync();
  }

  private static final class ReportHandler extends SimpleChannelInboundHandler<FullHttpRequest> {
    private final Producer<byte[], byte[]> producer;
    private final String topic;
    private final Tokens tokens;
    private final FramedAvro<ProgressReported> events;

    ReportHandler(
        Producer<byte[], byte[]> producer, String topic, Tokens tokens, FramedAvro<ProgressReported> events) {
      this.producer = producer;
      this.topic = topic;
      this.tokens = tokens;
      this.events = events;
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, FullHttpRequest request) {
      String path = request.uri();
      if (!path.startsWith(PATH_BEGIN) || !path.endsWith(PATH_END) || path.length() <= PATH_BEGIN.length() + PATH_END.length()) {
        refuse(context, HttpResponseStatus.NOT_FOUND, "APIGW.0101", "there is no such path");
        return;
      }
      if (!request.method().equals(HttpMethod.PUT)) {
        refuse(context, HttpResponseStatus.METHOD_NOT_ALLOWED, "APIGW.0101", "send a PUT request");
        return;
      }
      String media = request.headers().get(HttpHeaderNames.CONTENT_TYPE);
      if (media != null && !media.startsWith("application/json")) {
        refuse(context, HttpResponseStatus.UNSUPPORTED_MEDIA_TYPE, "TASKSTREAM.0415", "send application/json");
        return;
      }
      Instant now = Instant.now();
      Tokens.Caller caller = tokens.caller(request.headers().get("x-auth-token"), now);
      if (caller == null) {
        refuse(context, HttpResponseStatus.UNAUTHORIZED, "APIGW.0301", "the token is missing, unknown or expired");
        return;
      }
      if (!caller.mayReport()) {
        refuse(context, HttpResponseStatus.FORBIDDEN, "APIGW.0302", "these credentials do not carry the role 'report'");
        return;
      }
      String task = path.substring(PATH_BEGIN.length(), path.length() - PATH_END.length());
      if (task.indexOf('%') >= 0) {
        task = URLDecoder.decode(task.replace("+", "%2B"), StandardCharsets.UTF_8);
      }
      if (task.codePointCount(0, task.length()) > MAX_TASK_ID_CHARACTERS || task.chars().anyMatch(each -> each < 0x20 || each == 0x7f)) {
        refuse(context, HttpResponseStatus.BAD_REQUEST, "APIGW.0201", "the task id is too long or has a control character");
        return;
      }
      ProgressReported event;
      try {
        event = ReportParser.parse(ByteBufUtil.getBytes(request.content()));
      } catch (ReportParser.InvalidReport invalid) {
        refuse(context, HttpResponseStatus.BAD_REQUEST, invalid.isMalformed ? "APIGW.0201" : "TASKSTREAM.0400", invalid.getMessage());
        return;
      }
      publish(context, event, caller.project(), task, now);
    }

    private void publish(ChannelHandlerContext context, ProgressReported event, String project, String task, Instant now) {
      long nowUs = now.getEpochSecond() * 1_000_000 + now.getNano() / 1000;
      String eventId = eventId(nowUs);
      event.setEventId(eventId);
      event.setProjectId(project);
      event.setTaskId(task);
      event.setReceivedAt(nowUs);
      byte[] key = (project + "/" + task).getBytes(StandardCharsets.UTF_8);
      ProducerRecord<byte[], byte[]> record =
          new ProducerRecord<>(topic, null, nowUs / 1000, key, events.serialize(topic, event));
      Headers headers = record.headers();
      headers.add("ce_id", ascii(eventId));
      headers.add("ce_time", ascii(RFC3339.format(now)));
      CloudEvents.addConstant(headers, "ProgressReported", "/taskstream/edge");
      producer.send(record, (stored, error) -> {
        if (error != null) {
          refuse(context, HttpResponseStatus.SERVICE_UNAVAILABLE, "TASKSTREAM.0503", error.toString());
          return;
        }
        DefaultFullHttpResponse response =
            new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK, Unpooled.EMPTY_BUFFER);
        response.headers().set("x-request-id", eventId).set("x-event-id", eventId)
            .set("x-partition", stored.partition()).set("x-offset", stored.offset())
            .set(HttpHeaderNames.CONTENT_LENGTH, "0");
        context.writeAndFlush(response);
      });
    }

    /** A UUID of version 7, with the microseconds in its 12 bits of sub-milliseconds. */
    private static String eventId(long nowUs) {
      long most = nowUs / 1000 << 16 | 0x7000 | nowUs % 1000 * 4096 / 1000;
      long least = ThreadLocalRandom.current().nextLong() >>> 2 | 1L << 63;
      return new UUID(most, least).toString();
    }

    private static void refuse(ChannelHandlerContext context, HttpResponseStatus status, String code, String message) {
      String body = "{\"error_code\":\"" + code + "\",\"error_msg\":\"" + message.replace("\\", "\\\\").replace("\"", "\\\"")
          + "\",\"retriable\":" + (status.code() >= HttpResponseStatus.TOO_MANY_REQUESTS.code()) + "}";
      ByteBuf content = Unpooled.copiedBuffer(body, StandardCharsets.UTF_8);
      DefaultFullHttpResponse response = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, status, content);
      response.headers().set(HttpHeaderNames.CONTENT_TYPE, "application/json")
          .set(HttpHeaderNames.CONTENT_LENGTH, content.readableBytes());
      context.writeAndFlush(response);
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable error) {
      context.close();
    }
  }
}
