// The worker in Go: events become rows and windows, exactly once, in transactions of franz-go's session.
//
//	worker BOOTSTRAP SOURCE STATE RATES GROUP COMMIT_MS SCHEMA_FOLDER
package main

import (
	"context"
	"encoding/binary"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	prefixBytes    = 5
	eventID        = 2 // the schema ids of schemas/avro/ids.json
	stateID        = 3
	windowID       = 4
	polledRecords  = 10_000
	pollTimeout    = 50 * time.Millisecond
	maxDirtySeries = 100_000
)

type worker struct {
	session                *kgo.GroupTransactSession
	events, states, window avro.Schema
	stateTopic, rateTopic  string
	rows                   map[string]*seriesState
	dirty                  []*seriesState
	key                    []byte
}

func main() {
	if len(os.Args) != 8 {
		log.Fatal("usage: worker BOOTSTRAP SOURCE STATE RATES GROUP COMMIT_MS SCHEMA_FOLDER")
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
		events: parse(os.Args[7], "ProgressReported.v2"), states: parse(os.Args[7], "SeriesState.v1"),
		window: parse(os.Args[7], "RateWindow.v1"),
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
	if len(record.Value) < prefixBytes || record.Value[0] != 0 || binary.BigEndian.Uint32(record.Value[1:]) != eventID {
		log.Fatalf("partition %d, offset %d: not a ProgressReported.v2", record.Partition, record.Offset)
	}
	var report progressReported
	check(avro.Unmarshal(w.events, record.Value[prefixBytes:], &report))
	w.key = append(append(w.key[:0], report.ProjectID...), '/')
	w.key = append(append(w.key, report.TaskID...), '/')
	w.key = append(w.key, report.SubtaskName...)
	row := w.rows[string(w.key)]
	if row == nil {
		row = &seriesState{key: string(w.key), partition: record.Partition}
		w.rows[row.key] = row
	}
	fold(row, &report, func(closed *rateWindow) { w.produce(w.rateTopic, row, w.window, windowID, closed) })
	if !row.isDirty {
		row.isDirty = true
		w.dirty = append(w.dirty, row)
	}
}

// commit writes the rows that changed, and ends the transaction with the offsets.
func (w *worker) commit() {
	for _, row := range w.dirty {
		w.produce(w.stateTopic, row, w.states, stateID, row)
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

func (w *worker) produce(topic string, row *seriesState, schema avro.Schema, id uint32, value any) {
	payload, err := avro.Marshal(schema, value)
	check(err)
	framed := make([]byte, prefixBytes, prefixBytes+len(payload))
	binary.BigEndian.PutUint32(framed[1:], id)
	record := &kgo.Record{Topic: topic, Partition: row.partition, Key: []byte(row.key), Value: append(framed, payload...)}
	w.session.Produce(context.Background(), record, nil)
}

func parse(folder, name string) avro.Schema {
	schema, err := avro.ParseFiles(filepath.Join(folder, name+".avsc"))
	check(err)
	return schema
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
