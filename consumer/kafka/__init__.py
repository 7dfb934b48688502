"""Kafka as this room uses it: batches, offsets, transactions, retries and questions to the cluster."""

import warnings

# A lost producer cannot abort what Kafka has aborted already. Whoever closes it has said so.
warnings.filterwarnings("ignore", "Producer abort_transaction failed during close", RuntimeWarning)
