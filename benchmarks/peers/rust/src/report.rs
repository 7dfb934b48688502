//! The body of a report, its bounds, and the event that it becomes. This file knows neither HTTP nor Kafka.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

const MAX_RATE: f64 = 10_000.0;
const MAX_TRACE_CHARACTERS: usize = 2_048;
const MAX_TIME_CHARACTERS: usize = 255;
const SUBTASKS: [&str; 19] = [
    "CREATE_CLOUD_SERVER",
    "SSL_CONFIG",
    "ATTACH_AGENT_IMAGE",
    "DETTACH_AGENT_IMAGE",
    "FORMAT_DISK_LINUX",
    "FORMAT_DISK_LINUX_FILE",
    "FORMAT_DISK_LINUX_BLOCK",
    "FORMAT_DISK_WINDOWS",
    "MIGRATE_LINUX_FILE",
    "MIGRATE_LINUX_BLOCK",
    "MIGRATE_WINDOWS_BLOCK",
    "CLONE_VM",
    "SYNC_LINUX_FILE",
    "SYNC_LINUX_BLOCK",
    "SYNC_WINDOWS_BLOCK",
    "CONFIGURE_LINUX",
    "CONFIGURE_LINUX_BLOCK",
    "CONFIGURE_LINUX_FILE",
    "CONFIGURE_WINDOWS",
];

#[derive(Deserialize)]
pub struct Report<'a> {
    #[serde(borrow)]
    subtask_name: Cow<'a, str>,
    progress: i64,
    replicatesize: i64,
    totalsize: i64,
    #[serde(borrow)]
    process_trace: Cow<'a, str>,
    migrate_speed: Option<f64>,
    compress_rate: Option<f64>,
    remain_time: Option<i64>,
    total_cpu_usage: Option<f64>,
    agent_cpu_usage: Option<f64>,
    total_mem_usage: Option<f64>,
    agent_mem_usage: Option<f64>,
    total_disk_io: Option<f64>,
    agent_disk_io: Option<f64>,
    need_migration_test: Option<bool>,
    #[serde(borrow)]
    agent_time: Option<Cow<'a, str>>,
}

/// An event, in the order of the Avro schema.
#[derive(Serialize)]
pub struct ProgressReported<'a> {
    event_id: &'a str,
    project_id: &'a str,
    task_id: &'a str,
    received_at: i64,
    subtask_name: &'a str,
    progress: i32,
    replicatesize: i64,
    totalsize: i64,
    process_trace: &'a str,
    migrate_speed: Option<f64>,
    compress_rate: Option<f64>,
    remain_time: Option<i64>,
    total_cpu_usage: Option<f64>,
    agent_cpu_usage: Option<f64>,
    total_mem_usage: Option<f64>,
    agent_mem_usage: Option<f64>,
    total_disk_io: Option<f64>,
    agent_disk_io: Option<f64>,
    need_migration_test: Option<bool>,
    agent_time: Option<&'a str>,
}

impl Report<'_> {
    /// The first rule that the report breaks is the error.
    pub fn check(&self) -> Result<(), &'static str> {
        let is_rate = |value: Option<f64>| value.is_none_or(|rate| (0.0..=MAX_RATE).contains(&rate));
        let rules = [
            (SUBTASKS.contains(&&*self.subtask_name), "subtask_name: must be one of the subtasks"),
            ((0..=100).contains(&self.progress), "progress: must be an integer from 0 to 100"),
            (self.replicatesize >= 0, "replicatesize: must be an integer from 0"),
            (self.totalsize >= 0, "totalsize: must be an integer from 0"),
            (
                self.process_trace.chars().count() <= MAX_TRACE_CHARACTERS,
                "process_trace: must be a string of up to 2048 characters",
            ),
            (is_rate(self.migrate_speed), "migrate_speed: must be a number from 0 to 10000"),
            (is_rate(self.compress_rate), "compress_rate: must be a number from 0 to 10000"),
            (
                self.remain_time.is_none_or(|seconds| (0..=i64::from(i32::MAX)).contains(&seconds)),
                "remain_time: must be an integer from 0 to 2147483647",
            ),
            (
                self.agent_time.as_ref().is_none_or(|text| text.chars().count() <= MAX_TIME_CHARACTERS),
                "agent_time: must be a string of up to 255 characters",
            ),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, message)| Err(message))
    }

    /// The event of a report that `check` has accepted. received_at: microseconds since 1970 UTC.
    pub fn event<'a>(
        &'a self,
        event_id: &'a str,
        project_id: &'a str,
        task_id: &'a str,
        received_at: i64,
    ) -> ProgressReported<'a> {
        ProgressReported {
            event_id,
            project_id,
            task_id,
            received_at,
            subtask_name: &self.subtask_name,
            progress: self.progress as i32,
            replicatesize: self.replicatesize,
            totalsize: self.totalsize,
            process_trace: &self.process_trace,
            migrate_speed: self.migrate_speed,
            compress_rate: self.compress_rate,
            remain_time: self.remain_time,
            total_cpu_usage: self.total_cpu_usage,
            agent_cpu_usage: self.agent_cpu_usage,
            total_mem_usage: self.total_mem_usage,
            agent_mem_usage: self.agent_mem_usage,
            total_disk_io: self.total_disk_io,
            agent_disk_io: self.agent_disk_io,
            need_migration_test: self.need_migration_test,
            agent_time: self.agent_time.as_deref(),
        }
    }
}
