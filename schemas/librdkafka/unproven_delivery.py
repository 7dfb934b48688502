"""A delivery that librdkafka reports and no response of Kafka did, and the setting with which there is none.

With several requests in flight, the first batch of a partition can fail for a moment (its leader has just been made)
and the second be stored: a broker takes any first sequence number from a producer that it does not know in that
partition. librdkafka then calls the first batch delivered too, for a later one was, and never sends it again: it is
lost (KAFKA-15591, which brokers from 4.5 on refuse in partitions that were never written to). Such a delivery report
has no error and no offset.

So a program either takes a report without an offset for a failure, or has one request in flight, after which the first
batch is sent again before the second.
"""

from __future__ import annotations

from typing import Final

UNPROVEN: Final = "UNPROVEN"
"""The reason of a failure: delivered, as librdkafka says, without an offset."""
ONE_IN_FLIGHT: Final = {"max.in.flight.requests.per.connection": 1}
"""For producers that do not look at each delivery report."""
