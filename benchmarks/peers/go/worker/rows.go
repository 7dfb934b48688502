// The event and the row of a series, field by field as in the Avro schemas. Times are microseconds since 1970 UTC.
package main

type progressReported struct {
	EventID       string   `avro:"event_id"`
	ProjectID     string   `avro:"project_id"`
	TaskID        string   `avro:"task_id"`
	ReceivedAt    int64    `avro:"received_at"`
	SubtaskName   string   `avro:"subtask_name"`
	Progress      int32    `avro:"progress"`
	ReplicateSize int64    `avro:"replicatesize"`
	TotalSize     int64    `avro:"totalsize"`
	ProcessTrace  string   `avro:"process_trace"`
	MigrateSpeed  *float64 `avro:"migrate_speed"`
	CompressRate  *float64 `avro:"compress_rate"`
	RemainTime    *int64   `avro:"remain_time"`
	TotalCPU      *float64 `avro:"total_cpu_usage"`
	AgentCPU      *float64 `avro:"agent_cpu_usage"`
	TotalMem      *float64 `avro:"total_mem_usage"`
	AgentMem      *float64 `avro:"agent_mem_usage"`
	TotalDisk     *float64 `avro:"total_disk_io"`
	AgentDisk     *float64 `avro:"agent_disk_io"`
	NeedTest      *bool    `avro:"need_migration_test"`
	AgentTime     *string  `avro:"agent_time"`
}

// seriesState lacks the fields of the forecast and of the learned limits; their defaults are written.
type seriesState struct {
	ProjectID    string   `avro:"project_id"`
	TaskID       string   `avro:"task_id"`
	SubtaskName  string   `avro:"subtask_name"`
	FirstSeen    int64    `avro:"first_seen"`
	LastSeen     int64    `avro:"last_seen"`
	LastAdvance  int64    `avro:"last_advance"`
	Reports      int64    `avro:"reports"`
	Skewed       int64    `avro:"skewed"`
	Stale        int64    `avro:"stale"`
	Resets       int64    `avro:"resets"`
	Regressions  int64    `avro:"regressions"`
	Held         bool     `avro:"held"`
	Progress     int32    `avro:"progress"`
	Replicated   int64    `avro:"replicatesize"`
	Total        int64    `avro:"totalsize"`
	ProcessTrace string   `avro:"process_trace"`
	MigrateSpeed *float64 `avro:"migrate_speed"`
	CompressRate *float64 `avro:"compress_rate"`
	RemainTime   *int64   `avro:"remain_time"`
	TotalCPU     *float64 `avro:"total_cpu_usage"`
	AgentCPU     *float64 `avro:"agent_cpu_usage"`
	TotalMem     *float64 `avro:"total_mem_usage"`
	AgentMem     *float64 `avro:"agent_mem_usage"`
	TotalDisk    *float64 `avro:"total_disk_io"`
	AgentDisk    *float64 `avro:"agent_disk_io"`
	NeedTest     *bool    `avro:"need_migration_test"`
	AgentTime    *string  `avro:"agent_time"`
	RatedFrom    int64    `avro:"rated_from"`
	RatedBytes   int64    `avro:"rated_bytes"`
	Samples      int64    `avro:"samples"`
	RateFast     *float64 `avro:"rate_fast_bps"`
	RateSlow     *float64 `avro:"rate_slow_bps"`
	RatePeak     *float64 `avro:"rate_peak_bps"`
	TypicalGap   *float64 `avro:"typical_gap_s"`
	OpenMinute   int64    `avro:"open_minute"`
	OpenBytes    int64    `avro:"open_minute_bytes"`
	MinuteBytes  []int64  `avro:"minute_bytes"`
	Complete     int32    `avro:"complete_minutes"`
	Trend        string   `avro:"trend"`
	TrendChange  *float64 `avro:"trend_change_pct"`
	TrendSlope   *float64 `avro:"trend_slope_pct"`
	Slow         bool     `avro:"slow"`
	LogRateSD    *float64 `avro:"log_rate_sd"`
	Health       string   `avro:"health"`
	HealthSince  int64    `avro:"health_since"`
	SilentSince  *int64   `avro:"silent_since"`
	EtaS         *float64 `avro:"eta_s"`
	EtaLowS      *float64 `avro:"eta_low_s"`
	EtaHighS     *float64 `avro:"eta_high_s"`
	EtaTold      *int64   `avro:"eta_told"`
	EtaToldAt    *int64   `avro:"eta_told_at"`
	EventIDs     []int64  `avro:"event_ids"`

	key       string
	partition int32
	isDirty   bool
}

type rateWindow struct {
	ProjectID   string  `avro:"project_id"`
	TaskID      string  `avro:"task_id"`
	SubtaskName string  `avro:"subtask_name"`
	WindowStart int64   `avro:"window_start"`
	Minutes     int32   `avro:"minutes"`
	WidthS      float64 `avro:"width_s"`
	Bytes       int64   `avro:"bytes"`
	RateBps     float64 `avro:"rate_bps"`
	Complete    bool    `avro:"complete"`
	Progress    int32   `avro:"progress"`
	Replicated  int64   `avro:"replicatesize"`
	Total       int64   `avro:"totalsize"`
	ClosedAt    int64   `avro:"closed_at"`
}
