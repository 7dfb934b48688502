// The edge in Go: a report over HTTP becomes an Avro event on Kafka, and 200 follows Kafka's acknowledgement.
//
//	edge PORT BOOTSTRAP TOPIC TOKEN_FILE SCHEMA_FILE SCHEMA_ID
package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	maxBodyBytes   = 64 << 10
	maxTaskIDChars = 255
	prefixBytes    = 5
)

var constantHeaders = []kgo.RecordHeader{
	{Key: "ce_specversion", Value: []byte("1.0")},
	{Key: "ce_type", Value: []byte("taskstream.ProgressReported")},
	{Key: "ce_source", Value: []byte("/taskstream/edge")},
	{Key: "content-type", Value: []byte("application/avro")},
}

type edge struct {
	client   *kgo.Client
	tokens   tokens
	schema   avro.Schema
	schemaID uint32
}

func main() {
	if len(os.Args) != 7 {
		log.Fatal("usage: edge PORT BOOTSTRAP TOPIC TOKEN_FILE SCHEMA_FILE SCHEMA_ID")
	}
	port, bootstrap, topic := os.Args[1], os.Args[2], os.Args[3]
	known, err := readTokens(os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	schema, err := avro.ParseFiles(os.Args[5])
	if err != nil {
		log.Fatal(err)
	}
	schemaID, err := strconv.ParseUint(os.Args[6], 10, 32)
	if err != nil {
		log.Fatal(err)
	}
	// The client of franz-go is idempotent unless told otherwise.
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.DefaultProduceTopic(topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordDeliveryTimeout(10*time.Second),
		kgo.MaxBufferedRecords(100_000),
	)
	if err != nil {
		log.Fatal(err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("PUT /v3/tasks/{id}/progress", (&edge{client, known, schema, uint32(schemaID)}).putProgress)
	server := &http.Server{
		Addr: "127.0.0.1:" + port, Handler: routes, MaxHeaderBytes: 32 << 10,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}

func (e *edge) putProgress(w http.ResponseWriter, r *http.Request) {
	now := time.Now().UTC()
	if media := r.Header.Get("Content-Type"); media != "" && !strings.HasPrefix(media, "application/json") {
		refuse(w, http.StatusUnsupportedMediaType, "TASKSTREAM.0415", "send application/json, not "+media)
		return
	}
	who, known := e.tokens.caller(r.Header.Get("X-Auth-Token"), now)
	if !known {
		refuse(w, http.StatusUnauthorized, "APIGW.0301", "the token in X-Auth-Token is missing, unknown or expired")
		return
	}
	if !who.mayReport {
		refuse(w, http.StatusForbidden, "APIGW.0302", "these credentials do not carry the role 'report'")
		return
	}
	taskID := r.PathValue("id")
	if utf8.RuneCountInString(taskID) > maxTaskIDChars || strings.ContainsFunc(taskID, isControl) {
		refuse(w, http.StatusBadRequest, "APIGW.0201", "the task id has more than 255 characters or a control character")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "TASKSTREAM.0413", err.Error())
		return
	}
	parsed, err := parseReport(body)
	if err != nil {
		code := "TASKSTREAM.0400"
		if errors.Is(err, errMalformed) {
			code = "APIGW.0201"
		}
		refuse(w, http.StatusBadRequest, code, err.Error())
		return
	}
	eventID := uuid.Must(uuid.NewV7()).String()
	payload, err := avro.Marshal(e.schema, parsed.event(eventID, who.project, taskID, now))
	if err != nil {
		refuse(w, http.StatusInternalServerError, "TASKSTREAM.0500", err.Error())
		return
	}
	record := &kgo.Record{
		Key: []byte(who.project + "/" + taskID), Value: framed(e.schemaID, payload), Timestamp: now,
		Headers: append([]kgo.RecordHeader{
			{Key: "ce_id", Value: []byte(eventID)},
			{Key: "ce_time", Value: now.AppendFormat(nil, "2006-01-02T15:04:05.000000Z")},
		}, constantHeaders...),
	}
	// A report whose caller has gone away is written nevertheless, so the request's context is not used.
	acknowledged := make(chan error, 1)
	e.client.Produce(e.client.Context(), record, func(_ *kgo.Record, err error) { acknowledged <- err })
	if err := <-acknowledged; err != nil {
		refuse(w, http.StatusServiceUnavailable, "TASKSTREAM.0503", err.Error())
		return
	}
	header := w.Header()
	// Keys in lower case, as the load generator reads them.
	header["x-request-id"] = []string{eventID}
	header["x-event-id"] = []string{eventID}
	header["x-partition"] = []string{strconv.Itoa(int(record.Partition))}
	header["x-offset"] = []string{strconv.FormatInt(record.Offset, 10)}
	header["content-length"] = []string{"0"}
	w.WriteHeader(http.StatusOK)
}

// framed puts the magic byte 0 and the schema id before the payload.
func framed(schemaID uint32, payload []byte) []byte {
	value := make([]byte, prefixBytes, prefixBytes+len(payload))
	binary.BigEndian.PutUint32(value[1:], schemaID)
	return append(value, payload...)
}

func isControl(char rune) bool { return char < 0x20 || char == 0x7f }

func refuse(w http.ResponseWriter, status int, code, message string) {
	body, _ := json.Marshal(map[string]any{"error_code": code, "error_msg": message, "retriable": status >= 429})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
