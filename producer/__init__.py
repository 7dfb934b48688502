"""The edge, which turns progress reports into Kafka events; its client; the reference agent; a simulated fleet."""
