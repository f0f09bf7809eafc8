import io.debezium.transforms.ExtractNewRecordState;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.storage.Converter;

/**
 * What a sink of Kafka Connect's is given of a topic, as JSON lines: key and value as a converter of Connect's makes them, the name
 * of the value's schema, and what Debezium's own ExtractNewRecordState makes of the record. Arguments: BROKERS TOPIC, json or
 * avro, and for the latter the URL of the registry that its converter asks.
 */
public class ConnectReader {
  public static void main(String[] args) throws Exception {
    String brokers = args[0];
    String topic = args[1];
    Converter keys = converter(args, true);
    Converter values = converter(args, false);
    try (ExtractNewRecordState<SinkRecord> extract = new ExtractNewRecordState<>();
        KafkaConsumer<byte[], byte[]> consumer = consumer(brokers)) {
      extract.configure(Map.of("delete.tombstone.handling.mode", "rewrite", "add.fields", "op,source.lsn"));
      for (ConsumerRecord<byte[], byte[]> record : all(consumer, topic)) {
        SchemaAndValue key = keys.toConnectData(topic, record.headers(), record.key());
        SchemaAndValue value = values.toConnectData(topic, record.headers(), record.value());
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("partition", record.partition());
        line.put("key", key.value());
        line.put("value", value.value());
        line.put("schema", value.schema() == null ? null : value.schema().name());
        line.put("types", value.value() instanceof Struct struct ? types(struct) : null);
        SinkRecord sunk = new SinkRecord(topic, record.partition(), key.schema(), key.value(), value.schema(), value.value(), record.offset());
        SinkRecord extracted = extract.apply(sunk);
        line.put("extracted", extracted == null ? null : extracted.value());
        System.out.println(json(line));
      }
    }
  }

  private static Converter converter(String[] args, boolean isKey) throws Exception {
    boolean isAvro = args[2].equals("avro");
    String name = isAvro ? "io.apicurio.registry.utils.converter.AvroConverter" : "org.apache.kafka.connect.json.JsonConverter";
    Converter converter = (Converter) Class.forName(name).getDeclaredConstructor().newInstance();
    Map<String, Object> config =
        isAvro
            ? Map.of("apicurio.registry.url", args[3], "apicurio.registry.as-confluent", "true", "apicurio.registry.use-id", "contentId")
            : Map.of("schemas.enable", "false");
    converter.configure(config, isKey);
    return converter;
  }

  private static KafkaConsumer<byte[], byte[]> consumer(String brokers) {
    Properties config = new Properties();
    config.put("bootstrap.servers", brokers);
    return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  /** All that is there now, each partition in order. */
  private static List<ConsumerRecord<byte[], byte[]>> all(KafkaConsumer<byte[], byte[]> consumer, String topic) {
    List<TopicPartition> partitions = consumer.partitionsFor(topic).stream().map(info -> new TopicPartition(topic, info.partition())).toList();
    consumer.assign(partitions);
    consumer.seekToBeginning(partitions);
    Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
    List<ConsumerRecord<byte[], byte[]>> read = new ArrayList<>();
    while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
      consumer.poll(Duration.ofMillis(200)).forEach(read::add);
    }
    return read;
  }

  /** The Connect types of the columns of `after`, or of the record itself: their schemas' names, or else their kinds. */
  private static Map<String, Object> types(Struct value) {
    Field after = value.schema().field("after");
    Map<String, Object> types = new LinkedHashMap<>();
    for (Field field : (after == null ? value.schema() : after.schema()).fields()) {
      types.put(field.name(), field.schema().name() == null ? field.schema().type().toString() : field.schema().name());
    }
    return types;
  }

  private static String json(Object value) {
    if (value == null || value instanceof Boolean) return String.valueOf(value);
    // All of their digits, and what JSON has no numbers for.
    if (value instanceof Number) return json(Map.of(value.getClass().getSimpleName(), value.toString()));
    if (value instanceof byte[] bytes) return json(Map.of("bytes", Base64.getEncoder().encodeToString(bytes)));
    if (value instanceof ByteBuffer buffer) {
      byte[] bytes = new byte[buffer.remaining()];
      buffer.duplicate().get(bytes);
      return json(bytes);
    }
    if (value instanceof List<?> list) return "[" + String.join(",", list.stream().map(ConnectReader::json).toList()) + "]";
    if (value instanceof Struct struct) {
      Map<String, Object> fields = new LinkedHashMap<>();
      for (Field field : struct.schema().fields()) fields.put(field.name(), struct.get(field));
      return json(fields);
    }
    if (value instanceof Map<?, ?> map) {
      return "{" + String.join(",", map.entrySet().stream().map(entry -> text(entry.getKey().toString()) + ":" + json(entry.getValue())).toList()) + "}";
    }
    return value instanceof String string ? text(string) : json(Map.of(value.getClass().getSimpleName(), value.toString()));
  }

  private static String text(String string) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : string.toCharArray()) {
      if (c < ' ' || c > '~' || c == '"' || c == '\\') out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }
}
