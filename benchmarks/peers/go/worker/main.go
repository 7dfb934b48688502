// The worker in Go: events become rows and windows, exactly once, in transactions of franz-go's session.
//
//	worker BOOTSTRAP SOURCE STATE RATES GROUP COMMIT_MS EVENT_SCHEMA STATE_SCHEMA WINDOW_SCHEMA EVENT_ID STATE_ID WINDOW_ID
//
// The schemas are files, the last three arguments their ids.
package main

import (
	"context"
	"encoding/binary"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	prefixBytes    = 5
	polledRecords  = 10_000
	pollTimeout    = 50 * time.Millisecond
	maxDirtySeries = 100_000
)

var constantHeaders = []kgo.RecordHeader{
	{Key: "ce_specversion", Value: []byte("1.0")},
	{Key: "ce_type", Value: []byte("taskstream.RateWindow")},
	{Key: "ce_source", Value: []byte("/taskstream/worker")},
	{Key: "content-type", Value: []byte("application/avro")},
}

type framedSchema struct {
	avro.Schema
	id uint32
}

type worker struct {
	session                 *kgo.GroupTransactSession
	events, states, windows framedSchema
	stateTopic, rateTopic   string
	rows                    map[string]*seriesState
	dirty                   []*seriesState
	key                     []byte
	idPrefix                string
	sentWindows             int
}

func main() {
	if len(os.Args) != 13 {
		log.Fatal("usage: worker BOOTSTRAP SOURCE STATE RATES GROUP COMMIT_MS " +
			"EVENT_SCHEMA STATE_SCHEMA WINDOW_SCHEMA EVENT_ID STATE_ID WINDOW_ID")
	}
	commitMs, err := strconv.Atoi(os.Args[6])
	check(err)
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(os.Args[1]), kgo.ConsumeTopics(os.Args[2]), kgo.ConsumerGroup(os.Args[5]),
		kgo.TransactionalID(os.Args[5]+".0"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.FetchMaxPartitionBytes(8<<20), kgo.FetchMaxBytes(64<<20),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.ProducerLinger(20*time.Millisecond), kgo.ProducerBatchMaxBytes(1_000_000),
		kgo.MaxBufferedRecords(2_000_000), kgo.MaxBufferedBytes(1<<30),
	)
	check(err)
	w := &worker{
		session: session, stateTopic: os.Args[3], rateTopic: os.Args[4], rows: map[string]*seriesState{},
		events: parse(os.Args[7], os.Args[10]), states: parse(os.Args[8], os.Args[11]),
		windows:  parse(os.Args[9], os.Args[12]),
		idPrefix: strings.ReplaceAll(uuid.NewString(), "-", "") + "-",
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	w.run(ctx, time.Duration(commitMs)*time.Millisecond)
	session.Close()
}

func (w *worker) run(ctx context.Context, commitEvery time.Duration) {
	var begun time.Time
	for ctx.Err() == nil {
		wait, cancel := context.WithTimeout(ctx, pollTimeout)
		fetches := w.session.PollRecords(wait, polledRecords)
		cancel()
		if fetches.NumRecords() > 0 && begun.IsZero() {
			check(w.session.Begin())
			begun = time.Now()
		}
		fetches.EachRecord(w.foldRecord)
		if !begun.IsZero() && (time.Since(begun) >= commitEvery || len(w.dirty) >= maxDirtySeries) {
			w.commit()
			begun = time.Time{}
		}
	}
	if !begun.IsZero() {
		w.commit()
	}
}

func (w *worker) foldRecord(record *kgo.Record) {
	value := record.Value
	if len(value) < prefixBytes || value[0] != 0 || binary.BigEndian.Uint32(value[1:]) != w.events.id {
		log.Fatalf("partition %d, offset %d: not a ProgressReported with id %d", record.Partition, record.Offset, w.events.id)
	}
	var report progressReported
	check(avro.Unmarshal(w.events.Schema, value[prefixBytes:], &report))
	w.key = append(append(w.key[:0], report.ProjectID...), '/')
	w.key = append(append(w.key, report.TaskID...), '/')
	w.key = append(w.key, report.SubtaskName...)
	row := w.rows[string(w.key)]
	if row == nil {
		row = newRow(&report, string(w.key), record.Partition)
		w.rows[row.key] = row
	}
	changed := fold(row, &report, func(closed *rateWindow) { w.produceWindow(row, closed) })
	if changed && !row.isDirty {
		row.isDirty = true
		w.dirty = append(w.dirty, row)
	}
}

func (w *worker) produceWindow(row *seriesState, closed *rateWindow) {
	id := strconv.AppendInt([]byte(w.idPrefix), int64(w.sentWindows), 10)
	w.sentWindows++
	headers := append([]kgo.RecordHeader{{Key: "ce_id", Value: id}}, constantHeaders...)
	w.produce(w.rateTopic, row, w.windows, closed, headers)
}

// commit writes the rows that changed, and ends the transaction with the offsets.
func (w *worker) commit() {
	for _, row := range w.dirty {
		w.produce(w.stateTopic, row, w.states, row, nil)
		row.isDirty = false
	}
	w.dirty = w.dirty[:0]
	// An abort would need the rows of the last commit: this worker ends instead.
	committed, err := w.session.End(context.Background(), kgo.TryCommit)
	check(err)
	if !committed {
		log.Fatal("the transaction was aborted: start the worker again with empty topics")
	}
}

func (w *worker) produce(topic string, row *seriesState, schema framedSchema, value any, headers []kgo.RecordHeader) {
	payload, err := avro.Marshal(schema.Schema, value)
	check(err)
	framed := make([]byte, prefixBytes, prefixBytes+len(payload))
	binary.BigEndian.PutUint32(framed[1:], schema.id)
	w.session.Produce(context.Background(), &kgo.Record{
		Topic: topic, Partition: row.partition, Key: []byte(row.key), Value: append(framed, payload...), Headers: headers,
	}, nil)
}

func parse(path, id string) framedSchema {
	schema, err := avro.ParseFiles(path)
	check(err)
	number, err := strconv.ParseUint(id, 10, 32)
	check(err)
	return framedSchema{schema, uint32(number)}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
