// The body of a report, its bounds, and the event that it becomes. This file knows neither HTTP nor Kafka.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

var errMalformed = errors.New("the body is not a JSON object with the types of the API")

var subtasks = setOf(
	"CREATE_CLOUD_SERVER", "SSL_CONFIG", "ATTACH_AGENT_IMAGE", "DETTACH_AGENT_IMAGE",
	"FORMAT_DISK_LINUX", "FORMAT_DISK_LINUX_FILE", "FORMAT_DISK_LINUX_BLOCK", "FORMAT_DISK_WINDOWS",
	"MIGRATE_LINUX_FILE", "MIGRATE_LINUX_BLOCK", "MIGRATE_WINDOWS_BLOCK", "CLONE_VM",
	"SYNC_LINUX_FILE", "SYNC_LINUX_BLOCK", "SYNC_WINDOWS_BLOCK",
	"CONFIGURE_LINUX", "CONFIGURE_LINUX_BLOCK", "CONFIGURE_LINUX_FILE", "CONFIGURE_WINDOWS",
)

func setOf(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// report has pointers, so that an absent field differs from zero.
type report struct {
	SubtaskName       *string  `json:"subtask_name"`
	Progress          *int64   `json:"progress"`
	ReplicateSize     *int64   `json:"replicatesize"`
	TotalSize         *int64   `json:"totalsize"`
	ProcessTrace      *string  `json:"process_trace"`
	MigrateSpeed      *float64 `json:"migrate_speed"`
	CompressRate      *float64 `json:"compress_rate"`
	RemainTime        *int64   `json:"remain_time"`
	TotalCPUUsage     *float64 `json:"total_cpu_usage"`
	AgentCPUUsage     *float64 `json:"agent_cpu_usage"`
	TotalMemUsage     *float64 `json:"total_mem_usage"`
	AgentMemUsage     *float64 `json:"agent_mem_usage"`
	TotalDiskIO       *float64 `json:"total_disk_io"`
	AgentDiskIO       *float64 `json:"agent_disk_io"`
	NeedMigrationTest *bool    `json:"need_migration_test"`
	AgentTime         *string  `json:"agent_time"`
}

// progressReported is an event, in the order of the Avro schema.
type progressReported struct {
	EventID           string    `avro:"event_id"`
	ProjectID         string    `avro:"project_id"`
	TaskID            string    `avro:"task_id"`
	ReceivedAt        time.Time `avro:"received_at"`
	SubtaskName       string    `avro:"subtask_name"`
	Progress          int32     `avro:"progress"`
	ReplicateSize     int64     `avro:"replicatesize"`
	TotalSize         int64     `avro:"totalsize"`
	ProcessTrace      string    `avro:"process_trace"`
	MigrateSpeed      *float64  `avro:"migrate_speed"`
	CompressRate      *float64  `avro:"compress_rate"`
	RemainTime        *int64    `avro:"remain_time"`
	TotalCPUUsage     *float64  `avro:"total_cpu_usage"`
	AgentCPUUsage     *float64  `avro:"agent_cpu_usage"`
	TotalMemUsage     *float64  `avro:"total_mem_usage"`
	AgentMemUsage     *float64  `avro:"agent_mem_usage"`
	TotalDiskIO       *float64  `avro:"total_disk_io"`
	AgentDiskIO       *float64  `avro:"agent_disk_io"`
	NeedMigrationTest *bool     `avro:"need_migration_test"`
	AgentTime         *string   `avro:"agent_time"`
}

// parseReport returns the report of a body, or the first rule that it breaks.
func parseReport(body []byte) (*report, error) {
	var parsed report
	if !utf8.Valid(body) {
		return nil, errMalformed
	}
	if err := json.Unmarshal(body, &parsed); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return &parsed, parsed.check()
}

func (r *report) check() error {
	switch {
	case r.SubtaskName == nil || !subtasks[*r.SubtaskName]:
		return errors.New("subtask_name: must be one of the subtasks")
	case r.Progress == nil || *r.Progress < 0 || *r.Progress > 100:
		return errors.New("progress: must be an integer from 0 to 100")
	case r.ReplicateSize == nil || *r.ReplicateSize < 0:
		return errors.New("replicatesize: must be an integer from 0")
	case r.TotalSize == nil || *r.TotalSize < 0:
		return errors.New("totalsize: must be an integer from 0")
	case r.ProcessTrace == nil || utf8.RuneCountInString(*r.ProcessTrace) > 2048:
		return errors.New("process_trace: must be a string of up to 2048 characters")
	case !isRate(r.MigrateSpeed):
		return errors.New("migrate_speed: must be a number from 0 to 10000")
	case !isRate(r.CompressRate):
		return errors.New("compress_rate: must be a number from 0 to 10000")
	case r.RemainTime != nil && (*r.RemainTime < 0 || *r.RemainTime > math.MaxInt32):
		return errors.New("remain_time: must be an integer from 0 to 2147483647")
	case r.AgentTime != nil && utf8.RuneCountInString(*r.AgentTime) > 255:
		return errors.New("agent_time: must be a string of up to 255 characters")
	}
	return nil
}

func isRate(value *float64) bool {
	return value == nil || (*value >= 0 && *value <= 10_000)
}

func (r *report) event(eventID, projectID, taskID string, receivedAt time.Time) *progressReported {
	return &progressReported{
		EventID: eventID, ProjectID: projectID, TaskID: taskID, ReceivedAt: receivedAt,
		SubtaskName: *r.SubtaskName, Progress: int32(*r.Progress),
		ReplicateSize: *r.ReplicateSize, TotalSize: *r.TotalSize, ProcessTrace: *r.ProcessTrace,
		MigrateSpeed: r.MigrateSpeed, CompressRate: r.CompressRate, RemainTime: r.RemainTime,
		TotalCPUUsage: r.TotalCPUUsage, AgentCPUUsage: r.AgentCPUUsage,
		TotalMemUsage: r.TotalMemUsage, AgentMemUsage: r.AgentMemUsage,
		TotalDiskIO: r.TotalDiskIO, AgentDiskIO: r.AgentDiskIO,
		NeedMigrationTest: r.NeedMigrationTest, AgentTime: r.AgentTime,
	}
}
